import { type BenchLab, memoryOf, pidOf, say, withLab } from './kit.ts';

const MOVES = 10; // of a round
/** What is asserted: the most memory of the last third of the rounds, as a multiple of the most of the first third. */
const limit = 1.1;
const processes = [
  ['broker', 'master'],
  ['master', 'master'],
  ['agent', 'host1'],
  ['agent', 'host2'],
] as const;

export interface RowResult {
  moves: number;
  rounds: number;
  limit: number;
  /** Of each process: the most resident memory (bytes) of the first and of the last third of the rounds, and how many times the first that is. */
  memory: Record<string, { first: number; last: number; ratio: number }>;
}

/** A process that keeps what it should let go grows from third to third; one whose heap is only collected late does not. */
export function growthOf(samples: number[]): { first: number; last: number; ratio: number } {
  const third = Math.max(1, Math.floor(samples.length / 3));
  const first = Math.max(...samples.slice(0, third));
  const last = Math.max(...samples.slice(-third));
  return { first, last, ratio: Number((last / first).toFixed(3)) };
}

async function measure(lab: BenchLab, rounds: number): Promise<RowResult> {
  await lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
  const pids = await Promise.all(processes.map(([name, node]) => pidOf(lab, node, name)));
  const samples = processes.map((): number[] => []);
  for (let round = 1; round <= rounds; round++) {
    for (let move = 1; move <= MOVES; move++) await lab.vs(['move', 'web1', move % 2 ? 'host2' : 'host1']);
    for (const [index, pid] of pids.entries()) samples[index]?.push(memoryOf(pid));
    say(
      `${round * MOVES} of ${rounds * MOVES} moves: ${processes
        .map(([name, node], index) => `${name} on ${node} ${mb(samples[index]?.at(-1))}`)
        .join(', ')} MB`,
    );
  }
  const memory = Object.fromEntries(
    processes.map(([name, node], index) => [`${name} on ${node}`, growthOf(samples[index] ?? [])]),
  );
  return { moves: rounds * MOVES, rounds, limit, memory };
}
const mb = (bytes = 0) => Math.round(bytes / 1e6);

/** `bench row`: what the processes take after many moves beside what they took after the first; the exit code. */
export async function benchRow(options: {
  lab: string;
  rounds: number;
  json: boolean;
  signal: AbortSignal;
}): Promise<number> {
  const found = await withLab(options.lab, 'dir', options.signal, (lab) => measure(lab, options.rounds));
  const grown = Object.entries(found.memory).filter(([, { ratio }]) => ratio > limit);
  if (options.json) console.log(JSON.stringify(found));
  else {
    console.log(`${found.moves} moves; the most memory of the first and of the last third of them`);
    for (const [name, { first, last, ratio }] of Object.entries(found.memory))
      console.log(`${name.padEnd(18)} ${mb(first)} MB, then ${mb(last)} MB: ${ratio} times`);
  }
  for (const [name, { ratio }] of grown)
    say(`bench: the ${name} grew to ${ratio} times, more than ${limit}: it keeps something of each move`);
  return grown.length > 0 ? 1 : 0;
}
