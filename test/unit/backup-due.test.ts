import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseBackups } from '../../config/backup.ts';
import type { BackupRecord } from '../../shared/contract/backup.ts';
import { backupOf } from './backup-record.ts';
import type { Attempts } from '../../services/backup-scheduler/book.ts';
import { MOST_TRIES, due, failed, noted, succeeded, waitAfter } from '../../services/backup-scheduler/due.ts';
import { lookAtAll } from '../../services/backup-scheduler/look.ts';
import { nextToVerify, roundOf } from '../../services/backup-scheduler/verify.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const at = (text: string) => Date.parse(`2026-11-${text}Z`);
const lines = (text: string) => parseBackups(text, 'b');
const places = (...all: string[]) =>
  all.map((one) => {
    const [name = '', host = 'host1', state] = one.split('@');
    return { name, host, online: state !== 'off' };
  });
const entry = (more: Partial<Attempts> = {}): Attempts => ({
  since: at('01T00:00'),
  plan: '0 0 * * * UTC',
  failures: 0,
  tries: 0,
  ...more,
});
const daily = lines('*:hot:schedule=daily,timezone=UTC');
const look = (more: Partial<Parameters<typeof due>[0]>) =>
  due({
    now: at('27T00:00:05'),
    lines: daily,
    vservers: places('web1'),
    book: { web1: entry({ done: at('26T00:00') }) },
    busy: [],
    most: { all: 2, perHost: 1 },
    ...more,
  });

test('a run of the schedule begins at its time, once', () => {
  expect(look({ now: at('26T23:59:59') }).begin).toEqual([]);
  expect(look({}).begin).toEqual([{ name: 'web1', mode: 'hot', slot: at('27T00:00') }]);
  expect(look({ book: { web1: entry({ done: at('27T00:00') }) } }).begin).toEqual([]);
  expect(look({ book: { web1: entry({ running: { began: 1 } }) } }).begin).toEqual([]);
});

test('after days without a master one backup is made up for, not each', () => {
  let book = { web1: entry({ done: at('20T00:00') }) };
  let made = 0;
  for (let now = at('26T13:10'); now < at('27T23:00'); now += 5 * MINUTE) {
    const { begin } = look({ now, book });
    for (const one of begin) {
      made++;
      book = { web1: succeeded({ ...book.web1, running: { began: now, slot: one.slot } }, now + 1000) };
    }
  }
  expect(made).toBe(2); // the one made up for, and that of the 27th
});

test('what is new is not made up for, nor a schedule that has changed', () => {
  const first = noted(undefined, daily[0]!, at('26T13:00'));
  expect(look({ now: at('26T23:00'), book: { web1: first } }).begin).toEqual([]);
  expect(look({ now: at('27T00:00'), book: { web1: first } }).begin).toHaveLength(1);
  const hourly = lines('*:hot:schedule=hourly,timezone=UTC');
  const changed = noted(entry({ done: at('20T00:00'), failures: 2 }), hourly[0]!, at('26T13:10'));
  expect(changed).toMatchObject({ since: at('26T13:10'), failures: 2 });
  expect(look({ lines: hourly, now: at('26T13:59'), book: { web1: changed } }).begin).toEqual([]);
  expect(look({ lines: hourly, now: at('26T14:00'), book: { web1: changed } }).begin).toHaveLength(1);
  expect(noted(changed, hourly[0]!, at('28T00:00'))).toBe(changed);
});

test('so many at once, and so many of a host; the one that was due first goes first', () => {
  const vservers = places('a@host1', 'b@host1', 'c@host2', 'd@host3');
  const book = {
    a: entry({ done: at('26T00:00') }),
    b: entry({ done: at('26T00:00') }),
    c: entry({ done: at('26T00:00') }),
    d: entry({ done: at('26T00:00') }),
  };
  const found = look({ vservers, book });
  expect(found.begin.map((one) => one.name)).toEqual(['a', 'c']);
  expect([...found.waits]).toEqual([
    ['b', '1 of host1 run already'],
    ['d', '2 backups run already'],
  ]);
  expect(
    look({ vservers, book, busy: [{ vserver: 'x', host: 'host1' }] }).begin.map((one) => one.name),
  ).toEqual(['c']);
  expect(look({ vservers, book, most: { all: 9, perHost: 2 } }).begin).toHaveLength(4);
  const asked = { ...book, d: entry({ done: at('27T00:00'), asked: at('26T12:00') }) };
  expect(look({ vservers, book: asked }).begin.map((one) => one.name)).toEqual(['d', 'a']);
});

