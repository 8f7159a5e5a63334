// shared/run.ts, as the simulated processes see it: the tools that the agents use, on the disk of their node
import { RunError, type RunOptions, type RunResult } from '../../../shared/run.ts';
import { currentLife, later, theWorld } from '../current.ts';
import { type Inode, fault } from '../inode.ts';
import type { Node } from '../loop.ts';

export { RunError };
export const dying: string[] = []; // worse than it is: here they end by themselves

type Tool = (node: Node, args: string[]) => string | void;
const last = (args: string[]) => args.at(-1) ?? '';
const files = (inode: Inode | undefined): number => {
  if (inode?.kind !== 'directory') return 1;
  let count = 1;
  for (const one of inode.entries.values()) count += files(one);
  return count;
};
/** New directories with the same files in them (link-tree.pl). */
function linked(disk: Node['disk'], inode: Inode): Inode {
  if (inode.kind !== 'directory') return inode;
  const copy = disk.directory();
  for (const [name, one] of inode.entries) copy.entries.set(name, linked(disk, one));
  return copy;
}
function copied(node: Node, args: string[], how: (inode: Inode) => Inode): void {
  const from = args.at(-2) ?? '';
  const inode = node.disk.find(from);
  if (!inode) throw fault('ENOENT', from);
  if (node.full) throw fault('ENOSPC', last(args));
  theWorld().guests.write(node, from);
  node.disk.put(last(args), how(inode));
}
const tools: Record<string, Tool> = {
  rm({ disk }, args) {
    if (disk.find(last(args), false)) disk.put(last(args), undefined);
  },
  du: ({ disk }, args) =>
    `${args.includes('--inodes') ? files(disk.find(last(args))) : 1_000_000}\t${last(args)}\n`,
  sync: ({ disk }) => disk.syncAll(),
  find: () => '',
  setfacl: () => undefined,
  'ssh-keygen': () => undefined,
  nft: () => undefined,
  /** Only the ping of a trial to its own address. */
  nsenter: () => '1 packets transmitted, 1 received',
  'mount-place': ({ disk }, [mount = '']) => disk.makeDirectories(mount),
  setcap: () => undefined,
  umount: (node, args) => void theWorld().guests.mounts(node).delete(last(args)),
  cp: (node, args) => copied(node, args, (inode) => node.disk.copyOf(inode, false)),
  'link-tree.pl': (node, args) => copied(node, args, (inode) => linked(node.disk, inode)),
  'mount-root'(node, [rootfs = '', mount = '']) {
    if (!node.disk.find(rootfs)) throw fault('ENOENT', rootfs);
    node.disk.makeDirectories(mount);
    theWorld().guests.mounts(node).add(mount);
  },
  btrfs(node, [, verb, ...args]) {
    const { disk } = node;
    const to = last(args);
    if (verb === 'create') disk.put(to, disk.directory(true));
    if (verb === 'delete') disk.put(to, undefined);
    if (verb === 'show') return 'Creation time: 2026-11-26 00:00:00\n';
    if (verb === 'snapshot') {
      const from = args.at(-2) ?? '';
      if (node.full) throw fault('ENOSPC', to);
      theWorld().guests.write(node, from);
      const inode = disk.find(from);
      if (!inode) throw fault('ENOENT', from);
      disk.syncTree(inode);
      disk.put(to, disk.copyOf(inode, true, true));
      disk.commitAll(); // it ends with a commit of the file system
    }
    return undefined;
  },
};

/** Runs a simulated tool: takes a while, and ends also when the process that began it was killed. */
export async function run(argv: string[], options: RunOptions = {}): Promise<RunResult> {
  const [file = '', ...args] = argv[0] === 'perl' ? argv.slice(1) : argv;
  const name = file.split('/').at(-1) ?? '';
  const tool = tools[name];
  if (!tool) throw new Error(`the tool ${name} is not simulated (test/sim/parts/run.ts)`);
  const ms = theWorld().random.between(1, name === 'cp' || name === 'link-tree.pl' ? 400 : 15);
  return later(name, ms, ({ node }) => {
    try {
      return { code: 0, stdout: tool(node, args) ?? '', stderr: '' };
    } catch (error) {
      const text = (error as Error).message;
      if (options.okCodes?.includes(1)) return { code: 1, stdout: '', stderr: text };
      throw new RunError(argv, 1, text, `${name} ended with exit code 1: ${text}`);
    }
  });
}
/** Only the mount that waits for its word: it is made when "go" comes, and its end is told. */
export function start(argv: string[]): unknown {
  const { node } = currentLife();
  const [tool, , rootfs = '', mount = ''] = argv;
  if (tool !== 'perl') throw new Error(`${String(tool)} cannot be started with streams in a simulation`);
  let told: ((code: number) => void) | undefined;
  return {
    once(event: string, tell: (code: number) => void) {
      if (event === 'close') told = tell;
    },
    stdin: {
      on: () => undefined,
      end(text?: string): void {
        void later('mount', 3, () => {
          const isThere = text !== undefined && node.disk.find(rootfs) !== undefined;
          if (isThere) theWorld().guests.mounts(node).add(mount);
          return isThere;
        }).then((isThere) => told?.(isThere ? 0 : 1));
      },
    },
  };
}
