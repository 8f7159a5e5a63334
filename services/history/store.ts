import type { DatabaseSync } from 'node:sqlite';
import type { Data } from '../../shared/contract/commands.ts';
import type { FigureHistory, SubjectKind } from '../../shared/contract/history.ts';
import { type Row, merge } from './codec.ts';
import { openRows } from './rows.ts';
import { type Tier, floorTo, planQuery } from './tiers.ts';
import { expire, oldestOf, rollUp } from './upkeep.ts';

/** One look at a host or vserver. `subject`: the uuid of a vserver, the name of a host; counters are rates already. */
export interface Sample {
  kind: SubjectKind;
  subject: string;
  name: string;
  at: number; // ms
  values: [string, number][];
}
export interface Query {
  subject: string;
  /** Of the vserver that has that name now. */
  uuid?: string | undefined;
  kind?: SubjectKind | undefined;
  since: number; // seconds
  until: number;
  now: number;
  step?: number | undefined;
  keys?: string[] | undefined;
}

const short = (value: number): number => Number(value.toPrecision(6));

/** The points in an open file. All of it waits for the disk, so it belongs into a thread of its own; throws what SQLite does. */
export function openStore(db: DatabaseSync, tiers: readonly [Tier, Tier, ...Tier[]]) {
  const rows = openRows(db);
  const [finest, second] = tiers;

  function atOnce(work: () => void): void {
    db.exec('BEGIN IMMEDIATE');
    try {
      work();
      db.exec('COMMIT');
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      rows.forgetKeys();
      throw error;
    }
  }
  function rowOf(values: [string, number][]): Row {
    const row: Row = [];
    for (const [key, value] of values) {
      const number = rows.numberOf(key);
      if (number !== undefined) row[number] = { n: 1, min: value, avg: value, max: value };
    }
    return row;
  }
  function seriesOf({ kind, subject, name }: Sample, last: number): number {
    const text = `INSERT INTO series (kind, subject, name, last) VALUES (?, ?, ?, ?)
      ON CONFLICT (kind, subject) DO UPDATE SET name = excluded.name, last = excluded.last RETURNING id`;
    return Number(rows.sql(text).get(kind, subject, name, last)?.['id']);
  }
  function write(samples: Sample[]): void {
    const points = new Map<string, { series: number; ts: number; row: Row }>();
    for (const sample of samples) {
      const ts = floorTo(sample.at / 1000, finest.step);
      const series = seriesOf(sample, ts);
      const found = points.get(`${series} ${ts}`);
      points.set(`${series} ${ts}`, { series, ts, row: merge(found?.row ?? [], rowOf(sample.values)) });
    }
    for (const { series, ts, row } of points.values()) {
      const [before] = rows.points(finest, series, ts, ts + 1);
      rows.put(finest, series, ts, merge(before?.row ?? [], row));
    }
  }

  /** From this tier as far as it goes, then from the finer ones, which are ahead of it. */
  function* pointsDown(
    tier: number,
    series: number,
    from: number,
    to: number,
  ): Generator<{ ts: number; row: Row }> {
    const one = tiers[tier];
    if (!one) return;
    const end = tier === 0 ? to : Math.min(to, Math.max(from, rows.mark(one)));
    yield* rows.points(one, series, from, end);
    if (end < to) yield* pointsDown(tier - 1, series, end, to);
  }
  function seriesCalled({ subject, uuid = '', kind }: Query) {
    const text = `SELECT id, kind, subject, name FROM series WHERE (name = ? OR (kind = 'vserver' AND subject = ?))
      AND (? = '' OR kind = ?) ORDER BY kind = 'host', subject = ? DESC, last DESC LIMIT 1`;
    const found = rows.sql(text).get(subject, uuid, kind ?? '', kind ?? '', uuid);
    return (
      found && {
        id: Number(found['id']),
        subject: String(found['name']),
        ...(found['kind'] === 'host'
          ? { kind: 'host' as const }
          : { kind: 'vserver' as const, uuid: String(found['subject']) }),
      }
    );
  }

  return {
    /** Writes samples, then what of the coarser tiers they complete; all or nothing. */
    add(samples: Sample[]): void {
      if (samples.length === 0) return;
      const times = samples.map(({ at }) => at / 1000);
      const [oldest, newest] = [
        times.reduce((a, b) => Math.min(a, b)),
        times.reduce((a, b) => Math.max(a, b)),
      ];
      atOnce(() => {
        // a new file begins to count here, so that what comes first is rolled up as well
        if (rows.mark(second) < 0) rollUp(rows, tiers, oldest);
        write(samples);
        rollUp(rows, tiers, newest);
      });
    },
    /** Removes what is too old (`now` in s), and the oldest beyond so many bytes. */
    expire(now: number, limit: number): void {
      atOnce(() => expire(rows, tiers, now, limit));
      db.exec('PRAGMA incremental_vacuum(2000)');
    },
    /** Undefined when nothing is known of that name. */
    query(query: Query): Data<'history.query'> | undefined {
      const series = seriesCalled(query);
      if (!series) return undefined;
      const { id, ...found } = series;
      const keys = [...rows.keys].filter(([key]) => !query.keys || query.keys.includes(key));
      const plan = planQuery(tiers, { ...query, keys: keys.length });
      const sums = new Map<number, Row>();
      let whole: Row = [];
      for (const { ts, row } of pointsDown(plan.tier, id, query.since, query.until)) {
        const at = Math.floor((ts - plan.since) / plan.step);
        sums.set(at, merge(sums.get(at) ?? [], row));
        whole = merge(whole, row);
      }
      const figures: Record<string, FigureHistory> = {};
      for (const [key, number] of keys) {
        const stat = whole[number];
        if (!stat) continue;
        const points = Array.from({ length: plan.points }, (_, at) => {
          const value = sums.get(at)?.[number]?.avg;
          return value === undefined ? null : short(value);
        });
        figures[key] = { min: short(stat.min), avg: short(stat.avg), max: short(stat.max), points };
      }
      return { ...found, since: plan.since * 1000, step: plan.step, figures };
    },
    /** Size in use, subjects, and how far it goes back (ms). */
    info(): { bytes: number; subjects: number; since?: number } {
      const first = oldestOf(rows, tiers);
      return {
        bytes: rows.bytes(),
        subjects: rows.ids().length,
        ...(first === undefined ? {} : { since: first * 1000 }),
      };
    },
  };
}
export type Store = ReturnType<typeof openStore>;
