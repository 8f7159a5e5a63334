import { benchBackup } from './bench/backup.ts';
import { benchBroker } from './bench/broker.ts';
import { benchCli } from './bench/cli.ts';
import { benchFair } from './bench/fair.ts';
import { say } from './bench/kit.ts';
import { benchMonitor } from './bench/monitor.ts';
import { benchMove } from './bench/move.ts';
import { benchRow } from './bench/row.ts';
import { benchTransfer } from './bench/transfer.ts';
import { usage, wordsOf } from './bench/words.ts';

/** `npm run bench -- cli|move|backup|transfer|fair|broker|monitor|row`: figures as ratios within one run. docs/bench.md says what they mean. */
const run = {
  cli: benchCli,
  move: benchMove,
  backup: benchBackup,
  transfer: benchTransfer,
  fair: benchFair,
  broker: benchBroker,
  monitor: benchMonitor,
  row: benchRow,
};

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

let given: ReturnType<typeof wordsOf> | undefined;
try {
  given = wordsOf(process.argv.slice(2));
} catch (error) {
  say(`bench: ${messageOf(error)}\n${usage}`);
  process.exitCode = 2;
}
if (given) {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop.abort());
  try {
    process.exitCode = await run[given.what]({ ...given, signal: stop.signal });
  } catch (error) {
    say(`bench: ${stop.signal.aborted ? 'ended by a signal; the lab is down' : messageOf(error)}`);
    process.exitCode = 1;
  }
}
