import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type Row, decode, encode, samplesOf } from './codec.ts';
import type { Tier } from './tiers.ts';

/** The number of a key has one byte in a row. */
const KEYS = 250;

/** The tables, row by row. */
export function openRows(db: DatabaseSync) {
  const statements = new Map<string, StatementSync>();
  const sql = (text: string): StatementSync => {
    const known = statements.get(text) ?? db.prepare(text);
    statements.set(text, known);
    return known;
  };
  const keys = new Map(
    db
      .prepare('SELECT id, key FROM keys')
      .all()
      .map((row) => [String(row['key']), Number(row['id'])]),
  );
  const pragma = (name: string): number => Number(db.prepare(`PRAGMA ${name}`).get()?.[name]);
  return {
    sql,
    /** Every key that was ever kept, with its number in a row. */
    keys: keys as ReadonlyMap<string, number>,
    /** The number of a key, a new one if need be; undefined when there are too many. */
    numberOf(key: string): number | undefined {
      let number = keys.get(key);
      if (number === undefined && keys.size < KEYS) {
        number = keys.size;
        sql('INSERT INTO keys VALUES (?, ?)').run(number, key);
        keys.set(key, number);
      }
      return number;
    },
    /** After a transaction that failed: keys that it added are not there. */
    forgetKeys(): void {
      const there = new Set(
        sql('SELECT key FROM keys')
          .all()
          .map((row) => String(row['key'])),
      );
      for (const key of keys.keys()) if (!there.has(key)) keys.delete(key);
    },
    ids: (): number[] =>
      sql('SELECT id FROM series')
        .all()
        .map((row) => Number(row['id'])),
    /** Points of a tier from a moment (s) to before another. */
    *points(tier: Tier, series: number, from: number, to: number): Generator<{ ts: number; row: Row }> {
      const text = `SELECT ts, n, data FROM points_${tier.step} WHERE series = ? AND ts >= ? AND ts < ? ORDER BY ts`;
      for (const row of sql(text).iterate(series, from, to))
        yield { ts: Number(row['ts']), row: decode(row['data'] as Uint8Array, Number(row['n'])) };
    },
    put: ({ step }: Tier, series: number, ts: number, row: Row) =>
      void sql(`INSERT OR REPLACE INTO points_${step} VALUES (?, ?, ?, ?)`).run(
        series,
        ts,
        samplesOf(row),
        encode(row),
      ),
    /** Up to when a coarser tier is rolled up (s); -1 in a new file. */
    mark: ({ step }: Tier): number =>
      Number(sql('SELECT value FROM meta WHERE key = ?').get(`rolled_${step}`)?.['value'] ?? -1),
    setMark: ({ step }: Tier, ts: number) =>
      void sql('INSERT OR REPLACE INTO meta VALUES (?, ?)').run(`rolled_${step}`, ts),
    drop(tier: Tier, before: number): void {
      for (const series of this.ids())
        sql(`DELETE FROM points_${tier.step} WHERE series = ? AND ts < ?`).run(series, before);
    },
    /** The first moment of a tier (s). */
    oldest(tier: Tier): number | undefined {
      const text = `SELECT min(ts) AS ts FROM points_${tier.step} WHERE series = ?`;
      const found = this.ids().flatMap((series) => {
        const ts = sql(text).get(series)?.['ts'];
        return ts === null || ts === undefined ? [] : [Number(ts)];
      });
      return found.length > 0 ? found.reduce((a, b) => Math.min(a, b)) : undefined;
    },
    /** In use, without what was freed. */
    bytes: (): number => (pragma('page_count') - pragma('freelist_count')) * pragma('page_size'),
  };
}
export type Rows = ReturnType<typeof openRows>;
