import { readFile } from 'node:fs/promises';
import { uptime } from 'node:os';
import { run } from '../../shared/run.ts';

/** How the init of a vserver ended: it was powered off or ended in order, it wants to be rebooted, it crashed, or nobody knows. */
export type End = { how: 'off' | 'reboot' | 'unknown' } | { how: 'crash'; why: string };

const SIGHUP = 1; // by the kernel, for a reboot from inside (reboot(2))
const SIGINT = 2; // the same for a halt or a power off

/** From what LXC wrote (level INFO) about the init with this pid. */
export function endOf(log: string, pid: number): End {
  const of = new RegExp(`Child <${pid}> ended on (signal|error) ([^\\n]*?)\\(?(\\d+)\\)?\\s*$`, 'm').exec(
    log,
  );
  const [, kind, called = '', digits] = of ?? [];
  const number = Number(digits);
  if (kind === 'signal' && number === SIGHUP) return { how: 'reboot' };
  if (kind === 'signal' && number === SIGINT) return { how: 'off' };
  if (kind === 'signal')
    return { how: 'crash', why: `its init was ended by signal ${number}${called ? ` (${called})` : ''}` };
  if (kind === 'error') return { how: 'crash', why: `its init ended with exit code ${number}` };
  const at = log.lastIndexOf(`with pid "${pid}"`);
  if (at < 0) return { how: 'unknown' }; // a person started it by hand
  // exit code 0 leaves no line, but those of the clearing away behind it
  if (log.includes('Removed interface', at)) return { how: 'off' };
  return { how: 'crash', why: 'its LXC monitor was killed' };
}

/** Of the kernel's messages: did it kill something of that vserver for want of memory within the last seconds? */
export function wasOutOfMemory(
  messages: string,
  name: string,
  uptimeSeconds: number,
  within: number,
): boolean {
  for (const [, time, group = ''] of messages.matchAll(
    /^\[\s*(\d+\.\d+)\] oom-kill:.*task_memcg=([^,\n]*)/gm,
  ))
    if (
      uptimeSeconds - Number(time) <= within &&
      new RegExp(`/lxc\\.payload\\.${name}(?:-\\d+)?(?:/|$)`).test(group)
    )
      return true;
  return false;
}

const LOG_BYTES = 65_536;
const WITHIN_S = 30;

/** How the init with this pid ended, by the log of LXC and what the kernel said. */
export async function howItEnded(name: string, pid: number, log: string): Promise<End> {
  const text = (await readFile(log, 'latin1').catch(() => '')).slice(-LOG_BYTES);
  const end = endOf(text, pid);
  if (end.how !== 'crash') return end;
  const messages = await run(['dmesg'], { timeoutMs: 5000 }).then(
    ({ stdout }) => stdout,
    () => '',
  );
  return wasOutOfMemory(messages, name, uptime(), WITHIN_S)
    ? { how: 'crash', why: `${end.why}, when the kernel killed for want of memory there` }
    : end;
}
