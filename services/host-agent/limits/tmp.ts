import { readFile, statfs } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { VsError } from '../../../shared/errors.ts';
import { RunError, run } from '../../../shared/run.ts';

const script = fileURLToPath(new URL('./remount-tmp.pl', import.meta.url));

/** Is /tmp a tmpfs, by /proc/PID/mountinfo of an init? */
export const isTmpfs = (mountinfo: string): boolean =>
  mountinfo.split('\n').some((line) => line.split(' ')[4] === '/tmp' && / - tmpfs /.test(line));

/** Size and use of /tmp of a running vserver, if it is a tmpfs (bytes). Size 0: it has none of its own. */
export async function lookAtTmp(pid: number): Promise<{ used: number; limit: number } | undefined> {
  const mounts = await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '');
  if (!isTmpfs(mounts)) return undefined;
  const { blocks, bfree, bsize } = await statfs(`/proc/${pid}/root/tmp`);
  return { used: (blocks - bfree) * bsize, limit: blocks * bsize };
}

/** Gives /tmp of a running vserver another size; null: none. */
export async function resizeTmp(pid: number, bytes: number | null): Promise<void> {
  try {
    await run(['perl', script, String(pid), String(bytes ?? 0)]);
  } catch (error) {
    if (!(error instanceof RunError)) throw error;
    throw new VsError('failed', `/tmp cannot have the size ${bytes ?? 'none'}: ${error.stderr.trim()}`, {
      cause: error,
    });
  }
}
