import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseBackups } from '../../config/backup.ts';
import { keptBy, masterAlerts, masterDue, masterState } from '../../services/backup-scheduler/master.ts';
import { newestArchive, readyDirectory, repositoryFor, takenOf } from '../../services/master-archive/kept.ts';
import { service } from '../../services/master-archive/main.ts';
import type { Context } from '../../shared/service.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const now = Date.parse('2026-11-27T12:00:00Z');
const lineOf = (options: string) => parseBackups(`@master:hot:timezone=UTC,${options}`, 'backup.conf')[0];
const daily = lineOf('schedule="30 2 * * *",keep-last=2');
const entry = { since: now - 10 * DAY, plan: 'x', failures: 0, tries: 0 };
const archive = (daysAgo: number) => {
  const taken = Math.floor((now - daysAgo * DAY) / 1000) * 1000;
  const stamp = new Date(taken).toISOString().replace(/\.\d+/, '').replaceAll(/[-:]/g, '');
  return { repository: 'main', file: `vs-master-${stamp}.tar.gz`, taken, bytes: 5 };
};

describe('the line of the master', () => {
  test('is one of its own, beside a vserver of any name', () => {
    expect(
      parseBackups('@master:hot:schedule=daily\nmaster:cold\n*:hot', 'f').map((one) => one.name),
    ).toEqual(['@master', 'master', '*']);
  });
  test.each([
    ['@master:cold', 'f:1:9: the master is not stopped for it'],
    ['@master:hot:bandwidth=5m', 'f:1:13: @master has no bandwidth'],
    ['@host1:hot', 'f:1:1: "@host1" is no vserver'],
  ])('%s is refused', (text, message) => expect(() => parseBackups(text, 'f')).toThrow(message));
});

describe('archives of the master by schedule', () => {
  test('begin when they are due, not while they wait after a failure', () => {
    const slot = Date.parse('2026-11-27T02:30:00Z');
    expect(masterDue({ line: daily, entry, now })).toBe(slot);
    expect(masterDue({ line: daily, entry: { ...entry, done: slot }, now })).toBeUndefined();
    expect(masterDue({ line: daily, entry: { ...entry, retryAt: now + 1 }, now })).toBeUndefined();
    expect(masterDue({ line: lineOf('schedule=daily,window=22:00-23:00'), entry, now })).toBeUndefined();
    expect(masterDue({ line: undefined, entry, now })).toBeUndefined();
  });
  test('are overdue after one and a half intervals, and failed after a failure', () => {
    const good = { line: daily, entry, archives: [archive(0.4)], now };
    expect(masterState(good)).toMatchObject({ state: 'ok', count: 1, size: 5 });
    expect(masterAlerts(good).size).toBe(0);
    const late = { ...good, archives: [archive(3)] };
    expect(masterState(late)).toMatchObject({ state: 'overdue' });
    expect([...masterAlerts(late).keys()]).toEqual(['backup/master-overdue']);
    const bad = { ...good, entry: { ...entry, failures: 1, error: 'nothing is mounted' } };
    expect(masterState(bad)).toMatchObject({ state: 'failed', lastError: 'nothing is mounted' });
    expect(masterAlerts(bad).get('backup/master-failed')?.message).toContain('nothing is mounted');
    expect(masterState({ ...good, line: undefined })).toBeUndefined();
    expect(masterState({ ...good, archives: [] })).toMatchObject({ state: 'overdue', count: 0 });
  });
  test('go when no rule keeps them; the newest never', () => {
    const all = [archive(0), archive(1), archive(2), archive(3)];
    const rules = (line: ReturnType<typeof lineOf>) =>
      keptBy(all, line as NonNullable<typeof daily>).map((one) => one.by);
    expect(rules(daily)).toEqual([['last'], ['last'], [], []]);
    expect(rules(lineOf('schedule=daily')).every((by) => by.length > 0)).toBe(true);
  });
});

describe('archives in a repository', () => {
  let root: string;
  beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'vslab-master-'))));
  afterEach(() => rmSync(root, { recursive: true, force: true }));
  const places = () => ({
    STATE_DIR: join(root, 'state'),
    CONFIG_DIR: join(root, 'etc'),
    TLS_DIR: join(root, 'state', 'tls'),
    BROKER_USERS: join(root, 'etc', 'users.json'),
    BACKUP_DIR: join(root, 'backups'),
  });
  const put = (path: string, text = '') => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), text, { mode: 0o600 });
  };

  test('are for root alone, listed, and removed', async () => {
    put('state/ca/ca.key', 'KEY');
    put('etc/vs-tools.conf', 'ROLE=master');
    put('backups/.master/.vs-master-abc/state/ca/ca.key', 'KEY'); // an interrupted one
    chmodSync(join(root, 'backups', '.master'), 0o700);
    const { handlers } = service({ settings: places(), version: '1' } as unknown as Context);
    const ask = (name: string, args: object) =>
      (handlers as Record<string, (args: object, call: object) => Promise<object>>)[name]?.(args, {});
    const { archive: one } = (await ask('master-archive.keep', { repository: 'main' })) as {
      archive: { file: string };
    };
    const directory = join(root, 'backups', '.master');
    expect(readdirSync(directory)).toEqual([one.file]);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(statSync(join(directory, one.file)).mode & 0o777).toBe(0o600);
    expect(await ask('master-archive.list', { repository: 'main' })).toEqual({ archives: [one] });
    expect(await newestArchive(join(root, 'backups'))).toBe(join(directory, one.file));
    expect(await ask('master-archive.remove', { repository: 'main', file: one.file })).toEqual({
      removed: true,
    });
    expect(existsSync(join(directory, one.file))).toBe(false);
    expect(await ask('master-archive.remove', { repository: 'main', file: one.file })).toEqual({
      removed: false,
    });
  });
  test('are not written where others read, or where nothing is mounted', async () => {
    mkdirSync(join(root, 'backups', '.master'), { recursive: true, mode: 0o755 });
    chmodSync(join(root, 'backups', '.master'), 0o755);
    const repository = await repositoryFor(places(), 'main');
    await expect(readyDirectory(repository)).rejects.toThrow('open to others than root');
    put('etc/repositories.conf', `usb:tree:${root}/usb:mount\n`);
    await expect(repositoryFor(places(), 'usb')).rejects.toThrow('nothing is mounted');
    await expect(repositoryFor(places(), 'other')).rejects.toThrow('there is no repository other');
  });
  test('the newest one until a moment is taken for a restore', async () => {
    const [old, young] = ['vs-master-20261125T030000Z.tar.gz', 'vs-master-20261127T030000Z.tar.gz'];
    put(`usb/.master/${old}`);
    put(`usb/.master/${young}`);
    put('usb/.master/other');
    const at = (text: string) => newestArchive(join(root, 'usb'), Date.parse(text));
    expect(await newestArchive(join(root, 'usb'))).toBe(join(root, 'usb/.master', young));
    expect(await newestArchive(join(root, 'usb/.master'))).toBe(join(root, 'usb/.master', young));
    expect(await at('2026-11-27T02:59:59Z')).toBe(join(root, 'usb/.master', old));
    await expect(at('2026-11-24T00:00:00Z')).rejects.toThrow(`the oldest is ${root}/usb/.master/${old}`);
    await expect(newestArchive(join(root, 'none'))).rejects.toThrow('there is no archive of a master');
    expect(takenOf(young)).toBe(Date.parse('2026-11-27T03:00:00Z'));
  });
});
