import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Keep, periods } from '../../config/backup-options.ts';
import { type Backup, retention } from '../../services/backup-scheduler/retention.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const uuid = '9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11';
const backup = (taken: number, more: Partial<Backup> = {}): Backup => ({
  id: new Date(taken).toISOString().replaceAll(/[-:]|\.\d+/g, ''),
  repository: 'main',
  uuid,
  taken,
  bytes: 1,
  protected: false,
  ...more,
});

/** The label of a period, by another way than the code: the wall clock as text; weeks by counting Mondays from 1970. */
function label(period: string, ts: number, zone: string): string {
  const text = new Date(ts).toLocaleString('sv-SE', { timeZone: zone, timeZoneName: 'longOffset' }); // 2026-10-25 02:30:00 GMT+01:00
  const [date = '', time = '', offset = ''] = text.split(' ');
  if (period === 'yearly') return date.slice(0, 4);
  if (period === 'monthly') return date.slice(0, 7);
  if (period === 'daily') return date;
  if (period === 'hourly') return `${date} ${time.slice(0, 2)} ${offset}`;
  const days = Date.parse(`${date}T00:00:00Z`) / DAY;
  return String(Math.floor((days + 3) / 7)); // 1970-01-01 was a Thursday
}

/** What is kept, calculated naively: for each rule the newest good one of each of its last labels. */
function byHand(all: Backup[], keep: Keep, zone: string): string[] {
  const kept = new Set<string>();
  for (const group of new Set(all.map((one) => `${one.repository}/${one.uuid}`))) {
    const own = all.filter((one) => `${one.repository}/${one.uuid}` === group);
    const older = (a: Backup, b: Backup) => a.taken - b.taken || (a.id < b.id ? -1 : 1);
    const good = own.filter((one) => !one.faults?.length).sort(older);
    for (const list of [good, own.toSorted(older)]) {
      const chosen = new Set<Backup>(list.slice(Math.max(0, list.length - (keep.last ?? 0))));
      for (const period of periods) {
        const count = keep[period] ?? 0;
        const newest = new Map<string, Backup>();
        for (const one of list) newest.set(label(period, one.taken, zone), one); // later ones win
        const labels = [...newest.entries()].sort((a, b) => older(a[1], b[1]));
        for (const [, one] of labels.slice(Math.max(0, labels.length - count))) chosen.add(one);
      }
      for (const one of chosen) if (list === good || one.faults?.length) kept.add(`${group} ${one.id}`);
    }
    const last = good.at(-1);
    if (last) kept.add(`${group} ${last.id}`);
    for (const one of own) if (one.protected) kept.add(`${group} ${one.id}`);
  }
  return [...kept].sort();
}
const keys = (decided: ReturnType<typeof retention<Backup>>) =>
  decided
    .filter((one) => one.by.length > 0)
    .map(({ backup: one }) => `${one.repository}/${one.uuid} ${one.id}`)
    .sort();

const zones = [
  'Europe/Berlin',
  'America/New_York',
  'UTC',
  'Asia/Kolkata',
  'Pacific/Apia',
  'Australia/Lord_Howe',
];
const aKeep = fc
  .record({
    last: fc.nat(5),
    hourly: fc.nat(30),
    daily: fc.nat(10),
    weekly: fc.nat(6),
    monthly: fc.nat(14),
    yearly: fc.nat(4),
  })
  .map((keep) => Object.fromEntries(Object.entries(keep).filter(([, count]) => count > 0)) as Keep);
const from = Date.parse('2025-01-01T00:00:00Z');
const aBackup = fc
  .record({
    minutes: fc.nat(2 * 366 * 24 * 60),
    repository: fc.constantFrom('main', 'main', 'main', 'usb'),
    uuid: fc.constantFrom(uuid, uuid, uuid, 'a0000000-0000-4000-8000-000000000000'),
    protected: fc.boolean().map((is) => is),
    faulty: fc.integer({ min: 0, max: 5 }),
    kept: fc.integer({ min: 0, max: 9 }),
  })
  .map((one) =>
    backup(from + one.minutes * 60_000, {
      repository: one.repository,
      uuid: one.uuid,
      protected: one.kept === 0,
      ...(one.faulty === 0 ? { faults: ['a byte'] } : {}),
    }),
  );

