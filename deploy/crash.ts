import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { faultSets, faults, fits } from './crash/faults.ts';
import { type MatrixOptions, runMatrix } from './crash/matrix.ts';
import { soak } from './crash/soak.ts';
import { sagas } from './crash/sagas.ts';
import { summary, tableOf } from './crash/table.ts';
import type { Storage } from './crash/world.ts';

/** `npm run test:crash`: the crash matrix on real containers. docs/crash-matrix.md says what it proves. */
const usage = `usage: npm run test:crash -- [--saga S,S] [--storage btrfs,dir] [--victim V,V] [--faults SET,SET]
         [--runs N] [--only TEXT] [--part K/N] [--delay MS] [--labs N] [--list] [--state FILE] [--json [FILE]]
         [--name LAB]
       npm run test:crash -- --soak MOVES [--storage btrfs] [--victim V,V] [--seed N]

For each saga, storage, line of its journal (rows) and way to break (columns) it breaks that, lets all recover, and looks
from outside: never two at once, nothing lost, done or undone or stuck with an alert, nothing left behind.

  --saga      ${Object.keys(sagas).join(', ')} (all unless told)
  --storage   btrfs, dir (both unless told)
  --victim    single columns; --faults: sets of them (${faultSets.join(', ')}; kill,power unless told)
  --runs      runs of each cell: the first breaks exactly at the line, the others a little later, at random (1 unless told)
  --only      rows that have one of these texts (with commas between); '=started seed' is one row alone
  --part      K/N: every Nth cell of each table, from the Kth: a part of a long matrix, which has something of everything
  --delay     so many ms after the line, in all runs
  --labs      so many labs at once, each with another saga or storage (1 unless told; 2 on two cores)
  --list      prints the cells as commands, and runs none
  --state     results go into this file, and what is in it is not run again: so a matrix of hours can be continued
  --soak      so many moves in a row with random faults at random times; at the end nothing has grown
  --seed      repeats a soak
  --json      everything as JSON, to FILE or standard output

Examples:
  npm run test:crash -- --saga move --storage btrfs --victim source-power --runs 3 --only seed
  npm run test:crash -- --faults cut,long --state /var/tmp/cuts.jsonl`;

class UsageError extends Error {}

const columnLines = (): string =>
  Object.entries(faults)
    .map(([name, fault]) => `  ${name.padEnd(14)} ${fault.set.padEnd(6)} ${fault.what}`)
    .join('\n');

/** A list of names, each of which must be known. */
function names(text: string | undefined, known: readonly string[], what: string): string[] {
  const given = text === undefined ? [...known] : text.split(',');
  const strange = given.find((one) => !known.includes(one));
  if (strange !== undefined)
    throw new UsageError(`there is no ${what} ${strange}; there are: ${known.join(', ')}`);
  return given;
}
function number(text: string | undefined, otherwise: number, most: number, what: string): number {
  const value = text === undefined ? otherwise : Number(text);
  if (!Number.isInteger(value) || value < 0 || value > most)
    throw new UsageError(`${what} is a number up to ${most}`);
  return value;
}

function part(text: string): { nth: number; of: number } {
  const [, nth = 0, of = 0] = (/^(\d{1,4})\/(\d{1,4})$/.exec(text) ?? []).map(Number);
  if (nth < 1 || nth > of) throw new UsageError(`--part is K/N such as 1/4, not ${text}`);
  return { nth, of };
}

