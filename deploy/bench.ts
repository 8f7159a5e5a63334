import { parseArgs } from 'node:util';
import { benchBroker } from './bench/broker.ts';
import { benchCli } from './bench/cli.ts';
import { benchFair } from './bench/fair.ts';
import { benchMove, sources } from './bench/move.ts';
import { benchTransfer } from './bench/transfer.ts';
import { allWays } from './bench/move-ways.ts';
import { setNames, storages } from './bench/report.ts';
import { say } from './bench/kit.ts';

/** `npm run bench -- cli|move|transfer|fair|broker`: figures as ratios within one run. docs/bench.md says what they mean. */
const usage = `usage: npm run bench -- cli [--rounds N] [--json]
       npm run bench -- move [--sets S,M,L] [--storage btrfs,dir] [--source busybox|bookworm|trixie] [--rounds N]
                             [--ways WAY;WAY] [--svg FILE] [--json]
       npm run bench -- transfer [--rounds N] [--json] [--files 10000,100000,500000]
       npm run bench -- fair [--storage btrfs,dir] [--rounds N] [--json]
       npm run bench -- broker [--quick] [--json]
cli, move, transfer and fair take --name LAB for the name of their lab (bench unless told). transfer --files N,N: trees of so many small
files on one disk instead, without a lab, beside plain tar and rsync.`;

const ways = {
  cli: benchCli,
  move: benchMove,
  transfer: benchTransfer,
  fair: benchFair,
  broker: benchBroker,
};

/** The words of a list that are all known; undefined when one is not. */
function among<T extends string>(known: readonly T[], text: string, between = ','): T[] | undefined {
  const found = text.split(between).map((word) => known.find((one) => one === word.trim()));
  return found.every((one) => one !== undefined) ? found : undefined;
}

function words() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      name: { type: 'string', default: 'bench' },
      rounds: { type: 'string' },
      source: { type: 'string', default: 'bookworm' },
      storage: { type: 'string', default: 'btrfs,dir' },
      sets: { type: 'string', default: 'S' },
      ways: { type: 'string' },
      svg: { type: 'string' },
      files: { type: 'string' },
    },
  });
  const [what, ...more] = positionals;
  const rounds = Number(values.rounds ?? (what === 'cli' ? 15 : what === 'fair' ? 1 : 3));
  const source = sources.find((one) => one === values.source);
  const storage = among(storages, values.storage);
  const sets = among(setNames, values.sets);
  const moveWays = values.ways === undefined ? allWays : among(allWays, values.ways, ';');
  if (!what || !Object.hasOwn(ways, what) || more.length > 0 || !source || !storage || !sets || !moveWays)
    throw new Error(
      positionals.length === 0
        ? 'cli, move, transfer, fair or broker?'
        : `that is none of its words; sets are ${setNames.join(',')}, storages ${storages.join(',')}, ways of a move: ${allWays.join('; ')}`,
    );
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1000)
    throw new Error('--rounds is a number from 1 to 1000');
  const counts = values.files?.split(',').map(Number);
  if (counts && (what !== 'transfer' || counts.some((one) => !Number.isInteger(one) || one < 100)))
    throw new Error('--files is for transfer, and a list of numbers from 100 on');
  return {
    what: what as keyof typeof ways,
    lab: values.name,
    rounds,
    json: values.json,
    quick: values.quick,
    source,
    storage,
    sets,
    ways: moveWays,
    svg: values.svg,
    ...(counts ? { counts } : {}),
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

let given: ReturnType<typeof words> | undefined;
try {
  given = words();
} catch (error) {
  say(`bench: ${messageOf(error)}\n${usage}`);
  process.exitCode = 2;
}
if (given) {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop.abort());
  try {
    const options = { ...given, signal: stop.signal };
    process.exitCode = await ways[given.what](options);
  } catch (error) {
    say(`bench: ${stop.signal.aborted ? 'ended by a signal; the lab is down' : messageOf(error)}`);
    process.exitCode = 1;
  }
}
