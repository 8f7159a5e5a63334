import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { sha256Of } from '../../shared/checksum.ts';
import { VsError } from '../../shared/errors.ts';

/** `manifest.json` of an archive: what is in it. Paths begin with `state/` (STATE_DIR) or `etc/` (CONFIG_DIR). */
export const manifest = z.strictObject({
  version: z.literal(1),
  vsTools: z.string().max(100),
  host: z.string().max(253),
  taken: z.int().min(0),
  files: z
    .array(
      z.strictObject({
        path: z
          .string()
          .max(4096)
          .regex(/^(state|etc)\/(?!.*(^|\/)\.\.?(\/|$))[^\0]+$/, 'a path below state/ or etc/'),
        bytes: z.int().min(0),
        mode: z.int().min(0).max(0o777),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
      }),
    )
    .max(200_000),
});
export type Manifest = z.infer<typeof manifest>;

/** What of STATE_DIR an archive leaves out: each comes back by itself, or is kept by other means. */
const left: Record<string, string> = {
  copies: 'copies of vservers, as large as they are',
  backups: 'the backups themselves',
  templates: 'built or imported anew',
  outbox: 'events that had not gone out',
  log: 'log files',
  history: 'figures of the past; taken along when asked for',
  'broker.db': 'what the broker keeps: told anew by whoever owns it',
};

/** Is an entry of STATE_DIR part of an archive? Databases come without the files that are beside them while they are open. */
export function isKept(entry: string, withHistory: boolean): boolean {
  if (entry.startsWith('.') || /^before-(restore|data)-/.test(entry) || /-(wal|shm|journal)$/.test(entry))
    return false;
  return entry === 'history' ? withHistory : !Object.hasOwn(left, entry);
}

/** The regular files below a directory, sorted; what is neither file nor directory (sockets, links) is left out. */
export async function filesBelow(root: string, accepts: (top: string) => boolean): Promise<string[]> {
  const found: string[] = [];
  const walk = async (inner: string): Promise<void> => {
    for (const entry of await readdir(join(root, inner), { withFileTypes: true })) {
      const path = inner ? `${inner}/${entry.name}` : entry.name;
      if (!inner && !accepts(entry.name)) continue;
      if (entry.isDirectory()) await walk(path);
      else if (entry.isFile() && !/-(wal|shm|journal)$/.test(entry.name)) found.push(path);
    }
  };
  await walk('');
  return found.toSorted();
}

/** What a manifest says of one file as it lies there. */
export async function describeFile(path: string): Promise<{ bytes: number; mode: number; sha256: string }> {
  const { mode, size } = await lstat(path);
  return { bytes: size, mode: mode & 0o777, sha256: await sha256Of(path) };
}

/** Throws VsError 'failed' that names the first file that is not as the manifest says, is missing, or is not in it. */
export async function compare(root: string, { files }: Manifest): Promise<void> {
  const there = new Set((await filesBelow(root, () => true)).filter((path) => path !== 'manifest.json'));
  for (const file of files) {
    if (!there.delete(file.path)) throw new VsError('failed', `${file.path} is missing in the archive`);
    const found = await describeFile(join(root, file.path));
    if (found.sha256 !== file.sha256)
      throw new VsError(
        'failed',
        `${file.path} in the archive is damaged: its checksum is not that of the manifest`,
      );
  }
  for (const path of there)
    throw new VsError('failed', `${path} is in the archive, but not in its manifest: somebody changed it`);
}