function read() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      saga: { type: 'string' },
      storage: { type: 'string' },
      victim: { type: 'string' },
      faults: { type: 'string' },
      runs: { type: 'string' },
      only: { type: 'string' },
      delay: { type: 'string' },
      part: { type: 'string' },
      labs: { type: 'string' },
      list: { type: 'boolean', default: false },
      state: { type: 'string' },
      json: { type: 'boolean', default: false },
      name: { type: 'string', default: 'crash' },
      soak: { type: 'string' },
      seed: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const sets = names(values.faults ?? 'kill,power', faultSets, 'set of faults');
  const inSets = Object.keys(faults).filter((name) => sets.includes(faults[name]?.set ?? ''));
  const columns = values.victim ? names(values.victim, Object.keys(faults), 'victim') : inSets;
  if (positionals.length > (values.json ? 1 : 0))
    throw new UsageError(`"${positionals.join(' ')}" is not understood`);
  return {
    help: values.help,
    json: values.json,
    file: positionals[0],
    moves: number(values.soak, 0, 100_000, '--soak'),
    seed: number(values.seed, Date.now() % 1_000_000, 1_000_000, '--seed'),
    options: {
      lab: values.name,
      labs: Math.max(1, number(values.labs, 1, 16, '--labs')),
      sagas: names(values.saga, Object.keys(sagas), 'saga'),
      storages: names(values.storage, ['btrfs', 'dir'], 'storage') as Storage[],
      faults: columns,
      runs: number(values.runs, 1, 100, '--runs'),
      list: values.list,
      ...(values.only === undefined ? {} : { only: values.only }),
      ...(values.part === undefined ? {} : { part: part(values.part) }),
      ...(values.delay === undefined ? {} : { delay: number(values.delay, 0, 60_000, '--delay') }),
      ...(values.state ? { state: values.state } : {}),
    },
  };
}

async function main(): Promise<number> {
  const { help, json, file, options, moves, seed } = read();
  if (help) {
    console.log(`${usage}\n\nColumns:\n${columnLines()}`);
    return 0;
  }
  if (process.getuid?.() !== 0)
    throw new UsageError('the lab makes namespaces, mounts and containers: run it as root');
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop.abort());
  const begun = Date.now();
  const out = json && !file ? process.stderr : process.stdout;
  const finish = (result: object): void => {
    const text = `${JSON.stringify(result, null, 1)}\n`;
    if (json && file) writeFileSync(file, text);
    else if (json) process.stdout.write(text);
  };
  if (moves > 0) {
    const [storage = 'btrfs'] = options.storages;
    const say = (text: string) => void out.write(`${text}\n`);
    say(`${moves} moves on ${storage}, seed ${seed}`);
    const both = { source: 'host1', target: 'host2' } as const;
    const columns = options.faults.filter(
      (name) => faults[name]?.set !== 'clock' && fits(faults[name], both),
    );
    const result = await soak({
      lab: options.lab,
      moves,
      storage,
      faults: columns,
      seed,
      signal: stop.signal,
      say,
    });
    for (const leak of result.leaks) say(`VIOLATION: ${leak}`);
    const bad = result.moves.filter((one) => one.why.length > 0).length + result.leaks.length;
    const whole = result.moves.length === moves;
    say(
      `${result.moves.length} moves in ${Math.round((Date.now() - begun) / 60_000)} minutes, ${bad} violations${bad ? `; again: --soak ${moves} --storage ${storage} --seed ${seed}` : ''}`,
    );
    finish(result);
    return bad > 0 || !whole ? 1 : 0;
  }
  const given: MatrixOptions = {
    ...options,
    signal: stop.signal,
    say: (text) => void out.write(`${text}\n`),
  };
  const { results, rows } = await runMatrix(given);
  if (options.list) return 0;
  for (const [title, of] of rows) {
    const mine = results.filter((one) => `${one.saga} ${one.storage}` === title);
    if (mine.length > 0) given.say(`\n${tableOf(title, of, options.faults, mine)}`);
  }
  given.say(`\n${summary(results, Date.now() - begun)}`);
  finish({ ms: Date.now() - begun, results });
  if (stop.signal.aborted) given.say('ended by a signal; the lab is down');
  return results.some((one) => one.outcome === 'VIOLATION' || one.outcome === 'missed') || stop.signal.aborted
    ? 1
    : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage =
    error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
  console.error(`test:crash: ${error instanceof Error ? error.message : String(error)}`);
  if (isUsage) console.error(usage);
  process.exitCode = isUsage ? 2 : 1;
}
