import { readdirSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { VsError } from '../../shared/errors.ts';
import { hasEnded, payloadOf, readNow } from './proof.ts';

export interface Freezer {
  /** What says whether all of it is frozen. */
  look: string;
  isFrozen(text: string): boolean;
  /** What thaws it, and how. */
  write: string;
  thaw: string;
}

/** The freezer of a container, from /proc/PID/cgroup of a process in it: cgroup v1 (freezer-subsystem.rst), else v2 (cgroup-v2.rst). */
export function freezerOf(cgroups: string, payload: string, root = '/sys/fs/cgroup'): Freezer | undefined {
  const path = (line: RegExp): string | undefined => {
    const found = line.exec(cgroups)?.[1];
    const at = found?.split('/').indexOf(payload) ?? -1;
    return at < 0
      ? undefined
      : found
          ?.split('/')
          .slice(0, at + 1)
          .join('/');
  };
  const v1 = path(/^\d+:freezer:(.+)$/m);
  if (v1) {
    const state = `${root}/freezer${v1}/freezer.state`;
    return { look: state, isFrozen: (text) => text.trim() === 'FROZEN', write: state, thaw: 'THAWED' };
  }
  const v2 = path(/^0::(.+)$/m);
  if (!v2) return undefined;
  const isFrozen = (text: string) => /^frozen 1$/m.test(text);
  return { look: `${root}${v2}/cgroup.events`, isFrozen, write: `${root}${v2}/cgroup.freeze`, thaw: '0' };
}

/** Is the vserver of this process frozen, as the kernel says? Undefined when the process has ended. */
export function standsStill(pid: number): boolean | undefined {
  const cgroups = readNow(`/proc/${pid}/cgroup`);
  const payload = payloadOf(cgroups);
  if (payload === undefined) return undefined;
  const freezer = freezerOf(cgroups, payload);
  return freezer?.isFrozen(readNow(freezer.look)) ?? false;
}

/** The processes of a vserver that have not ended, with their cgroups. */
function processesOf(name: string): { pid: number; cgroups: string; payload: string }[] {
  return readdirSync('/proc').flatMap((entry) => {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) return [];
    const cgroups = readNow(`/proc/${pid}/cgroup`);
    const payload = payloadOf(cgroups);
    return payload === `lxc.payload.${name}` && !hasEnded(pid) ? [{ pid, cgroups, payload }] : [];
  });
}

/** Why a vserver is not frozen as a whole; undefined when there is proof that it is, or that nothing of it lives. */
export function notFrozen(name: string): string | undefined {
  for (const { pid, cgroups, payload } of processesOf(name)) {
    const freezer = freezerOf(cgroups, payload);
    if (!freezer?.isFrozen(readNow(freezer.look))) return `process ${pid} of it is not frozen`;
  }
  return undefined;
}

const SIGKILL = 1n << 8n;
/** SIGKILL waits for this process: it ends before it could run one more instruction of its own, whoever thaws it (signal(7)). */
function isDoomed(pid: number): boolean {
  if (hasEnded(pid)) return true;
  const status = readNow(`/proc/${pid}/status`);
  return ['SigPnd', 'ShdPnd'].some((key) => {
    const mask = new RegExp(`^${key}:\\s+([0-9a-f]+)`, 'm').exec(status)?.[1];
    return mask !== undefined && (BigInt(`0x${mask}`) & SIGKILL) !== 0n;
  });
}

/**
 * Seals the end of all processes of a vserver: each has ended, or has a SIGKILL that waits for it. What is frozen (it can
 * begin no other process) stays so, and ends as soon as anybody thaws it. Throws when one lives on.
 */
export async function doom(name: string): Promise<void> {
  for (let round = 0; round < 500; round++) {
    const left = processesOf(name).filter(({ pid }) => !isDoomed(pid));
    if (left.length === 0) return;
    for (const { pid } of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it has just ended
      }
    }
    await pause(2);
  }
  throw new VsError('failed', `the processes of ${name} could not be killed`);
}

/** Freezes all of a vserver without its tool, which looks once a second whether it is done. Throws when it is not within that time (ms). */
export async function freezeNow(name: string, within = 10_000): Promise<void> {
  const end = performance.now() + within;
  const [one] = processesOf(name);
  const freezer = one && freezerOf(one.cgroups, one.payload);
  if (freezer) writeFileSync(freezer.write, freezer.thaw === '0' ? '1' : 'FROZEN');
  while (notFrozen(name) !== undefined) {
    if (performance.now() > end)
      throw new VsError('failed', `${name} could not be frozen: ${notFrozen(name)}`);
    await pause(2);
  }
}

/** Lets what is doomed end. */
export async function thawDoomed(name: string): Promise<void> {
  await doom(name);
  thawNow(name);
}

/** Thaws a vserver, also without its monitor, and when that knows nothing of the freeze (lxc-unfreeze does nothing then). */
export function thawNow(name: string): void {
  for (const { cgroups, payload } of processesOf(name)) {
    const freezer = freezerOf(cgroups, payload);
    try {
      if (freezer) writeFileSync(freezer.write, freezer.thaw);
    } catch {
      // gone with its last process
    }
  }
}
