import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../shared/run.ts';

const root = new URL('../..', import.meta.url).pathname;
const folders = ['broker', 'classic', 'cli', 'config', 'deploy', 'services', 'shared', 'vs', 'package.json'];

interface Lock {
  packages: Record<string, { dev?: boolean; optional?: boolean; devOptional?: boolean }>;
}

/** The packages that run in production, of the lock file that npm leaves in node_modules. */
export const productionOf = (lock: Lock): string[] =>
  Object.entries(lock.packages)
    .filter(([path, one]) => path.startsWith('node_modules/') && !one.dev && !one.devOptional)
    .map(([path]) => path)
    .filter((path, _at, all) => !all.some((other) => path.startsWith(`${other}/`)));

/** Makes the disk with the project as it lies here, its packages and its Node; what only development needs is left out. */
export async function makeLayer(file: string): Promise<void> {
  const tree = `${file}.tree`;
  await mkdir(join(tree, 'node_modules'), { recursive: true, mode: 0o755 });
  const lock = JSON.parse(await readFile(join(root, 'node_modules/.package-lock.json'), 'utf8')) as Lock;
  for (const path of productionOf(lock)) await mkdir(join(tree, path, '..'), { recursive: true });
  for (const path of [...folders, ...productionOf(lock)])
    await cp(join(root, path), join(tree, path), { recursive: true, verbatimSymlinks: true });
  await writeFile(file, '');
  await run(['truncate', '-s', '700M', file]);
  await run(['mkfs.ext4', '-q', '-F', '-O', '^has_journal', '-m', '0', '-L', 'vs-tools', '-d', tree, file], {
    timeoutMs: 300_000,
  });
  await rm(tree, { recursive: true });
}
