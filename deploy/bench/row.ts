import { type BenchLab, memoryOf, pidOf, say, withLab } from './kit.ts';

const MOVES = 10; // of a round
/** What is asserted: the most memory of the last third of the rounds, as a multiple of the most of the third before it. */
const limit = 1.1;
const processes = [
  ['broker', 'master'],
  ['master', 'master'],
  ['agent', 'host1'],
  ['agent', 'host2'],
] as const;

export interface Growth {
  second: number;
  last: number;
  ratio: number;
}
export interface RowResult {
  moves: number;
  rounds: number;
  limit: number;
  /** Of each process: the most resident memory (bytes) of the second and of the last third of the rounds, and how many times the second that is. */
  memory: Record<string, Growth>;
}

/** A process that keeps what it should let go grows from third to third; one whose heap has only settled late does not: the first third is not looked at. */
export function growthOf(samples: number[]): Growth {
  const third = Math.max(1, Math.floor(samples.length / 3));
  const second = Math.max(...samples.slice(-2 * third, -third));
  const last = Math.max(...samples.slice(-third));
  return { second, last, ratio: Number((last / second).toFixed(3)) };
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

/** `bench row`: what the processes take after many moves beside what they took some moves before; the exit code. */
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
    console.log(`${found.moves} moves; the most memory of the second and of the last third of them`);
    for (const [name, { second, last, ratio }] of Object.entries(found.memory))
      console.log(`${name.padEnd(18)} ${mb(second)} MB, then ${mb(last)} MB: ${ratio} times`);
  }
  for (const [name, { ratio }] of grown)
    say(`bench: the ${name} grew to ${ratio} times, more than ${limit}: it keeps something of each move`);
  return grown.length > 0 ? 1 : 0;
}
