import { expect, test } from 'vitest';
import { runAfter, runBefore } from '../../config/cron.ts';
import { parseBackups } from '../../config/backup.ts';
import { periodOf } from '../../services/backup-scheduler/periods.ts';
import {
  intoWindow,
  isInWindow,
  jitterOf,
  lastSlot,
  nextSlot,
  overdueFrom,
} from '../../services/backup-scheduler/times.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const at = (text: string) => Date.parse(text);
const line = (text: string) => parseBackups(text, 'b')[0]!;

/** The wall clock of a zone, by Intl alone: "2026-03-29 02:30". */
const clock = (zone: string) => {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'short' });
  return (ts: number) => format.format(ts);
};

/** When a daily time comes between two moments, minute by minute: once a day, at the first minute of the day that is not before it. */
function dailyByHand(zone: string, time: string, from: number, to: number): number[] {
  const read = clock(zone);
  const days = new Map<string, number>();
  for (let ts = from - 48 * HOUR; ts <= to; ts += MINUTE) {
    const [day = '', hm = ''] = read(ts).split(' ');
    if (hm >= time && !days.has(day)) days.set(day, ts);
  }
  return [...days.values()].filter((ts) => ts > from && ts <= to);
}
const runsBetween = (expression: string, zone: string, from: number, to: number) => {
  const found: number[] = [];
  for (
    let ts = runAfter(expression, zone, from);
    ts !== undefined && ts <= to;
    ts = runAfter(expression, zone, ts)
  )
    found.push(ts);
  return found;
};
const iso = (all: number[]) => all.map((ts) => new Date(ts).toISOString());

const changes: [string, string, string][] = [
  ['Europe/Berlin', '2026-03-29', '2026-10-25'],
  ['America/New_York', '2026-03-08', '2026-11-01'],
  ['Australia/Lord_Howe', '2026-10-04', '2026-04-05'], // half an hour
  ['America/Santiago', '2026-09-06', '2026-04-05'], // at midnight
  ['Africa/Cairo', '2026-04-24', '2026-10-30'], // at midnight
  ['UTC', '2026-03-29', '2026-10-25'],
  ['Asia/Kolkata', '2026-03-29', '2026-10-25'],
];
test.each(changes)(
  '%s: each time of the day comes once a day, when clocks go forward and when they go back',
  (zone, spring, autumn) => {
    for (const day of [spring, autumn])
      for (const [hour, minute] of [
        [0, 0],
        [0, 30],
        [1, 30],
        [2, 0],
        [2, 30],
        [3, 0],
        [23, 59],
      ] as const) {
        const from = at(`${day}T00:00:00Z`) - 36 * HOUR;
        const to = from + 84 * HOUR;
        const time = `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`;
        const expected = dailyByHand(zone, time, from, to);
        expect([zone, time, iso(runsBetween(`${minute} ${hour} * * *`, zone, from, to))]).toEqual([
          zone,
          time,
          iso(expected),
        ]);
      }
  },
);

test('02:30 in Berlin: at 03:00 when there is none, and only the first of two', () => {
  const from = (day: string) => runAfter('30 2 * * *', 'Europe/Berlin', at(`${day}T12:00:00Z`)) ?? 0;
  expect(iso([from('2026-03-28')])).toEqual(['2026-03-29T01:00:00.000Z']);
  expect(
    iso([from('2026-10-24'), runAfter('30 2 * * *', 'Europe/Berlin', at('2026-10-25T00:30:00Z')) ?? 0]),
  ).toEqual(['2026-10-25T00:30:00.000Z', '2026-10-26T01:30:00.000Z']);
});

test('a list of times is no schedule of hours: each of them comes once a day, too', () => {
  const runs = (day: string) =>
    iso(
      runsBetween(
        '30 2,14 * * *',
        'Europe/Berlin',
        at(`${day}T00:00:00Z`) - 3 * HOUR,
        at(`${day}T20:00:00Z`),
      ),
    );
  expect(runs('2026-03-29')).toEqual(['2026-03-29T01:00:00.000Z', '2026-03-29T12:30:00.000Z']);
  expect(runs('2026-10-25')).toEqual(['2026-10-25T00:30:00.000Z', '2026-10-25T13:30:00.000Z']);
});

test('each hour is each hour, whatever the clocks do', () => {
  for (const [zone, spring, autumn] of changes.filter(([name]) => !/Lord_Howe|Kolkata/.test(name)))
    for (const day of [spring, autumn]) {
      const from = at(`${day}T00:00:00Z`) - 12 * HOUR;
      const runs = runsBetween('0 * * * *', zone, from, from + 48 * HOUR);
      expect([zone, runs]).toEqual([
        zone,
        Array.from({ length: 48 }, (_, index) => from + (index + 1) * HOUR),
      ]);
    }
});

