import { median } from './kit.ts';
import { isOurs, isScript } from './move-names.ts';

export const storages = ['btrfs', 'dir'] as const;
export type Storage = (typeof storages)[number];
export const setNames = ['S', 'M', 'L'] as const;
export type SetName = (typeof setNames)[number];

export interface Figures {
  /** As the prober outside saw it: its TCP service, and ping. */
  downtimeMs: number;
  pingMs: number;
  totalMs: number;
  /** Over the wire. */
  bytes: number;
  /** The steps during which it is down, in ms. */
  steps: Record<string, number>;
  /** What the saga itself says (vs only). */
  sagaDowntimeMs?: number;
  transport?: string;
}
/** By storage and set ("btrfs S"), then by way: each round. */
export type Results = Record<string, Record<string, Figures[]>>;
/** The medians of the rounds; what it is down beyond the floor of the same run, and its total as a multiple of the fastest script's. */
export interface Median {
  downtimeMs: number;
  pingMs: number;
  totalMs: number;
  bytes: number;
  steps: Record<string, number>;
  aboveFloorMs?: number;
  totalRatio?: number;
}
export type Medians = Record<string, Record<string, Median>>;

/** What all figures of a run have in common. */
export interface About {
  source: string;
  rounds: number;
  /** The other program in it, with its version. */
  peer?: string;
}
/** The same for people. */
export const titleOf = ({ source, rounds, peer }: About): string =>
  `a ${source} container between two hosts, medians of ${rounds} rounds, in turn${peer ? `; ${peer}` : ''}`;

const whole = (values: number[]): number => Math.round(median(values));

/** Medians of the rounds for each way of each storage and set. */
export function summary(results: Results): Medians {
  return Object.fromEntries(
    Object.entries(results).map(([where, ways]) => {
      const medians: Record<string, Median> = {};
      for (const [way, rounds] of Object.entries(ways)) {
        const of = (key: 'downtimeMs' | 'pingMs' | 'totalMs' | 'bytes') =>
          whole(rounds.map((one) => one[key]));
        const steps = Object.keys(rounds[0]?.steps ?? {}).map((step) => [
          step,
          whole(rounds.map((one) => one.steps[step] ?? NaN)),
        ]);
        medians[way] = {
          downtimeMs: of('downtimeMs'),
          pingMs: of('pingMs'),
          totalMs: of('totalMs'),
          bytes: of('bytes'),
          steps: Object.fromEntries(steps) as Record<string, number>,
        };
      }
      const floor = medians['floor'];
      const scripts = Object.entries(medians).filter(([way]) => isScript(way));
      const fastest = Math.min(...scripts.map(([, one]) => one.totalMs));
      for (const [way, one] of Object.entries(medians)) {
        if (floor && way !== 'floor') one.aboveFloorMs = one.downtimeMs - floor.downtimeMs;
        if (scripts.length > 0 && way !== 'floor')
          one.totalRatio = Number((one.totalMs / fastest).toFixed(2));
      }
      return [where, medians];
    }),
  );
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

/** The same for people, in 80 columns where the names of the ways allow it. */
export function tableOf(about: About, medians: Medians): string {
  const names = Object.values(medians).flatMap((ways) => Object.keys(ways));
  const width = Math.max(34, ...names.map((name) => name.length + 2));
  const line = (...cells: string[]) =>
    cells
      .map((cell, index) => (index === 0 ? cell.padEnd(width) : cell.padStart(9)))
      .join('')
      .trimEnd();
  const lines = [titleOf(about)];
  for (const [where, ways] of Object.entries(medians)) {
    lines.push('', line(where, 'down', '- floor', 'ping', 'total', 'bytes'));
    for (const [way, one] of Object.entries(ways))
      lines.push(
        line(
          `  ${way}`,
          seconds(one.downtimeMs),
          one.aboveFloorMs === undefined ? '' : seconds(one.aboveFloorMs),
          seconds(one.pingMs),
          seconds(one.totalMs),
          megabytes(one.bytes),
        ),
      );
    for (const [way, { steps }] of Object.entries(ways))
      if (isOurs(way) || way === 'floor')
        lines.push(
          ...wrap(
            `  ${way}: ${Object.entries(steps)
              .map(([step, ms]) => `${step} ${(ms / 1000).toFixed(2)}`)
              .join(', ')}`,
          ),
        );
  }
  return lines.join('\n');
}

/** A line of words in lines of at most 80 columns. */
function wrap(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.trimStart().split(/(?<=,) /)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= 80)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`${lines.length === 0 ? '  ' : '    '}${word}`);
  }
  return lines;
}
