import { copyFile, mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Target, into a repository: what each pass is about to change stays in a directory beside the tree, so that the manifest can be made
 * from the one before it. A pass of everything leaves `all`, then the lists say nothing. The lists are whole, or not there.
 */
export async function noteAll(changes: string): Promise<void> {
  await mkdir(changes, { recursive: true, mode: 0o700 });
  await writeFile(join(changes, 'all'), '');
}

/** The list of a pass (walk.pl, LIST), before anything of it is done. */
export async function noteList(changes: string, list: string): Promise<void> {
  await mkdir(changes, { recursive: true, mode: 0o700 });
  const number = (await readdir(changes)).filter((one) => /^\d+$/.test(one)).length;
  await copyFile(list, join(changes, 'next'));
  await rename(join(changes, 'next'), join(changes, String(number)));
}
