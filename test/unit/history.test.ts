import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, describe, expect, test } from 'vitest';
import { type Row, decode, encode, merge, samplesOf } from '../../services/history/codec.ts';
import { asideFiles, closeFile, isDamage, openFile } from '../../services/history/file.ts';
import { keptOf, ratesOf } from '../../services/history/rates.ts';
import { type Sample, openStore } from '../../services/history/store.ts';
import { openThread } from '../../services/history/thread.ts';
import { planQuery, tiersFor } from '../../services/history/tiers.ts';
import { isCounter, keptFigures, unitOf } from '../../shared/contract/figures.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-history-'));
afterAll(() => rmSync(directory, { recursive: true }));
let number = 0;
function open(file = join(directory, `${++number}`, 'metrics.sqlite')) {
  const { db, aside } = openFile(file);
  return { file, db, aside, store: openStore(db, tiersFor(365)), close: () => closeFile(db) };
}
/** A Monday, 00:00 UTC, seconds. */
const T0 = 1_764_547_200;
const sample = (seconds: number, value: number, more: Partial<Sample> = {}): Sample => ({
  kind: 'vserver',
  subject: 'uuid-1',
  name: 'web1',
  at: seconds * 1000,
  values: [
    ['cpu_pct', value],
    ['mem_bytes', 1e9],
  ],
  ...more,
});
const every10s = (from: number, to: number, value: (seconds: number) => number = () => 1) =>
  Array.from({ length: Math.ceil((to - from) / 10) }, (_, at) =>
    sample(from + at * 10, value(from + at * 10)),
  );
const same = (value: number, n = 1) => ({ n, min: value, avg: value, max: value });

describe('a row', () => {
  test('comes back as it was, to seven digits', () => {
    const row: Row = [same(0), undefined, same(12.5), { n: 1, min: 1, avg: 2.25, max: 1e12 }];
    row[9] = same(3);
    const back = decode(encode(row), 1);
    expect(back.map((one) => one ?? null)).toEqual([
      same(0),
      null,
      same(12.5),
      { n: 1, min: 1, avg: 2.25, max: Math.fround(1e12) },
      null,
      null,
      null,
      null,
      null,
      same(3),
    ]);
  });
  test('takes no room for what is zero', () => {
    expect(encode(Array.from({ length: 28 }, () => same(0)))).toHaveLength(8);
    expect(encode(Array.from({ length: 28 }, () => same(1)))).toHaveLength(8 + 28 * 4);
    expect(encode(Array.from({ length: 28 }, () => ({ n: 2, min: 1, avg: 2, max: 3 })))).toHaveLength(
      8 + 28 * 12,
    );
    expect(encode([])).toHaveLength(1);
  });
  test('one that is none is damage', () => {
    expect(() => decode(new Uint8Array([4, 0xff]), 1)).toThrow('a row is damaged');
    try {
      decode(new Uint8Array(), 1);
    } catch (error) {
      expect(isDamage(error)).toBe(true);
    }
  });
  test('two become one: the least, the most, the average by their numbers', () => {
    const few = [same(4), same(1)];
    const many = [{ n: 3, min: 0, avg: 8, max: 9 }, undefined, same(2)];
    const sum = merge(few, many);
    expect(sum).toEqual([{ n: 4, min: 0, avg: 7, max: 9 }, same(1), same(2)]);
    expect(samplesOf(sum)).toBe(4);
    expect(merge([], few)).toEqual(few);
  });
});

