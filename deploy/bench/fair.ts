import { type Client, connect } from '../../cli/client.ts';
import { clientSettings } from '../../cli/settings.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { type BenchLab, median, say, withLab } from './kit.ts';
import type { Storage } from './report.ts';

interface Options {
  lab: string;
  rounds: number;
  json: boolean;
  signal: AbortSignal;
  storage: readonly Storage[];
}
/** Times of commands and their answers, ms. */
interface Trips {
  p50: number;
  p95: number;
  max: number;
}
interface Figures {
  /** Command and answer of a host that has no part in the moves. */
  quiet: Trips;
  oneMove: Trips;
  twoMoves: Trips;
  /** Two equal moves at once: how long each took alone in the same run, and side by side, ms. */
  alone: number;
  together: [number, number];
}
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const share = (values: number[], part: number): number =>
  Number((values.toSorted((a, b) => a - b)[Math.floor(values.length * part)] ?? NaN).toFixed(1));

/** Commands to a host, one every 50 ms, until `until` has ended. */
async function roundTrips(client: Client, host: string, until: Promise<unknown>): Promise<Trips> {
  const times: number[] = [];
  const state = { over: false };
  const end = until.finally(() => (state.over = true));
  end.catch(() => undefined); // it may fail while a question is under way; told below
  while (!state.over) {
    const begun = performance.now();
    await client.request(host, 'snapshot.info', {});
    times.push(performance.now() - begun);
    await pause(50);
  }
  await end;
  return { p50: share(times, 0.5), p95: share(times, 0.95), max: Number(Math.max(...times).toFixed(1)) };
}

async function move(lab: BenchLab, name: string, to: string): Promise<number> {
  const saga = JSON.parse(await lab.vs(['move', name, to, '--json'], 600_000)) as SagaState;
  return (saga.ended ?? NaN) - saga.started;
}

async function measure(lab: BenchLab, megabytes: number): Promise<Figures> {
  for (const [name, address] of [
    ['big1', '10.60.10.5'],
    ['big2', '10.60.10.6'],
  ] as const) {
    say(`${name}: ${megabytes} MB on host1`);
    await lab.vs(['create', name, address, 'busybox', '--host', 'host1', '--start']);
    const fill = `head -c ${megabytes}000000 /dev/urandom > /var/lib/vservers/${name}/rootfs/ballast; sync -f /var/lib/vservers`;
    await lab.lab('exec', 'host1', '--', 'sh', '-c', fill);
  }
  const client = await connect(await clientSettings(lab.env));
  try {
    const trips = (until: Promise<unknown>) => roundTrips(client, 'host3', until);
    await trips(pause(1000)); // warm
    const quiet = await trips(pause(5000));
    say('one of them moves');
    const first = move(lab, 'big1', 'host2');
    const oneMove = await trips(first);
    const alone = await first;
    await lab.vs(['move', 'big1', 'host1'], 600_000);
    say('both of them move');
    const both = Promise.all([move(lab, 'big1', 'host2'), move(lab, 'big2', 'host2')]);
    const twoMoves = await trips(both);
    return { quiet, oneMove, twoMoves, alone, together: await both };
  } finally {
    client.close();
  }
}

/** `bench fair`: what moves of 2 GB leave to the commands of other hosts, and to one another; the exit code. */
export async function benchFair(options: Options): Promise<number> {
  const results: Record<string, Figures[]> = {};
  for (const storage of options.storage)
    for (let round = 0; round < options.rounds; round++) {
      const figures = await withLab(options.lab, storage, options.signal, (lab) => measure(lab, 2000), [
        '--hosts',
        '3',
      ]);
      (results[storage] ??= []).push(figures);
    }
  if (options.json) {
    console.log(JSON.stringify(results));
    return 0;
  }
  for (const [storage, rounds] of Object.entries(results)) {
    const of = (pick: (one: Figures) => number) => Math.round(median(rounds.map(pick)) * 10) / 10;
    const trips = (key: 'quiet' | 'oneMove' | 'twoMoves') =>
      `p50 ${of((one) => one[key].p50)} ms, p95 ${of((one) => one[key].p95)} ms, the longest ${of((one) => one[key].max)} ms`;
    console.log(`${storage}, medians of ${rounds.length} rounds: command and answer of a third host
  nothing else       ${trips('quiet')}
  one 2 GB move      ${trips('oneMove')} (wanted: under 50)
  two 2 GB moves     ${trips('twoMoves')}
a 2 GB move alone ${of((one) => one.alone / 1000)} s; two at once ${of((one) => Math.min(...one.together) / 1000)} and ${of((one) => Math.max(...one.together) / 1000)} s`);
  }
  return 0;
}
