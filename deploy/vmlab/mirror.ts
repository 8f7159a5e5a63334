import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, readdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../shared/run.ts';
import { LAYER_BYTES } from './begin.ts';
import type { Recipe } from './recipe.ts';

const LONG = { timeoutMs: 300_000 };
/** What an image with a mirror has beside its disk. */
export const mirrorFile = 'mirror.tar';
/** Where a bare machine finds the mirror, and in it the packages of vs-tools itself. */
export const mirrorAt = '/srv/mirror';
export const ownAt = `${mirrorAt}/vs-tools`;

const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');

/** The stanza of one package for the index of a repository. */
async function stanzaOf(pool: string, name: string): Promise<string> {
  const file = join(pool, name);
  const { stdout } = await run(['dpkg-deb', '--field', file]);
  return `${stdout.trim()}\nFilename: pool/${name}\nSize: ${(await stat(file)).size}\nSHA256: ${sha256(await readFile(file))}\n`;
}

/** Makes a repository of the packages that the hook of mmdebstrap left in the tree, and takes them out of it. */
export async function packMirror(recipe: Recipe, tree: string, to: string): Promise<void> {
  const place = join(tree, 'mirror');
  const index = join(place, 'dists', recipe.suite, 'main/binary-amd64');
  await mkdir(index, { recursive: true });
  const pool = join(place, 'pool');
  await rename(join(tree, 'packages'), pool);
  const stanzas: string[] = [];
  for (const name of (await readdir(pool)).toSorted())
    if (name.endsWith('.deb')) stanzas.push(await stanzaOf(pool, name));
    else await rm(join(pool, name), { recursive: true });
  const packages = stanzas.join('\n');
  await writeFile(join(index, 'Packages'), packages);
  await writeFile(
    join(place, 'dists', recipe.suite, 'Release'),
    `Origin: vmlab\nSuite: ${recipe.suite}\nCodename: ${recipe.suite}\nArchitectures: amd64\nComponents: main\nDate: ${new Date().toUTCString().replace('GMT', 'UTC')}\nSHA256:\n ${sha256(packages)} ${Buffer.byteLength(packages)} main/binary-amd64/Packages\n`,
  );
  await run(['tar', '-C', place, '-cf', to, '.'], LONG);
  await rm(place, { recursive: true });
  // a bare machine keeps manuals and documentation of what is installed on it
  await rm(join(tree, 'etc/dpkg/dpkg.cfg.d/99mmdebstrap'), { force: true });
}

/** The disk of bare machines: the mirror of their image, and packages of vs-tools. */
export async function makeMirrorDisk(boot: string, packages: string[], file: string): Promise<void> {
  const tree = `${file}.tree`;
  const own = join(tree, ownAt.slice(mirrorAt.length));
  await mkdir(own, { recursive: true, mode: 0o755 });
  await run(['tar', '-C', tree, '-xf', join(boot, mirrorFile)], LONG);
  for (const one of packages) await cp(one, join(own, one.split('/').at(-1) ?? ''));
  await writeFile(file, '');
  await truncate(file, LAYER_BYTES);
  await run(['mkfs.ext4', '-q', '-F', '-O', '^has_journal', '-m', '0', '-d', tree, file], LONG);
  await rm(tree, { recursive: true });
}