describe('rates', () => {
  test('of counters, per second; one that fell began anew', () => {
    const before = { ts: 1000, net_rx_bytes: 1000, mem_bytes: 5, cpu_seconds_total: 2 };
    expect(
      ratesOf(before, { ts: 11_000, net_rx_bytes: 6000, mem_bytes: 6, cpu_seconds_total: 2 }, 10),
    ).toEqual({
      net_rx_bytes: 500,
      cpu_seconds_total: 0,
    });
    expect(ratesOf(before, { net_rx_bytes: 50 }, 10)).toEqual({ net_rx_bytes: 5 });
    expect(ratesOf(undefined, { net_rx_bytes: 50 }, 10)).toEqual({});
    expect(ratesOf(before, { net_rx_bytes: 2000 }, 0.1)).toEqual({});
  });
  test('what is kept: the table, counters as rates; a new key takes no room', () => {
    const kept = keptOf(
      { cpu_pct: 3, net_rx_bytes: 1e6, host: 'x', made_up: 7, mem_pct: Number.NaN },
      { net_rx_bytes: 5 },
    );
    expect(kept).toEqual([
      ['cpu_pct', 3],
      ['net_rx_bytes', 5],
    ]);
  });
  test('keys tell what they are, in the table or not', () => {
    for (const { key, unit, counter } of keptFigures)
      expect([key, isCounter(key), unitOf(key)]).toEqual([key, counter ?? false, unit]);
    expect(
      ['net_eth0_rx_bytes', 'inet_tx_bytes', 'io_reads_total', 'mem_bytes', 'mem_max_bytes'].map(isCounter),
    ).toEqual([true, true, true, false, false]);
    expect(['x_bytes', 'y_pct', 'uptime_seconds', 'load_5', 'cpu_limit_cores', 'procs'].map(unitOf)).toEqual([
      'bytes',
      'percent',
      'seconds',
      'load',
      'cores',
      'count',
    ]);
  });
});

describe('which tier answers', () => {
  const tiers = tiersFor(365);
  const plan = (hours: number, more: object = {}) =>
    planQuery(tiers, { since: T0 - hours * 3600, until: T0, now: T0, keys: 10, ...more });
  test('the finest that goes so far back and has not too many points', () => {
    expect([1, 4, 24, 25, 24 * 7, 24 * 365].map((hours) => plan(hours).tier)).toEqual([0, 0, 1, 1, 2, 2]);
  });
  test('one hour of long ago is in the coarse one only', () => {
    const old = { since: T0 - 40 * 86_400, until: T0 - 40 * 86_400 + 3600 };
    expect(planQuery(tiers, { ...old, now: T0, keys: 1 })).toMatchObject({ tier: 2, step: 600, points: 6 });
    expect(planQuery(tiers, { since: T0 - 5000 * 86_400, until: T0, now: T0, keys: 1 }).tier).toBe(2);
  });
  test('the step is that of the tier, or a multiple; never more numbers than a message holds', () => {
    expect(plan(1)).toMatchObject({ step: 10, points: 360 });
    expect(plan(1, { step: 25 })).toMatchObject({ step: 30 });
    for (const [hours, keys] of [
      [24 * 365, 1],
      [24 * 365, 100],
      [24, 28],
      [0.01, 1],
      [24 * 36_500, 100],
    ] as const) {
      const { step, points, tier } = plan(hours, { keys });
      expect(points * keys).toBeLessThanOrEqual(31_000);
      expect(step % (tiers[tier]?.step ?? 0)).toBe(0);
    }
  });
});