test('the run before is the inverse of the run after, at every minute of the days of change', () => {
  for (const expression of ['30 2 * * *', '*/20 * * * *', '0 3 * * 0', '15 1,2,3 * * *'])
    for (const day of ['2026-03-29', '2026-10-25']) {
      const zone = 'Europe/Berlin';
      const from = at(`${day}T00:00:00Z`) - 3 * HOUR;
      const runs = runsBetween(expression, zone, from - 15 * 24 * HOUR, from + 12 * HOUR);
      for (let ts = from; ts < from + 9 * HOUR; ts += 10 * MINUTE + 7000) {
        const expected = runs.findLast((one) => one <= ts) ?? 0;
        expect([expression, new Date(ts).toISOString(), iso([runBefore(expression, zone, ts) ?? 0])]).toEqual(
          [expression, new Date(ts).toISOString(), iso([expected])],
        );
      }
      for (const one of runs.slice(-3)) expect(runBefore(expression, zone, one)).toBe(one);
    }
});

test('a window, also over midnight, and where it begins', () => {
  const night = line('a:hot:window=22:00-06:00,timezone=Europe/Berlin');
  const day = line('a:hot:window=9:00-17:00,timezone=Europe/Berlin');
  const is = (one: typeof night, text: string) => isInWindow(one, at(text));
  expect(
    ['2026-01-01T20:59Z', '2026-01-01T21:00Z', '2026-01-02T04:59Z', '2026-01-02T05:00Z'].map((text) =>
      is(night, text),
    ),
  ).toEqual([false, true, true, false]);
  expect(
    ['2026-07-01T06:59Z', '2026-07-01T07:00Z', '2026-07-01T14:59Z', '2026-07-01T15:00Z'].map((text) =>
      is(day, text),
    ),
  ).toEqual([false, true, true, false]);
  expect(
    iso([intoWindow(night, at('2026-01-01T12:00:30Z')), intoWindow(night, at('2026-01-01T22:00:30Z'))]),
  ).toEqual(['2026-01-01T21:00:00.000Z', '2026-01-01T22:00:30.000Z']);
  // the window begins in the hour that is left out
  const gone = line('a:hot:window=2:15-2:45,timezone=Europe/Berlin');
  expect(iso([intoWindow(gone, at('2026-03-28T12:00:00Z'))])).toEqual(['2026-03-30T00:15:00.000Z']);
});

test('jitter is the same for a vserver for ever, within its bound, and spreads many', () => {
  const all = Array.from({ length: 500 }, (_, index) => jitterOf(`web${index}`, 10 * MINUTE));
  expect(all).toEqual(Array.from({ length: 500 }, (_, index) => jitterOf(`web${index}`, 10 * MINUTE)));
  expect(Math.min(...all)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...all)).toBeLessThan(10 * MINUTE);
  for (let part = 0; part < 10; part++)
    expect(all.filter((ms) => Math.floor(ms / MINUTE) === part).length).toBeGreaterThan(20);
  expect(jitterOf('web1')).toBe(0);
});

test('slots have the time of the schedule, and begin with the jitter', () => {
  const one = line('web1:hot:schedule=daily,timezone=UTC,jitter=1h');
  const late = jitterOf('web1', HOUR);
  const midnight = at('2026-11-27T00:00:00Z');
  expect(nextSlot(one, 'web1', midnight - 1)).toEqual({ slot: midnight, at: midnight + late });
  expect(nextSlot(one, 'web1', midnight + late)).toEqual({
    slot: midnight + 24 * HOUR,
    at: midnight + 24 * HOUR + late,
  });
  expect(lastSlot(one, 'web1', midnight + late - 1)).toBe(midnight - 24 * HOUR);
  expect(lastSlot(one, 'web1', midnight + late)).toBe(midnight);
});

test('overdue: one and a half intervals after the last success, also over a weekend', () => {
  const from = (text: string, success: string) =>
    new Date(overdueFrom(line(text), 'web1', at(success)) ?? 0).toISOString();
  expect(from('web1:hot:schedule=daily,timezone=UTC', '2026-11-27T00:05:00Z')).toBe(
    '2026-11-28T12:00:00.000Z',
  );
  expect(from('web1:hot:schedule=hourly,timezone=UTC', '2026-11-27T00:05:00Z')).toBe(
    '2026-11-27T01:30:00.000Z',
  );
  expect(from('web1:hot:schedule="0 18 * * 1-5",timezone=UTC', '2026-11-27T18:05:00Z')).toBe(
    '2026-12-01T06:00:00.000Z',
  );
  expect(overdueFrom(line('web1:hot'), 'web1', 0)).toBeUndefined();
});

test('ISO weeks, and the hour that comes twice', () => {
  const week = (text: string) => periodOf('weekly', at(text), 'UTC');
  expect(
    ['2026-01-01', '2027-01-03', '2027-01-04', '2024-12-30', '2021-01-03', '2020-12-31'].map((day) =>
      week(`${day}T12:00:00Z`),
    ),
  ).toEqual(['2026-W1', '2026-W53', '2027-W1', '2025-W1', '2020-W53', '2020-W53']);
  const hour = (text: string) => periodOf('hourly', at(text), 'Europe/Berlin');
  expect(hour('2026-10-25T00:10:00Z')).not.toBe(hour('2026-10-25T01:10:00Z'));
  expect(hour('2026-10-25T00:10:00Z')).toBe(hour('2026-10-25T00:59:59Z'));
  expect(periodOf('daily', at('2026-10-24T22:30:00Z'), 'Europe/Berlin')).toBe(
    periodOf('daily', at('2026-10-25T22:30:00Z'), 'Europe/Berlin'),
  );
});
