import { open } from 'node:fs/promises';
import { z } from 'zod';
import { VsError } from '../../shared/errors.ts';
import { start } from '../../shared/run.ts';

export const applyProgram = new URL('apply.pl', import.meta.url).pathname;
const counted = z.object({ files: z.int(), bytes: z.int(), missing: z.string().optional() });
/** How many entries a tree has, with how many bytes in files and symlinks; or by how much that changes. */
export type Counted = z.infer<typeof counted>;

/** Target: makes a tree ready for rsync by the list of a walk, or counts by it (apply.pl). */
export async function applyList(
  tree: string,
  mode: 'prepare' | 'prepare-shared' | 'tally' | 'count',
  list: string | undefined,
  signal?: AbortSignal,
): Promise<Counted> {
  const input = list === undefined ? undefined : await open(list);
  try {
    const child = start(['perl', applyProgram, tree, mode], {
      stdio: [input?.fd ?? 'ignore', 'pipe', 'pipe'],
      ...(signal ? { signal } : {}),
    });
    let [stdout, stderr] = ['', ''];
    child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-2000)));
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status) => resolve(status ?? 1));
    });
    if (code !== 0)
      throw new VsError('failed', `the list of changes could not be applied: ${stderr.trim().slice(-300)}`);
    return counted.parse(JSON.parse(stdout));
  } finally {
    await input?.close();
  }
}
