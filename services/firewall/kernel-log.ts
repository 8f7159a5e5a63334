import { readFile } from 'node:fs/promises';
import { run } from '../../shared/run.ts';

/** What begins each line of the kernel's log about a packet of this vserver. */
export const logMark = (name: string): string => `vs/${name} `;

/** The last lines of a kernel log that are about a vserver, without its mark. */
export function linesAbout(name: string, log: string, most: number): string[] {
  const mark = logMark(name);
  return log
    .split('\n')
    .filter((line) => line.includes(mark))
    .slice(-most)
    .map((line) => line.replace(mark, '').replaceAll(/\s+/g, ' ').trim().slice(0, 600));
}

/** The same from this host; the kernel keeps some hundred kB (dmesg(1)). */
export async function kernelLog(name: string, most: number): Promise<string[]> {
  const { stdout } = await run(['dmesg', '--time-format', 'iso'], { timeoutMs: 10_000 });
  return linesAbout(name, stdout, most);
}

/** Why there are no such lines; undefined when there are as soon as something is denied. `asked`: its rules log something. */
export async function whyNoLog(name: string, host: string, asked: boolean): Promise<string | undefined> {
  if (!asked) return `the firewall.conf of ${name} has no line "log"`;
  const all = await readFile('/proc/sys/net/netfilter/nf_log_all_netns', 'utf8').catch(() => undefined);
  if (all?.trim() === '1') return undefined;
  return `the kernel of ${host} logs no packets of vservers: net.netfilter.nf_log_all_netns is not 1`;
}
