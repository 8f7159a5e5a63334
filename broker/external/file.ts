import { chown, readFile } from 'node:fs/promises';
import { VsError } from '../../shared/errors.ts';
import { writeFileDurable } from '../../shared/store.ts';

/** The first line of each file that may be written again. */
export const mark = '# Written by "vs broker config": it overwrites what you change here.';

export interface ConfigFile {
  path: string;
  text: string;
}

/**
 * Writes the files for their owner only (0600); those that are the same stay. Throws VsError 'conflict' before anything is
 * written when one of them is there and not of this command. Answers those that changed.
 */
export async function writeConfig(
  files: ConfigFile[],
  owner?: { uid: number; gid: number },
): Promise<string[]> {
  const before = await Promise.all(files.map(({ path }) => readFile(path, 'utf8').catch(() => undefined)));
  const foreign = files.filter((_, index) => before[index]?.startsWith(mark) === false);
  if (foreign.length > 0)
    throw new VsError(
      'conflict',
      `${foreign.map((one) => one.path).join(' and ')} was not written by "vs broker config" and is left alone; name another --out, or move it away`,
    );
  const changed: string[] = [];
  for (const [index, { path, text }] of files.entries()) {
    if (before[index] !== text) {
      await writeFileDurable(path, text);
      changed.push(path);
    }
    if (owner) await chown(path, owner.uid, owner.gid);
  }
  return changed;
}
