import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildPackages } from '../../deploy/package/build.ts';
import { run } from '../../shared/run.ts';

const LONG = { timeoutMs: 300_000 };

/** The same package as of an older version: what stands for the one before where VS_VM_PREVIOUS names none. */
async function olderOf(deb: string, scratch: string): Promise<string> {
  const tree = join(scratch, 'older');
  await run(['dpkg-deb', '--raw-extract', deb, tree], LONG);
  const change = async (path: string, from: RegExp, to: string) => {
    const file = join(tree, path);
    await writeFile(file, (await readFile(file, 'utf8')).replace(from, to));
  };
  await change('DEBIAN/control', /^(Version: .*)$/m, '$1~before');
  await change('usr/lib/vs-tools/package.json', /("version": "[^"]+)"/, '$1-before"');
  const to = deb.replace(/_([^_]+)\.deb$/, '~before_$1.deb');
  await run(['dpkg-deb', '--root-owner-group', '-Znone', '--build', tree, to], LONG);
  await rm(tree, { recursive: true });
  return to;
}

export interface Debs {
  directory: string;
  now: string;
  before: string;
}

/** The package of what lies here, and the one before it: what VS_VM_PREVIOUS names, else the same with an older version. */
export async function makeDebs(): Promise<Debs> {
  const directory = await mkdtemp('/var/tmp/vslab-debs-');
  const { deb } = await buildPackages(directory, { fast: true });
  const named = process.env['VS_VM_PREVIOUS'];
  if (!named) return { directory, now: deb, before: await olderOf(deb, directory) };
  const before = join(directory, named.split('/').at(-1) ?? '');
  await run(['cp', named, before]);
  return { directory, now: deb, before };
}