describe('the file', () => {
  const query = (from: number, to: number, more: object = {}) => ({
    subject: 'web1',
    since: from,
    until: to,
    now: to,
    keys: ['cpu_pct'],
    ...more,
  });

  test('points of 10 s, the same ones after it was closed and opened', () => {
    const one = open();
    one.store.add(every10s(T0, T0 + 60, (at) => at - T0));
    const wanted = { kind: 'vserver', uuid: 'uuid-1', since: T0 * 1000, step: 10 };
    const figures = { cpu_pct: { min: 0, avg: 25, max: 50, points: [0, 10, 20, 30, 40, 50] } };
    expect(one.store.query(query(T0, T0 + 60))).toMatchObject({ ...wanted, figures });
    one.close();
    const again = open(one.file);
    expect(again.store.query(query(T0, T0 + 60))).toMatchObject({ ...wanted, figures });
    again.close();
    expect(statSync(one.file).mode & 0o077).toBe(0);
  });

  test('two samples of ten seconds are one point; a hole is null; a later one of the same time is added', () => {
    const { store, close } = open();
    store.add([sample(T0, 2), sample(T0 + 4, 6), sample(T0 + 20, 1)]);
    store.add([sample(T0 + 8, 10)]);
    expect(store.query(query(T0, T0 + 30))?.figures['cpu_pct']).toEqual({
      min: 1,
      avg: 4.75,
      max: 10,
      points: [6, null, 1],
    });
    close();
  });

  test('a minute and ten minutes are rolled up when they are over: minimum, average, maximum of all samples', () => {
    const { store, db, close } = open();
    const value = (at: number) => (at - T0) % 600;
    // in batches, as they come
    for (let from = T0; from < T0 + 1200; from += 20) store.add(every10s(from, from + 20, value));
    const rows = (step: number) =>
      Number(db.prepare(`SELECT count(*) AS n FROM points_${step}`).get()?.['n']);
    expect([rows(10), rows(60), rows(600)]).toEqual([120, 19, 1]);
    store.add([sample(T0 + 1200, 0)]);
    expect([rows(10), rows(60), rows(600)]).toEqual([121, 20, 2]);
    db.exec('DELETE FROM points_10; DELETE FROM points_60');
    const found = store.query(query(T0, T0 + 1200, { now: T0 + 400 * 86_400 }));
    expect(found?.figures['cpu_pct']).toEqual({ min: 0, avg: 295, max: 590, points: [295, 295] });
    close();
  });

  test('a long answer ends with what is not rolled up yet', () => {
    const { store, close } = open();
    for (let from = T0; from < T0 + 3700; from += 100) store.add(every10s(from, from + 100, () => 5));
    const found = store.query(query(T0 - 86_400 * 20, T0 + 3700, { step: 600 }));
    expect(found?.step).toBe(1200); // 20 days, at most 1500 points
    expect(found?.figures['cpu_pct']?.points.filter((value) => value !== null)).toEqual([5, 5, 5, 5]);
    const day = store.query(query(T0 - 36_000, T0 + 3700, { step: 60 }));
    expect(day?.figures['cpu_pct']?.points.filter((value) => value !== null)).toHaveLength(62);
    close();
  });

  test('a crash between two batches loses nothing of a roll-up', () => {
    const one = open();
    one.store.add(every10s(T0, T0 + 50));
    one.db.close(); // no order: as after a kill
    const again = open(one.file);
    expect(again.aside).toBeUndefined();
    again.store.add(every10s(T0 + 50, T0 + 130, () => 3));
    const rolled = again.db.prepare('SELECT n FROM points_60 ORDER BY ts').all();
    expect(rolled.map(({ n }) => n)).toEqual([6, 6]);
    again.close();
  });

  test('a move and a rename keep one history, another vserver of the same name has its own', () => {
    const { store, close } = open();
    store.add([sample(T0, 1), sample(T0 + 10, 1, { name: 'old1' })]);
    expect(store.query(query(T0, T0 + 20, { subject: 'old1' }))?.uuid).toBe('uuid-1');
    expect(store.query(query(T0, T0 + 20))).toBeUndefined();
    store.add([sample(T0 + 20, 9, { subject: 'uuid-2' }), sample(T0 + 30, 9, { name: 'web1' })]);
    expect(store.query(query(T0, T0 + 40, { uuid: 'uuid-2' }))?.figures['cpu_pct']?.points[2]).toBe(9);
    expect(store.query(query(T0, T0 + 40, { uuid: 'uuid-2' }))?.uuid).toBe('uuid-2');
    expect(store.query(query(T0, T0 + 40))?.uuid).toBe('uuid-1'); // the last that was heard
    store.add([sample(T0 + 40, 4, { kind: 'host', subject: 'web1' })]);
    expect(store.query(query(T0, T0 + 50, { kind: 'host' }))?.kind).toBe('host');
    expect(store.query(query(T0, T0 + 50))?.kind).toBe('vserver');
    close();
  });

  test('each tier goes after its time, a removed vserver with its last point', () => {
    const { store, db, close } = open();
    for (let from = T0; from < T0 + 1300; from += 100) store.add(every10s(from, from + 100));
    const rows = () =>
      [10, 60, 600].map((step) =>
        Number(db.prepare(`SELECT count(*) AS n FROM points_${step}`).get()?.['n']),
      );
    const day = 86_400;
    store.expire(T0 + 1300 + day, 1e9);
    expect(rows()[0]).toBe(0);
    expect(rows()[1]).toBe(22);
    store.expire(T0 + 1300 + 8 * day, 1e9);
    expect(rows()).toEqual([0, 0, 3]);
    expect(store.info()).toMatchObject({ subjects: 1, since: T0 * 1000 });
    store.expire(T0 + 1300 + 366 * day, 1e9);
    expect(rows()).toEqual([0, 0, 0]);
    expect(store.info().subjects).toBe(0);
    close();
  });

  test('what was not rolled up in a former life is, before it goes', () => {
    const { store, db, close } = open();
    store.add(every10s(T0, T0 + 590)); // the ten minutes are not over
    store.expire(T0 + 2 * 86_400, 1e9);
    expect(Number(db.prepare('SELECT n FROM points_600').get()?.['n'])).toBe(59);
    close();
  });

  test('beyond its size the oldest of the year goes first', () => {
    const { store, close } = open();
    const many = (from: number, to: number) => {
      for (let at = from; at < to; at += 6000)
        store.add(
          Array.from({ length: 100 }, (_, n) =>
            sample(at + n * 60, n, {
              values: keptFigures.map(({ key }, index) => [key, at * 7 + n * 13 + index]),
            }),
          ),
        );
    };
    many(T0, T0 + 2 * 86_400);
    const before = store.info();
    store.expire(T0 + 2 * 86_400, before.bytes * 0.3);
    const after = store.info();
    expect(after.bytes).toBeLessThanOrEqual(before.bytes * 0.3);
    expect(after.since).toBeGreaterThan(T0 * 1000);
    expect(store.query(query(T0 + 2 * 86_400 - 3600, T0 + 2 * 86_400))?.figures['cpu_pct']).toBeDefined();
    close();
  });

  test('a clock that goes back does no harm', () => {
    const { store, close } = open();
    store.add(every10s(T0 + 86_400, T0 + 86_400 + 300));
    store.add(every10s(T0, T0 + 300, () => 2));
    expect(store.query(query(T0, T0 + 300))?.figures['cpu_pct']).toMatchObject({ min: 2, max: 2 });
    close();
  });
});

