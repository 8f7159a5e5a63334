import { median } from './kit.ts';

export const storages = ['btrfs', 'dir'] as const;
export type Storage = (typeof storages)[number];

interface Figures {
  /** As the prober outside saw it. */
  downtimeMs: number;
  totalMs: number;
  /** Over the wire. */
  bytes: number;
  /** The steps during which it is down, in ms. */
  steps: Record<string, number>;
}
export interface Round {
  vs: Figures & { sagaDowntimeMs: number; transport: string };
  plain: Figures;
}

const whole = (values: number[]): number => Math.round(median(values));
type Key = 'downtimeMs' | 'totalMs' | 'bytes';

/** Medians of the rounds for each way, the ratio vs : plain of the medians, and the rounds themselves. */
export function summary(rounds: Round[]) {
  const of = (way: 'vs' | 'plain') => {
    const figure = (key: Key) => whole(rounds.map((one) => one[way][key]));
    const steps = Object.keys(rounds[0]?.[way].steps ?? {}).map((step) => [
      step,
      whole(rounds.map((one) => one[way].steps[step] ?? NaN)),
    ]);
    return {
      downtimeMs: figure('downtimeMs'),
      totalMs: figure('totalMs'),
      bytes: figure('bytes'),
      steps: Object.fromEntries(steps) as Record<string, number>,
    };
  };
  const [mine, plain] = [of('vs'), of('plain')];
  const ratio = (key: Key) => Number((mine[key] / plain[key]).toFixed(2));
  return {
    vs: {
      transport: rounds[0]?.vs.transport ?? '',
      ...mine,
      sagaDowntimeMs: whole(rounds.map((one) => one.vs.sagaDowntimeMs)),
    },
    plain,
    ratio: { downtime: ratio('downtimeMs'), total: ratio('totalMs'), bytes: ratio('bytes') },
    rounds,
  };
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
const stepsOf = (way: string, steps: Record<string, number>): string =>
  `  down, ${way}: ${Object.entries(steps)
    .map(([step, ms]) => `${step} ${(ms / 1000).toFixed(2)}`)
    .join(', ')}`;
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** The same for people. */
export function tableOf(
  source: string,
  rounds: number,
  results: Record<string, ReturnType<typeof summary>>,
): string {
  const line = (...cells: string[]) =>
    cells
      .map((cell, index) => (index === 0 ? cell.padEnd(34) : cell.padStart(11)))
      .join('')
      .trimEnd();
  const lines = [`moving a ${source} container between two hosts, medians of ${rounds} rounds, in turn`];
  lines.push(line('', 'downtime', 'by saga', 'total', 'bytes'));
  for (const [storage, { vs, plain, ratio }] of Object.entries(results)) {
    lines.push(
      line(
        `${storage}: vs move, ${vs.transport}`,
        seconds(vs.downtimeMs),
        seconds(vs.sagaDowntimeMs),
        seconds(vs.totalMs),
        megabytes(vs.bytes),
      ),
      line(
        `${storage}: rsync, stop, rsync, start`,
        seconds(plain.downtimeMs),
        '',
        seconds(plain.totalMs),
        megabytes(plain.bytes),
      ),
      line(`${storage}: vs : plain`, `${ratio.downtime} x`, '', `${ratio.total} x`, `${ratio.bytes} x`),
      stepsOf('vs', vs.steps),
      stepsOf('plain', plain.steps),
    );
  }
  return lines.join('\n');
}
