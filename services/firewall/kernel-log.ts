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
