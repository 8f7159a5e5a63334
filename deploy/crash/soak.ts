import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { endOf } from './begin.ts';
import { faults } from './faults.ts';
import { judge } from './judge.ts';
import { countsScript } from './leftovers.ts';
import { sagas } from './sagas.ts';
import { homeOf } from './spec.ts';
import { type Storage, type World, allOnline, closeWorld, hosts, on, openWorld, pidOf } from './world.ts';

export interface SoakOptions {
  lab: string;
  moves: number;
  storage: Storage;
  faults: string[];
  /** The same seed breaks the same things at the same times. */
  seed: number;
  signal: AbortSignal;
  say(text: string): void;
}
export interface SoakResult {
  moves: { n: number; fault?: string; delay?: number; result: string; why: string[]; ms: number }[];
  /** What grew that must not, at the end. */
  leaks: string[];
  /** What there was after the first moves, and at the end. */
  before?: Counts;
  after?: Counts;
  seed: number;
}

/** Moves without a fault at the begin and at the end: what is counted is counted of processes that have settled. */
const CALM = 4;
/** How much more memory (bytes) and how many more open files a process may have at the end. */
const GROWTH = 60e6;
const FILES = 12;
/** A fault comes within this time (ms) of the begin; the small move takes about as long. */
const WITHIN = 5000;

/** mulberry32: numbers from 0 to 1 that a seed decides. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Counts {
  hosts: Record<string, string>;
  processes: Record<string, { bytes: number; files: number }>;
}
async function count(world: World): Promise<Counts> {
  const counted: Counts = { hosts: {}, processes: {} };
  for (const host of hosts) counted.hosts[host] = await on(world, host, countsScript);
  for (const [node, service] of [
    ['master', 'broker'],
    ['master', 'master'],
    ['host1', 'agent'],
    ['host2', 'agent'],
  ] as const) {
    const pid = pidOf(world.lab, node, service);
    if (pid === undefined) throw new Error(`${service} does not run on ${node}`);
    const bytes = 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    counted.processes[`${service} on ${node}`] = { bytes, files: readdirSync(`/proc/${pid}/fd`).length };
  }
  return counted;
}

/** What there is more of than before. */
export function growth(before: Counts, after: Counts): string[] {
  const leaks: string[] = [];
  for (const [host, text] of Object.entries(after.hosts)) {
    const was = new Map(before.hosts[host]?.split('\n').map((line) => line.split(' ') as [string, string]));
    for (const [name = '', number = ''] of text.split('\n').map((line) => line.split(' ')))
      if (name && was.get(name) !== number)
        leaks.push(`${host}: ${name} ${was.get(name)} before, ${number} after`);
  }
  for (const [name, { bytes, files }] of Object.entries(after.processes)) {
    const was = before.processes[name];
    if (!was) continue;
    if (bytes - was.bytes > GROWTH)
      leaks.push(`${name} has ${Math.round(bytes / 1e6)} MB, ${Math.round(was.bytes / 1e6)} MB before`);
    if (files - was.files > FILES) leaks.push(`${name} has ${files} open files, ${was.files} before`);
  }
  return leaks;
}

/** What there was before and after, a line each, for people. */
function compared(before: Counts, after: Counts): string[] {
  const mb = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  const one = (of: Counts['processes'][string] | undefined) =>
    of ? `${mb(of.bytes)}, ${of.files} files` : '';
  const flat = (text = '') => text.trim().replaceAll('\n', ', ');
  return [
    ...Object.keys(after.hosts).flatMap((host) => [
      `${host} before  ${flat(before.hosts[host])}`,
      `${host} after   ${flat(after.hosts[host])}`,
    ]),
    ...Object.entries(after.processes).map(
      ([name, now]) => `${name.padEnd(16)} ${one(before.processes[name])} -> ${one(now)}`,
    ),
  ];
}

/** Moves web1 to and fro, and breaks something in most of the moves; at the end everything is as at the begin. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { say, signal, seed } = options;
  const next = random(seed);
  const result: SoakResult = { moves: [], leaks: [], seed };
  let world: World | undefined;
  try {
    world = await openWorld(options.lab, options.storage);
    let before: Counts | undefined;
    let home: string | undefined;
    for (let n = 1; n <= options.moves && !signal.aborted; n++) {
      const calm = n <= CALM || n > options.moves - CALM;
      const fault =
        calm || next() < 0.2 ? undefined : options.faults[Math.floor(next() * options.faults.length)];
      const delay = Math.round(next() * WITHIN);
      const begun = Date.now();
      const why = await oneMove(world, fault, delay);
      const end = why.result;
      result.moves.push({
        n,
        ...(fault ? { fault, delay } : {}),
        result: end,
        why: why.why,
        ms: Date.now() - begun,
      });
      say(
        `${String(n).padStart(4)} ${end.padEnd(7)} ${((Date.now() - begun) / 1000).toFixed(1).padStart(5)} s  ${fault ? `${fault} after ${delay} ms` : ''}${why.why.length > 0 ? `  VIOLATION: ${why.why.join('; ')}` : ''}`,
      );
      if (why.why.length > 0) return result; // the world is not what it was
      if (n < CALM || before) continue;
      home = homeOf(world);
      before = await count(world);
    }
    if (!before) return result;
    // what is counted is counted with web1 on the same host
    if (homeOf(world) !== home) await oneMove(world, undefined, 0);
    await sleep(2000);
    const after = await count(world);
    for (const line of compared(before, after)) say(line);
    return { ...result, before, after, leaks: growth(before, after) };
  } finally {
    await closeWorld(world, options.lab);
  }
}

async function oneMove(
  world: World,
  name: string | undefined,
  delay: number,
): Promise<{ result: string; why: string[] }> {
  const spec = sagas['move'];
  const fault = name === undefined ? undefined : faults[name];
  if (!spec) throw new Error('there is no move');
  const parts = spec.parts(world);
  const since = performance.timeOrigin + performance.now();
  await allOnline(world);
  const id = await spec.begin(world);
  await sleep(fault ? delay : 0);
  const mend = await fault?.strike(world, parts);
  const mending = mend?.(() => false);
  const result = await endOf(world, id, fault?.endsWithin ?? 60_000);
  await mending;
  const why: string[] = [];
  if (result !== 'done' && result !== 'undone')
    return { result: result ?? 'no end', why: [...why, 'it did not end'] };
  why.push(...(await judge(world, 'move', parts, result)), ...world.watching.violations(since));
  return { result, why };
}