test('what is kept is what a naive calculation says, for any backups, rules and time zones', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(aBackup, {
        maxLength: 60,
        selector: (one) => `${one.repository} ${one.uuid} ${one.id}`,
      }),
      aKeep.filter((keep) => Object.keys(keep).length > 0),
      fc.constantFrom(...zones),
      (all, keep, zone) => {
        expect(keys(retention(all, keep, { timezone: zone }))).toEqual(byHand(all, keep, zone));
      },
    ),
    { numRuns: 80 },
  );
});

test('whatever the rules: no protected one goes, none that is read, and the newest good one stays; without rules all stay', () => {
  fc.assert(
    fc.property(fc.array(aBackup, { maxLength: 40 }), aKeep, fc.nat(39), (all, keep, held) => {
      const decided = retention(all, keep, {
        timezone: 'UTC',
        held: (one) => (one === all[held] ? 'read' : undefined),
      });
      expect(decided).toHaveLength(all.length);
      const gone = decided.filter((one) => one.by.length === 0).map((one) => one.backup);
      expect(gone.filter((one) => one.protected || one === all[held])).toEqual([]);
      if (Object.keys(keep).length === 0) expect(gone).toEqual([]);
      for (const one of gone) {
        const better = all.some(
          (other) =>
            !gone.includes(other) &&
            !other.faults &&
            other.repository === one.repository &&
            other.uuid === one.uuid &&
            other.taken >= one.taken,
        );
        expect([one.faults !== undefined, better]).toEqual([
          one.faults !== undefined,
          one.faults === undefined ? true : better,
        ]);
      }
    }),
    { numRuns: 80 },
  );
});

test('a faulty newer one does not push the only good one out', () => {
  const good = backup(from);
  const later = [1, 2, 3].map((day) =>
    backup(from + day * DAY, { faults: ['web1: rootfs/etc/passwd differs'] }),
  );
  const decided = retention([good, ...later], { last: 1 }, { timezone: 'UTC' });
  expect(decided.map((one) => [one.backup.id, one.by])).toEqual([
    [later[2]?.id, ['last (faulty)']],
    [later[1]?.id, []],
    [later[0]?.id, []],
    [good.id, ['last', 'the only good one']],
  ]);
});

test('pruning again removes nothing more', () => {
  fc.assert(
    fc.property(fc.array(aBackup, { maxLength: 50 }), aKeep, fc.constantFrom(...zones), (all, keep, zone) => {
      const once = retention(all, keep, { timezone: zone }).filter((one) => one.by.length > 0);
      const good = once.filter((one) => !one.backup.faults).map((one) => one.backup);
      const again = retention(good, keep, { timezone: zone });
      expect(again.filter((one) => one.by.length === 0)).toEqual([]);
    }),
    { numRuns: 60 },
  );
});

test.each([
  ['Europe/Berlin', '2026-10-10'],
  ['Europe/Berlin', '2026-03-14'],
  ['America/New_York', '2026-10-20'],
])(
  '30 days of hourly backups in %s from %s, pruned after each, with a dead week: what stays is what a calculation over all says',
  (zone, day) => {
    const keep: Keep = { last: 3, hourly: 24, daily: 7, weekly: 4, monthly: 2 };
    const begin = Date.parse(`${day}T00:00:00Z`);
    let kept: Backup[] = [];
    const everything: Backup[] = [];
    for (let hour = 0; hour < 30 * 24; hour++) {
      if (hour >= 12 * 24 && hour < 19 * 24) continue; // the master was down
      const one = backup(begin + hour * HOUR + 70_000);
      everything.push(one);
      kept = retention([...kept, one], keep, { timezone: zone })
        .filter((each) => each.by.length > 0)
        .map((each) => each.backup);
    }
    const expected = byHand(everything, keep, zone);
    expect(kept.map((one) => `main/${uuid} ${one.id}`).sort()).toEqual(expected);
    expect(expected.length).toBeGreaterThan(27);
    expect(expected.length).toBeLessThan(40);
  },
);