describe('a damaged file', () => {
  /** Blanks from a place to the end. */
  function blank(file: string, from: number): void {
    const opened = openSync(file, 'r+');
    writeSync(opened, Buffer.alloc(statSync(file).size - from, 0x20), 0, undefined, from);
    closeSync(opened);
  }

  test.each([
    ['no database at all', (file: string) => writeFileSync(file, 'x'.repeat(20_000))],
    ['cut off', (file: string) => truncateSync(file, 9000)],
    ['blanks behind the first page', (file: string) => blank(file, 4096)],
    [
      'blanks in its last pages, which nobody reads soon',
      (file: string) => blank(file, statSync(file).size - 12_288),
    ],
  ])('%s: it is put aside, and a new one begins', (_, harm) => {
    const one = open();
    for (let from = T0; from < T0 + 2000; from += 100) one.store.add(every10s(from, from + 100));
    one.db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    one.db.close(); // as after a kill, so it is looked at
    harm(one.file);
    const again = open(one.file);
    expect(again.aside).toMatch(/metrics\.sqlite\.damaged-/);
    expect(asideFiles(one.file)).toEqual([again.aside]);
    again.store.add(every10s(T0, T0 + 20));
    expect(again.store.info().subjects).toBe(1);
    again.close();
    // only one of them is kept
    writeFileSync(one.file, 'y'.repeat(20_000));
    const third = open(one.file);
    expect(asideFiles(one.file)).toHaveLength(1);
    third.close();
    expect(readdirSync(join(one.file, '..')).filter((name) => name.includes('damaged'))).toHaveLength(1);
  });
  test('found while it is read: the thread puts it aside, begins anew and goes on', async () => {
    const file = join(directory, 'thread', 'metrics.sqlite');
    const told: string[] = [];
    const thread = openThread({ file, days: 365, limitBytes: 1e9 }, (aside) => void told.push(aside));
    const query = { subject: 'web1', since: T0, until: T0 + 60, now: T0 + 60 };
    await thread.add(every10s(T0, T0 + 60));
    expect((await thread.query(query))?.figures['cpu_pct']?.max).toBe(1);
    const other = new DatabaseSync(file);
    other.exec("UPDATE points_10 SET data = x'04ff'");
    other.close();
    expect(await thread.query(query)).toBeUndefined(); // the new one knows nothing
    expect(told).toEqual(asideFiles(file).filter((one) => !/-(wal|shm)$/.test(one)));
    await thread.add(every10s(T0, T0 + 60, () => 2));
    expect((await thread.query(query))?.figures['cpu_pct']?.max).toBe(2);
    await thread.close();
  });
  test('one of a newer version is refused, and stays as it is', () => {
    const one = open();
    one.db.exec('PRAGMA user_version = 9');
    one.db.close();
    expect(() => openFile(one.file)).toThrow('a newer version of vs-tools');
    expect(asideFiles(one.file)).toEqual([]);
  });
});
