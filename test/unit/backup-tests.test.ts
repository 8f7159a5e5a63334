import { expect, test } from 'vitest';
import { parseBackups } from '../../config/backup.ts';
import type { Attempts } from '../../services/backup-scheduler/book.ts';
import { MOST_TRIES, failed } from '../../services/backup-scheduler/due.ts';
import { alertsOf, stateOf } from '../../services/backup-scheduler/health.ts';
import { dueTest, lastProofOf, newestProof, testFault } from '../../services/backup-scheduler/tests.ts';
import { backupOf } from './backup-record.ts';

const DAY = 86_400_000;
const now = Date.UTC(2026, 10, 26, 12); // a Thursday
const sunday = Date.UTC(2026, 10, 22);
const conf = (options: string) => parseBackups(`*:hot:timezone=UTC,${options}`, 'backup.conf');
const weekly = conf('test=weekly');
const entry = (more: Partial<Attempts> = {}): Attempts => ({
  since: now - 30 * DAY,
  plan: '0 0 * * 0 UTC',
  failures: 0,
  tries: 0,
  ...more,
});
const place = (name: string) => ({ name, host: 'host1', online: true });
const proof = (ok: boolean, ts: number) => ({
  ts,
  ok,
  host: 'host2',
  saga: 'backup-test-1',
  ms: 4000,
  checks: [
    { check: 'init', ok: true, message: 'its init runs' },
    { check: 'DAEMON=web', ok, message: ok ? 'well' : 'the connection was refused' },
  ],
});
const look = (tests: Record<string, Attempts>, lines = weekly, backups = [backupOf(now - DAY)]) =>
  dueTest({
    now,
    lines,
    tests,
    vservers: Object.keys(tests).map(place),
    recordsOf: (name) => backups.filter((one) => one.vserver === name),
  });

test('test=weekly: a schedule as that of the backups; a fault is told by its column', () => {
  expect(weekly[0]).toMatchObject({ test: '0 0 * * 0' });
  expect(conf('test="30 4 * * 6"')[0]).toMatchObject({ test: '30 4 * * 6' });
  expect(conf('test=none')[0]?.test).toBeUndefined();
  expect(() => parseBackups('web1:hot:test=weakly', 'f')).toThrow(/^f:1:15: "weakly" is no schedule/);
});

test('what is due is tested, one at a time in the pool, where there is a good backup', () => {
  expect(look({ web1: entry() })).toEqual({ name: 'web1', mode: 'hot', slot: sunday });
  expect(look({ web1: entry({ done: sunday }) })).toBeUndefined();
  expect(look({ web1: entry({ since: sunday + 1 }) })).toBeUndefined();
  expect(look({ web1: entry({ retryAt: now + 1 }) })).toBeUndefined();
  expect(look({ web1: entry(), db1: entry({ running: { began: 1 } }) })).toBeUndefined();
  expect(look({ web1: entry() }, conf('schedule=daily'))).toBeUndefined();
  expect(look({ web1: entry() }, conf('test=weekly,window=22:00-06:00'))).toBeUndefined();
  expect(look({ web1: entry() }, weekly, [])).toBeUndefined();
  expect(look({ web1: entry() }, weekly, [backupOf(now - DAY, { faults: ['a is gone'] })])).toBeUndefined();
  expect(look({ web1: entry() }, conf('test=weekly,repository=usb'))).toBeUndefined();
  expect(
    look({ web1: entry() }, conf('test=weekly,repository=usb'), [backupOf(now, { repository: 'usb' })]),
  ).toMatchObject({ repository: 'usb' });
});

test('a backup that is not well is tried again at its next time; a test that could not be made soon', () => {
  const running = entry({ running: { began: 1, slot: sunday } });
  expect(failed(running, 'DAEMON=web: refused', now, true)).toMatchObject({ done: sunday });
  const again = failed(running, 'host2 is offline', now);
  expect(again.done).toBeUndefined();
  expect(again.retryAt).toBeGreaterThan(now);
  expect(again.tries).toBeLessThan(MOST_TRIES);
});

test('what the tests have found: the newest counts, also of a backup that is gone by now', () => {
  const [good, bad] = [backupOf(now - 2 * DAY), backupOf(now - DAY)];
  expect([newestProof([good]), lastProofOf([good], undefined), testFault([good], entry())]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  good.proof = proof(true, now - 5000);
  expect(lastProofOf([good], undefined)).toBe(now - 5000);
  bad.proof = proof(false, now - 1000);
  expect(testFault([good, bad], undefined)).toEqual({
    bad: true,
    text: `backup ${bad.id}: DAEMON=web: the connection was refused`,
  });
  expect(testFault([bad], entry({ success: now }))).toBeUndefined();
  good.proof = proof(true, now);
  expect(testFault([good, bad], undefined)).toBeUndefined();
  const offline = entry({ failures: 1, attempt: now, error: 'no host has room' });
  expect(testFault([], offline)).toEqual({ bad: false, text: 'no host has room' });
  expect(testFault([], { ...offline, success: now + 1 })).toBeUndefined();
});

test('a failed test alerts, and stands in the state', () => {
  const bad = { ...backupOf(now - DAY), proof: proof(false, now - 1000) };
  const looked = {
    vserver: 'web1',
    exists: true,
    line: weekly[0],
    entry: undefined,
    records: [bad],
    saga: undefined,
    waits: undefined,
    now,
  };
  expect(stateOf(looked)).toMatchObject({ testError: expect.stringContaining('refused') as string });
  expect(alertsOf(looked)['backup-test']).toMatchObject({
    severity: 'critical',
    message: expect.stringMatching(/was restored, and is not well: backup .*refused/) as string,
  });
  const well = { ...looked, records: [{ ...bad, proof: proof(true, now - 1000) }] };
  expect([stateOf(well).lastProof, stateOf(well).testError]).toEqual([now - 1000, undefined]);
  expect(alertsOf(well)).toEqual({});
});
