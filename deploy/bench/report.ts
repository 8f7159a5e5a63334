import { median } from './kit.ts';

export const storages = ['btrfs', 'dir'] as const;
export type Storage = (typeof storages)[number];

interface Figures {
  /** As the prober outside saw it. */
  downtimeMs: number;
  totalMs: number;
  /** Over the wire. */
  bytes: number;
}
export interface Round {
  vs: Figures & { sagaDowntimeMs: number; transport: string };
  plain: Figures;
}

const keys = ['downtimeMs', 'totalMs', 'bytes'] as const;

/** Medians of the rounds for each way, the ratio vs : plain of the medians, and the rounds themselves. */
export function summary(rounds: Round[]) {
  const of = (way: 'vs' | 'plain') =>
    Object.fromEntries(
      keys.map((key) => [key, Math.round(median(rounds.map((one) => one[way][key])))]),
    ) as Record<(typeof keys)[number], number>;
  const [mine, plain] = [of('vs'), of('plain')];
  const ratio = (key: (typeof keys)[number]) => Number((mine[key] / plain[key]).toFixed(2));
  return {
    vs: {
      transport: rounds[0]?.vs.transport ?? '',
      ...mine,
      sagaDowntimeMs: Math.round(median(rounds.map((one) => one.vs.sagaDowntimeMs))),
    },
    plain,
    ratio: { downtime: ratio('downtimeMs'), total: ratio('totalMs'), bytes: ratio('bytes') },
    rounds,
  };
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
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
    );
  }
  return lines.join('\n');
}
