import { readFile, readdir } from 'node:fs/promises';
import type { Lxc } from './lxc.ts';

/** The cgroup of a vserver from /proc/PID/cgroup of a process in it. */
export function payloadOf(text: string): string | undefined {
  return /(lxc\.payload\.[^/\n]+)/.exec(text)?.[1];
}

/** What of a vserver still lives; undefined when there is proof that nothing does: no monitor, no init, no process. */
export async function stillThere(
  lxc: Lxc,
  name: string,
  known: { pid?: number | undefined; payload?: string | undefined },
): Promise<string | undefined> {
  if ((await lxc.alive()).has(name)) return 'its monitor still runs';
  const payloads = new Set([`lxc.payload.${name}`, ...(known.payload ? [known.payload] : [])]);
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const payload = payloadOf(await readFile(`/proc/${entry}/cgroup`, 'utf8').catch(() => ''));
    if (!payload || !payloads.has(payload)) continue;
    const state = /^State:\s+(\w)/m.exec(
      await readFile(`/proc/${entry}/status`, 'utf8').catch(() => ''),
    )?.[1];
    if (state && state !== 'Z' && state !== 'X') return `process ${entry} of it still runs`;
  }
  return undefined;
}