test('what waits: an offline host, a window, another backup of it, a failure; a person need not wait for window and failure', () => {
  const waits = (more: Parameters<typeof look>[0]) => {
    const { begin, waits: why } = look(more);
    return begin.length > 0 ? 'begins' : why.get('web1');
  };
  const own = (more: Partial<Attempts>) => ({ web1: entry({ done: at('26T00:00'), ...more }) });
  expect(waits({ vservers: places('web1@host1@off') })).toBe('host1 is offline');
  expect(waits({ busy: [{ vserver: 'web1', host: 'host1' }] })).toBe('another backup of it runs');
  const windowed = lines('*:cold:schedule=daily,timezone=UTC,window=2:00-4:00');
  expect(waits({ lines: windowed })).toBe('its window is not open');
  expect(waits({ lines: windowed, now: at('27T02:00') })).toBe('begins');
  expect(waits({ lines: windowed, book: own({ asked: at('27T00:00') }) })).toBe('begins');
  expect(waits({ book: own({ failures: 1, retryAt: at('27T00:05') }) })).toMatch(/^it failed/);
  expect(waits({ book: own({ failures: 1, retryAt: at('27T00:05'), asked: at('27T00:00') }) })).toBe(
    'begins',
  );
  expect(waits({ lines: lines('web1:none\n*:hot:schedule=daily') })).toBeUndefined();
});

test('a failed one is tried again with a growing wait, so often, then at its next time', () => {
  let own = entry({ done: at('26T00:00') });
  const begun: number[] = [];
  for (let now = at('27T00:00'); now < at('29T00:00'); now += MINUTE) {
    const [one] = look({ now, book: { web1: own } }).begin;
    if (!one) continue;
    begun.push(now);
    own = failed({ ...own, running: { began: now, slot: one.slot } }, 'no space left', now);
  }
  const gaps = begun.map((now, index) => (now - (begun[index - 1] ?? now)) / MINUTE);
  expect(gaps).toEqual([0, 5, 10, 20, 40, 80, 1440 - 155, 180, 180, 180, 180, 180]);
  expect(begun).toHaveLength(2 * MOST_TRIES);
  expect(
    Array.from({ length: 50 }, (_, index) => waitAfter(index + 1)).every((ms) => ms <= 180 * MINUTE),
  ).toBe(true);
  const well = succeeded({ ...own, running: { began: 1, slot: at('29T00:00') } }, at('29T00:01'));
  expect(well).toEqual({
    since: own.since,
    plan: own.plan,
    done: at('29T00:00'),
    success: at('29T00:01'),
    failures: 0,
    tries: 0,
  });
});

test('in any sequence of downtimes, failures and ends no run is done twice, and none that matters is lost', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('tick', 'tick', 'tick', 'down', 'fail', 'restart'), {
        minLength: 20,
        maxLength: 200,
      }),
      (steps) => {
        const hourly = lines('*:hot:schedule=hourly,timezone=UTC');
        let own = noted(undefined, hourly[0]!, at('01T00:30'));
        let now = at('01T00:30');
        const done: number[] = [];
        const tick = (ok: boolean) => {
          const [one] = look({ lines: hourly, now, book: { web1: own } }).begin;
          if (!one) return;
          const running = { ...own, running: { began: now, slot: one.slot } };
          own = JSON.parse(
            JSON.stringify(ok ? succeeded(running, now) : failed(running, 'no', now)),
          ) as Attempts;
          if (ok) done.push(one.slot ?? 0);
        };
        for (const step of steps) {
          now += step === 'down' ? 7 * HOUR + 11 * MINUTE : 13 * MINUTE;
          if (step === 'tick') tick(true);
          if (step === 'fail') tick(false);
          if (step === 'restart') own = noted(own, hourly[0]!, now);
        }
        expect(new Set(done).size).toBe(done.length);
        expect(done).toEqual(done.toSorted((a, b) => a - b));
        now += DAY; // past every wait
        tick(true);
        expect(done.at(-1)).toBe(Math.floor(now / HOUR) * HOUR);
      },
    ),
  );
});

const record = backupOf;
const all = (more: {
  book?: Record<string, Attempts>;
  records?: BackupRecord[];
  text?: string;
  now?: number;
  names?: string[];
  fault?: string;
}) => {
  const {
    book = {},
    records = [],
    text = '*:hot:schedule=daily,timezone=UTC',
    now = at('27T06:00'),
    names = ['web1'],
    fault,
  } = more;
  return lookAtAll({
    file: { file: '/etc/vs-tools/backup.conf', lines: lines(text), fault },
    book,
    records: {
      of: (name) => records.filter((one) => one.vserver === name),
      names: () => [...new Set(records.map((one) => one.vserver))],
      faults: [],
    },
    vservers: places(...names),
    sagas: [],
    waits: new Map(),
    now,
  });
};
const stateOf = (more: Parameters<typeof all>[0]) => all(more).states[0];
const alerts = (more: Parameters<typeof all>[0]) => [...all(more).alerts.keys()];

