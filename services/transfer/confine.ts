import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';

const program = new URL('confine.pl', import.meta.url).pathname;

/**
 * Gives the command line of a tool that sees nothing but a tree, as /tree, and the programs of the host (confine.pl):
 * a tree belongs to a guest, and what is in it must not lead a copy elsewhere. Its place in `runDir` is removed after the work.
 */
export async function confined<T>(
  options: { runDir: string; tree: string; write: boolean },
  argv: string[],
  work: (argv: string[]) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(options.runDir, '.transfer-'));
  try {
    return await work(['perl', program, directory, options.tree, options.write ? 'rw' : 'ro', ...argv]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
