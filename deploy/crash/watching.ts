import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lab, namespaceFile } from '../lab/model.ts';
import type { Two } from './two.ts';
import type { Seen } from './watch.ts';

/** The watch from outside, as the matrix uses it. */
export interface Watching {
  /** Hosts on which processes of a vserver are now. */
  runsOn(name: string): string[];
  /** The last number that a vserver has told. */
  count(address: string): number;
  /** Did it answer in the last second? */
  answers(address: string): boolean;
  /** Did a copy tell its boot by itself in the last second? */
  tells(): boolean;
  /** Answers that came from an address since then (epoch ms): the ids of the boots, oldest first. */
  boots(address: string, since: number): string[];
  /** Two at once since then; and why the watch itself cannot be trusted, if so. */
  violations(since: number): string[];
  /** The longest time between two listings since then (ms). */
  gapMs(since: number): number;
  /** Everything that changed since then. */
  story(since: number): Seen[];
  stop(): void;
}

/** Longer than this (ms) without a listing, and a cell says nothing about two at once. */
const BLIND_MS = 3000;

export async function startWatching(
  lab: Lab,
  hosts: readonly string[],
  addresses: string[],
): Promise<Watching> {
  const script = new URL('./watch.ts', import.meta.url).pathname;
  const space = `--net=${namespaceFile(lab.name, 'prober')}`;
  const words = [script, lab.name, hosts.join(','), addresses.join(',')];
  const child = spawn('nsenter', [space, '--', process.execPath, ...words], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let over = '';
  let stopped = false;
  child.once('error', (error) => (over = error.message));
  child.once('exit', (code, signal) => (over ||= `ended with ${code ?? signal}`));
  let seen: Seen[] = [];
  let runs: Record<string, string[]> = {};
  let counts: Record<string, number> = {};
  let answers: Record<string, number> = {};
  let told = 0;
  createInterface({ input: child.stdout }).on('line', (line) => {
    const one = JSON.parse(line) as Seen;
    seen.push(one);
    if (seen.length > 20_000) seen = seen.slice(10_000);
    if ('runs' in one) ({ runs } = one);
    if ('looked' in one) ({ counts, answers, told } = one.looked);
  });
  const since = (t: number) => seen.filter((one) => one.t >= t);
  for (let tries = 0; seen.length === 0; tries++) {
    if (child.exitCode !== null || tries > 200)
      throw new Error(`the watch does not begin: ${over || 'it says nothing'}`);
    await sleep(50);
  }
  const gapMs = (t: number) =>
    Math.max(0, ...since(t).map((one) => ('looked' in one ? one.looked.gapMs : 0)));
  return {
    runsOn: (name) => runs[name] ?? [],
    count: (address) => counts[address] ?? 0,
    answers: (address) => (answers[address] ?? 0) > 0,
    tells: () => told > 0,
    boots: (address, t) =>
      since(t).flatMap((one) => ('boot' in one && one.address === address ? [one.boot] : [])),
    violations(t) {
      const two = since(t).flatMap((one): Two[] => ('two' in one ? [one.two] : []));
      const found = two
        .slice(0, 3)
        .map((one) => `two of ${one.what} at once by the ${one.means}: ${one.detail}`);
      if (over && !stopped) found.push(`the watch ended: ${over}`);
      if (gapMs(t) > BLIND_MS) found.push(`the watch was blind for ${gapMs(t)} ms`);
      return found;
    },
    gapMs,
    story: (t) => since(t).filter((one) => !('looked' in one)),
    stop() {
      stopped = true;
      child.stdin.end();
      child.kill('SIGKILL');
    },
  };
}