test('the state of a vserver against its schedule', () => {
  const well = record(at('27T00:00:10'));
  const own = { web1: entry({ done: at('27T00:00'), attempt: at('27T00:00') }) };
  expect(stateOf({ book: own, records: [well, record(at('26T00:00:10'))] })).toMatchObject({
    vserver: 'web1',
    state: 'ok',
    mode: 'hot',
    schedule: '0 0 * * *',
    lastSuccess: well.taken,
    size: 1000,
    count: 2,
    nextRun: at('28T00:00'),
  });
  expect(stateOf({ book: { web1: entry({ since: at('26T22:00') }) }, now: at('26T23:00') })).toMatchObject({
    state: 'never',
    count: 0,
    nextRun: at('27T00:00'),
  });
  expect(stateOf({ book: own, records: [well], now: at('28T11:59') })).toMatchObject({ state: 'ok' });
  expect(stateOf({ book: own, records: [well], now: at('28T12:00') })).toMatchObject({ state: 'overdue' });
  expect(alerts({ book: own, records: [well], now: at('28T12:00') })).toEqual(['web1/backup-overdue']);
  const broken = {
    web1: entry({
      done: at('26T00:00'),
      attempt: at('27T00:00'),
      failures: 1,
      error: 'no space left',
      retryAt: at('27T06:30'),
    }),
  };
  expect(stateOf({ book: broken, records: [record(at('26T00:00:10'))] })).toMatchObject({
    state: 'failed',
    lastError: 'no space left',
    nextRun: at('27T06:30'),
  });
  expect(alerts({ book: broken, records: [record(at('26T00:00:10'))] })).toEqual(['web1/backup-failed']);
  // a person made one by hand since
  expect(alerts({ book: broken, records: [record(at('27T05:00'))] })).toEqual([]);
  expect(stateOf({ book: own, text: '*:none', records: [well] })).toMatchObject({ state: 'none', count: 1 });
  expect(stateOf({ names: [], records: [well] })).toMatchObject({ state: 'none', gone: true, count: 1 });
  expect(stateOf({ book: { web1: entry({ running: { began: 1 } }) } })).toMatchObject({ state: 'running' });
});

test('a faulty backup is no success, and is told', () => {
  const own = { web1: entry({ done: at('27T00:00') }) };
  const faulty = record(at('27T00:00:10'), { faults: ['rootfs/etc/passwd differs'] });
  const found = all({ book: own, records: [faulty, record(at('24T00:00:10'))] });
  expect(found.states[0]).toMatchObject({ state: 'overdue', lastSuccess: at('24T00:00:10'), faulty: 1 });
  expect(found.alerts.get('web1/backup-damaged')).toMatchObject({ severity: 'warning' });
  expect(all({ book: own, records: [faulty] }).alerts.get('web1/backup-damaged')).toMatchObject({
    severity: 'critical',
  });
});

test('who has no line is named in one alert, unless * or none covers it; a fault of the file is told', () => {
  expect(all({ text: 'web1:hot', names: ['web1', 'web2', 'web3'] }).uncovered).toEqual(['web2', 'web3']);
  expect(
    all({ text: 'web1:hot', names: ['web1', 'web2', 'web3'] }).alerts.get('backup/uncovered')?.message,
  ).toContain('nothing backs up web2, web3:');
  expect(alerts({ text: 'web1:hot\nweb2:none', names: ['web1', 'web2'] })).toEqual([]);
  expect(alerts({ text: '*:none' })).toEqual([]);
  expect(all({ fault: 'backup.conf:3:5: expected hot' }).alerts.get('backup/config')?.message).toContain(
    'backup.conf:3:5',
  );
});

test('each week a share of the backups is verified, those first that were not for longest', () => {
  const began = at('20T00:00');
  const records = Array.from({ length: 30 }, (_, index) =>
    record(at('01T00:00') + index * HOUR, index < 10 ? { verified: at('10T00:00') - index * DAY } : {}),
  );
  const order: number[] = [];
  for (;;) {
    const one = nextToVerify(records, { began, percent: 10, tried: new Set() });
    if (!one) break;
    order.push(records.indexOf(one));
    records[records.indexOf(one)] = { ...one, verified: began + order.length };
  }
  expect(order).toEqual([10, 11, 12]);
  expect(nextToVerify(records, { began: began + 7 * DAY, percent: 70, tried: new Set() })?.id).toBe(
    records[13]?.id,
  );
  const rest = records.map((one, index) => (index < 10 ? one : { ...one, verified: began }));
  expect(nextToVerify(rest, { began: began + 7 * DAY, percent: 10, tried: new Set() })).toBe(rest[9]);
  expect(nextToVerify(records, { began: began + 7 * DAY, percent: 0, tried: new Set() })).toBeUndefined();
  expect(
    nextToVerify([records[20]!], { began: began + 7 * DAY, percent: 10, tried: new Set([records[20]!.id]) }),
  ).toBeUndefined();
  expect([
    roundOf(undefined, 5),
    roundOf(began, began + DAY),
    roundOf(began, began + 8 * DAY),
    roundOf(began, began + 30 * DAY),
    roundOf(began, began - 1),
  ]).toEqual([5, began, began + 7 * DAY, began + 30 * DAY, began - 1]);
});
