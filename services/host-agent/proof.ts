import { readFileSync, readdirSync } from 'node:fs';
import type { Lxc } from './lxc.ts';

/** The cgroup of a vserver from /proc/PID/cgroup of a process in it. */
export function payloadOf(text: string): string | undefined {
  return /(lxc\.payload\.[^/\n]+)/.exec(text)?.[1];
}

/** A file of a process, or of its cgroup, as it is now; empty when it has gone. */
export const readNow = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

/** Has a process ended, also when nobody has asked for its exit code yet? */
export function hasEnded(pid: number): boolean {
  const state = /^State:\s+(\w)/m.exec(readNow(`/proc/${pid}/status`))?.[1];
  return state === undefined || state === 'Z' || state === 'X';
}

/**
 * A process of a vserver that lives, by its cgroup. Synchronous: a host has thousands of processes, and waiting for each
 * of the files would take ten times as long, in which the vserver is down.
 */
export function livingOf(name: string, payload?: string): number | undefined {
  const payloads = new Set([`lxc.payload.${name}`, ...(payload ? [payload] : [])]);
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const found = payloadOf(readNow(`/proc/${pid}/cgroup`));
    if (found && payloads.has(found) && !hasEnded(pid)) return pid;
  }
  return undefined;
}

/** What of a vserver still lives; undefined when there is proof that nothing does: no monitor, no init, no process. */
export async function stillThere(
  lxc: Lxc,
  name: string,
  known: { payload?: string | undefined },
): Promise<string | undefined> {
  if ((await lxc.alive()).has(name)) return 'its monitor still runs';
  const pid = livingOf(name, known.payload);
  return pid === undefined ? undefined : `process ${pid} of it still runs`;
}
