import { setTimeout as pause } from 'node:timers/promises';
import type { VserverConfig } from '../../shared/contract/vserver.ts';
import { addressesOf } from '../../shared/interfaces.ts';
import { run } from '../../shared/run.ts';
import type { Context } from '../../shared/service.ts';
import type { Lxc } from './lxc.ts';
import type { Init } from './lxc-config.ts';

export interface Check {
  check: string;
  ok: boolean;
  message: string;
}
interface Tried {
  name: string;
  init: Init;
  config: VserverConfig;
  /** The text of its monitor.conf. */
  monitor: string;
  /** So long (ms) it may take until all is well. */
  patience: number;
  signal: AbortSignal;
  /** The end of its console, when it does not run any more. */
  lastWords: () => Promise<string>;
}
type Ways = Pick<Context, 'bus' | 'host'> & { lxc: Lxc };

const LOOK_MS = 500;
/** An init without a word for it counts as up when it has run so long (ms). */
const SETTLES_MS = 3000;
const MOST_CHECKS = 100;

/** What a guest said, without what a terminal would obey. */
export const plain = (text: string): string =>
  text
    .replaceAll(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, 450);

/** What `systemctl is-system-running` says, as a check; undefined: it is not up yet. */
export function systemdCheck(word: string, failed: string[]): Check | undefined {
  if (word === 'running') return { check: 'init', ok: true, message: 'systemd: running' };
  if (word === 'degraded')
    return {
      check: 'init',
      ok: false,
      message: plain(`systemd is degraded: ${failed.join(', ') || 'a unit'} failed`),
    };
  if (['maintenance', 'stopping'].includes(word))
    return { check: 'init', ok: false, message: `systemd: ${word}` };
  return undefined;
}

/** The first words of the lines of `systemctl list-units --failed`. */
export const unitsOf = (listing: string): string[] =>
  listing.split('\n').flatMap(
    (line) =>
      line
        .trim()
        .replace(/^[●*]\s*/, '')
        .split(/\s+/)[0] || [],
  );

async function inside(lxc: Lxc, name: string, ...command: string[]): Promise<string> {
  const codes = Array.from({ length: 256 }, (_, code) => code);
  const done = run(lxc.attach(name, command), { okCodes: codes, timeoutMs: 20_000 });
  return (await done.catch(() => ({ stdout: '' }))).stdout.slice(0, 10_000);
}

/** Waits until its init is up; a check that says so, or why not. */
async function initCheck(
  { name, init, signal, lastWords }: Tried,
  { lxc }: Ways,
  end: number,
): Promise<Check> {
  const began = performance.now();
  let word = '';
  while (!signal.aborted) {
    if (!(await lxc.alive()).has(name)) {
      const words = plain(await lastWords());
      return { check: 'init', ok: false, message: `it ended by itself${words ? `: ${words}` : ''}` };
    }
    if (init === 'systemd') {
      word = (await inside(lxc, name, 'systemctl', 'is-system-running')).trim();
      const units =
        word === 'degraded'
          ? unitsOf(
              await inside(
                lxc,
                name,
                'systemctl',
                'list-units',
                '--failed',
                '--plain',
                '--no-legend',
                '--no-pager',
              ),
            )
          : [];
      const found = systemdCheck(word, units);
      if (found) return found;
    } else if (performance.now() - began >= SETTLES_MS)
      return { check: 'init', ok: true, message: 'its init runs' };
    if (performance.now() > end) break;
    await pause(LOOK_MS);
  }
  const seconds = Math.round((performance.now() - began) / 1000);
  return {
    check: 'init',
    ok: false,
    message: `it is not up after ${seconds} s${word ? `: ${plain(word)}` : ''}`,
  };
}

/** Each of its addresses answers inside: its rules are in force, and only its own kernel is asked. */
async function addressChecks(pid: number, addresses: string[]): Promise<Check[]> {
  const one = async (address: string): Promise<Check> => {
    const argv = ['nsenter', '-t', String(pid), '-n', 'ping', '-n', '-q', '-c', '1', '-W', '2', address];
    const { stdout } = await run(argv, { okCodes: [0, 1, 2], timeoutMs: 20_000 });
    const ok = /\b1 received/.test(stdout);
    return {
      check: `address ${address}`,
      ok,
      message: ok ? 'answers inside' : 'does not answer inside',
    };
  };
  return Promise.all(addresses.map(one));
}

async function monitorChecks({ name, monitor }: Tried, pid: number, { bus, host }: Ways): Promise<Check[]> {
  if (monitor.trim() === '') return [];
  try {
    const { checks } = await bus.request(
      host,
      'monitor.examine',
      { name, pid, text: monitor },
      { timeoutMs: 120_000 },
    );
    return checks.flatMap(({ key, check, result, message, value }) => {
      const isDaemon = check.startsWith('daemon-');
      if (result === 'none' || (result === 'unknown' && !isDaemon)) return [];
      const said = plain(message ?? '') || (value === undefined ? result : String(value));
      return [{ check: key.slice(0, 100), ok: result === 'ok', message: said }];
    });
  } catch (error) {
    return [{ check: 'monitor.conf', ok: false, message: plain((error as Error).message) }];
  }
}

/** Looks at what was just started until all is well, or for as long as it may take. Never throws for what it finds. */
export async function checksOf(tried: Tried, ways: Ways): Promise<Check[]> {
  const { name, config, patience, signal } = tried;
  const end = performance.now() + patience;
  const init = await initCheck(tried, ways, end);
  const { pid } = await ways.lxc.info(name);
  if (pid === undefined) return [init];
  for (;;) {
    const found = [
      ...(await addressChecks(pid, addressesOf(config))),
      ...(await monitorChecks(tried, pid, ways)),
    ];
    // what is missing may come: a daemon takes its time to be up
    if (found.every((one) => one.ok) || !init.ok || performance.now() > end || signal.aborted)
      return [init, ...found].slice(0, MOST_CHECKS);
    await pause(2 * LOOK_MS);
  }
}
