import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildPackages } from '../../deploy/package/build.ts';
import { run } from '../../shared/run.ts';

const LONG = { timeoutMs: 300_000 };

/** A file below the root, what is replaced in it, and by what. */
type Change = [string, RegExp | string, string];
/** The same package as of another version, with files of it changed. Answers its file. */
async function variantOf(
  deb: string,
  scratch: string,
  { next, word, changes = [] }: { next?: boolean; word: string; changes?: Change[] },
): Promise<string> {
  const tree = join(scratch, 'variant');
  await run(['dpkg-deb', '--raw-extract', deb, tree], LONG);
  const now = (await run(['dpkg-deb', '--field', deb, 'Version'])).stdout.trim();
  const version = next ? now.replace(/\d+$/, (patch) => String(Number(patch) + 1)) : now;
  const versions: Change[] = [
    ['DEBIAN/control', /^Version: .*$/m, `Version: ${version}~${word}`],
    ['usr/lib/vs-tools/package.json', /"version": "[^"]+"/, `"version": "${version}-${word}"`],
  ];
  for (const [path, from, to] of [...versions, ...changes]) {
    const file = join(tree, path);
    const text = await readFile(file, 'utf8');
    const changed = text.replace(from, to);
    if (changed === text) throw new Error(`${path} has nothing like ${String(from)}`);
    await writeFile(file, changed);
  }
  const to = deb.replace(/_[^_]+_([^_]+)\.deb$/, `_${version}~${word}_$1.deb`);
  await run(['dpkg-deb', '--root-owner-group', '-Znone', '--build', tree, to], LONG);
  await rm(tree, { recursive: true });
  return to;
}
/** What stands for the package before where VS_VM_PREVIOUS names none. */
const olderOf = (deb: string, scratch: string) => variantOf(deb, scratch, { word: 'before' });
/** A next one with which no host is well: its doctor fails. */
const brokenOf = (deb: string, scratch: string) =>
  variantOf(deb, scratch, {
    next: true,
    word: 'broken',
    changes: [
      [
        'usr/lib/vs-tools/services/doctor/main.ts',
        'judgeKernel(await kernelFacts())',
        "(() => { throw new Error('this version is broken'); })()",
      ],
    ],
  });

export interface Debs {
  directory: string;
  now: string;
  before: string;
  broken: string;
}

/** The package of what lies here, the one before it (what VS_VM_PREVIOUS names, else the same with an older version), and a next one that is broken. */
export async function makeDebs(): Promise<Debs> {
  const directory = await mkdtemp('/var/tmp/vslab-debs-');
  const { deb } = await buildPackages(directory, { fast: true });
  const broken = await brokenOf(deb, directory);
  const named = process.env['VS_VM_PREVIOUS'];
  if (!named) return { directory, now: deb, before: await olderOf(deb, directory), broken };
  const before = join(directory, named.split('/').at(-1) ?? '');
  await run(['cp', named, before]);
  return { directory, now: deb, before, broken };
}
