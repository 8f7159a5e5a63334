import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readKernel } from '../read.ts';

/** A vserver with more is not counted to the end: a fork bomb must not cost the host. */
const MOST = 20_000;
const MOST_DIRECTORIES = 5000;

export interface Process {
  pid: number;
  name: string;
  program: string;
}

/** The pids of a cgroup and of all below it. */
export function pidsBelow(top: string): number[] {
  const pids: number[] = [];
  const waiting = [top];
  for (let seen = 0; waiting.length > 0 && seen < MOST_DIRECTORIES && pids.length < MOST; seen++) {
    const directory = waiting.pop() ?? top;
    for (const line of readKernel(join(directory, 'cgroup.procs')).split('\n'))
      if (line !== '') pids.push(Number(line));
    try {
      for (const entry of readdirSync(directory, { withFileTypes: true }))
        if (entry.isDirectory()) waiting.push(join(directory, entry.name));
    } catch {
      // it is gone
    }
  }
  return pids.slice(0, MOST);
}

/** The processes of a cgroup (any controller's directory of the vserver) that live; those that wait for their parent do not. */
export function processesOf(directory: string): Process[] {
  return pidsBelow(directory).flatMap((pid) => {
    const stat = readKernel(`/proc/${pid}/stat`);
    const [open, close] = [stat.indexOf('('), stat.lastIndexOf(')')];
    if (open < 0 || close < open || stat[close + 2] === 'Z') return [];
    const program = readKernel(`/proc/${pid}/cmdline`).split('\0')[0] ?? '';
    return [{ pid, name: stat.slice(open + 1, close), program: basename(program) }];
  });
}

/** How many of them are called so: by what they call themselves, or by their program. The kernel keeps 15 characters. */
export const countOf = (processes: readonly Process[], wanted: string): number =>
  processes.filter(({ name, program }) => name === wanted || program === wanted).length;
