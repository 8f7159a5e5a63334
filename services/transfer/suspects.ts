import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../shared/run.ts';

/** A clock of files is a few milliseconds behind (find(1), coarse time stamps of the kernel). */
const MARGIN_MS = 1000;

/** The list of one saga; in RUN_DIR, so it goes with the boot. */
export const suspectsFile = (runDir: string, saga: string): string => join(runDir, `.transfer-list-${saga}`);

/**
 * Lists the files of a tree that changed since a time (ctime, which nobody can set back) although their mtime is
 * older: rsync compares size and mtime alone, so it would leave such a change out. NUL-separated, for rsync --from0.
 */
export async function listSuspects(tree: string, since: number, list: string): Promise<number> {
  const mark = `@${((since - MARGIN_MS) / 1000).toFixed(3)}`;
  const { stdout } = await run(
    ['find', tree, '-xdev', '-type', 'f', '-newerct', mark, '-not', '-newermt', mark, '-printf', '%P\\0'],
    { okCodes: [0, 1], timeoutMs: 3_600_000 }, // 1: something vanished under it
  );
  const names = stdout.split('\0').filter(Boolean);
  await rm(list, { force: true });
  if (names.length === 0) return 0;
  await mkdir(join(list, '..'), { recursive: true, mode: 0o700 });
  await writeFile(list, `${names.join('\0')}\0`, { mode: 0o600 });
  return names.length;
}
