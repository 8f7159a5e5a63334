import { writeFileSync } from 'node:fs';

/**
 * This process, and what it starts, writes no core file: keys and passwords are in its memory (core(5)). Only the soft
 * limit is lowered, to Debian's own default, so that a vserver may raise it for itself.
 */
export async function writeNoCore(): Promise<void> {
  const { run } = await import('./run.ts'); // not for the command line, which it would double
  await run(['prlimit', '--pid', String(process.pid), '--core=0:']);
}

/** The same for a process that holds a password for an instant and starts nothing: a core has none of its memory. */
export function emptyCore(): void {
  try {
    writeFileSync('/proc/self/coredump_filter', '0');
  } catch {
    // a kernel without it
  }
}
