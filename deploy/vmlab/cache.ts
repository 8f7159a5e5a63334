import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { syncDirectory } from '../../shared/store.ts';

/** Where images are kept between runs: VS_VM_CACHE, else below XDG_CACHE_HOME or ~/.cache. */
export const cacheDirectory = (env: NodeJS.ProcessEnv = process.env): string =>
  env['VS_VM_CACHE'] || join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'vs-tools', 'vm');

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

const sums = 'sha256.json';

/** Do all files of an entry have the sums that were noted when it was made? */
async function isWhole(directory: string): Promise<boolean> {
  try {
    const noted = JSON.parse(await readFile(join(directory, sums), 'utf8')) as Record<string, string>;
    for (const [name, sum] of Object.entries(noted))
      if ((await sha256Of(join(directory, name))) !== sum) return false;
    return Object.keys(noted).length > 0;
  } catch {
    return false;
  }
}

const DAY = 86_400_000;

/** Half-made entries of runs that died; a build takes minutes. */
async function sweep(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    if (!name.startsWith('making-')) continue;
    const { mtimeMs } = await stat(join(cache, name));
    const pid = Number(name.split('-')[1]);
    const lives = await stat(`/proc/${pid}`).then(
      () => true,
      () => false,
    );
    if (!lives || Date.now() - mtimeMs > DAY) await rm(join(cache, name), { recursive: true, force: true });
  }
}

/**
 * The directory of an entry of the cache: one that is whole is taken as it is, else `make` fills an empty one, which comes to
 * its name at once when it is complete.
 */
export async function cached(
  cache: string,
  key: string,
  make: (directory: string) => Promise<void>,
): Promise<{ directory: string; made: boolean }> {
  await mkdir(cache, { recursive: true, mode: 0o700 });
  await sweep(cache);
  const directory = join(cache, key);
  if (await isWhole(directory)) return { directory, made: false };
  await rm(directory, { recursive: true, force: true });
  const fresh = join(cache, `making-${process.pid}-${key}`);
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { mode: 0o700 });
  try {
    await make(fresh);
    const noted: Record<string, string> = {};
    for (const name of await readdir(fresh)) noted[name] = await sha256Of(join(fresh, name));
    await writeFile(join(fresh, sums), JSON.stringify(noted));
    await rename(fresh, directory);
    await syncDirectory(cache);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return { directory, made: true };
}
