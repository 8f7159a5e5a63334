import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { VsError } from '../../shared/errors.ts';
import { ending, run, start } from '../../shared/run.ts';

/** Bytes of a line of `btrfs receive --dump`, which writes blanks and line ends of names with a backslash; 0 of most. */
export const dumped = (line: string): number => Number(/^update_extent\s.*\slen=(\d+)$/.exec(line)?.[1] ?? 0);

/** Bytes of a line of `btrfs subvolume find-new`; 0 of its last one. */
export const found = (line: string): number =>
  Number(/^inode \d+ file offset \d+ len (\d+) /.exec(line)?.[1] ?? 0);

/** The sum of `bytesOf` of each line that the last of these tools prints; each reads what the one before it writes. */
async function total(tools: string[][], bytesOf: (line: string) => number): Promise<number> {
  const children = tools.map((argv, index) =>
    start(argv, { stdio: [index === 0 ? 'ignore' : 'pipe', 'pipe', 'pipe'] }),
  );
  const ends = Promise.all(children.map(ending));
  ends.catch(() => undefined); // one that could not be started is told below, when the others have ended
  const pipes = children.slice(1).map(async ({ stdin }, index) => {
    const from = children[index]?.stdout;
    // their codes and words tell what went wrong
    if (from && stdin) await pipeline(from, stdin).catch(() => undefined);
  });
  const last = children.at(-1)?.stdout;
  let bytes = 0;
  if (last) for await (const line of createInterface({ input: last })) bytes += bytesOf(line);
  await Promise.all(pipes);
  for (const [index, { code, stderr }] of (await ends).entries())
    if (code !== 0) throw new VsError('failed', `${tools[index]?.join(' ')}: ${stderr.trim()}`);
  return bytes;
}

/** Bytes that `btrfs send -p parent snapshot` would send. What both share is not read, and no data at all (btrfs-send(8), --no-data). */
const between = (parent: string, snapshot: string): Promise<number> =>
  total(
    [
      ['btrfs', 'send', '-q', '--no-data', '-p', parent, snapshot],
      ['btrfs', 'receive', '--dump'],
    ],
    dumped,
  );

/** Bytes that were written to a tree after its snapshot; where both came here by a move, what was written here since. */
async function since(snapshot: string, tree: string): Promise<number> {
  const { stdout } = await run(['btrfs', 'subvolume', 'show', snapshot]);
  const generation = Number(/^\s*Generation:\s+(\d+)/m.exec(stdout)?.[1] ?? NaN);
  return total([['btrfs', 'subvolume', 'find-new', tree, String(generation + 1)]], found);
}

/**
 * What a tree and its snapshots, the oldest first, take together on a disk that they are sent to (bytes): the first one
 * whole, and of each of the others what the one before it has not.
 */
export async function along([oldest, ...later]: string[], tree: string): Promise<number> {
  if (oldest === undefined) return 0;
  const counted = { okCodes: [0, 1], timeoutMs: 600_000 };
  const { stdout } = await run(['du', '-sx', '--block-size=1', oldest], counted);
  let bytes = Number.parseInt(stdout, 10);
  let before = oldest;
  for (const one of later) {
    bytes += await between(before, one);
    before = one;
  }
  return bytes + (await since(before, tree));
}
