import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { VsError } from '../../shared/errors.ts';
import { removeTrees } from '../../shared/remove.ts';
import { start } from '../../shared/run.ts';
import type { Admitted } from './admission.ts';
import { confined } from './confine.ts';
import { startGathered } from './gathered.ts';
import { givingWay } from './giving-way.ts';
import { answer } from './hello.ts';
import type { meter } from './progress.ts';
import { PACKED, feed, sendStream } from './stream.ts';
import { taking } from './taking.ts';
import { type Way, openWire } from './wire.ts';

/** What both ends keep; --format=posix has nanoseconds (tar(1)). Hard links are kept always, sockets never: walk.pl lists them. */
const keep = ['--acls', '--xattrs', '--xattrs-include=*', '--numeric-owner', '--blocking-factor=512'];

/**
 * Source: the whole tree as one stream, which for many small files takes half the time of rsync (measured.md). What changes
 * or vanishes while it is read is no fault (exit code 1): the pass after it sends that again.
 */
export async function sendTar(
  options: {
    tree: string;
    runDir: string;
    way: Way;
    bwlimit?: number | undefined;
    compress?: boolean | undefined;
  },
  count: ReturnType<typeof meter>,
): Promise<void> {
  const { way, tree, runDir, bwlimit, compress: packed } = options;
  const { signal } = way;
  const argv = [
    'tar',
    '--create',
    '--format=posix',
    '--pax-option=delete=atime,delete=ctime',
    '--sparse',
    ...keep,
    '--warning=no-file-ignored',
    '--anchored',
    '--no-wildcards',
    '--exclude=./config',
    '-f',
    '-',
    '.',
  ];
  const wire = await openWire(way, ['tar', ...(packed ? [PACKED] : [])]);
  await confined({ runDir, tree, write: false }, argv, async (confinedArgv) => {
    const { child, socket } = startGathered(runDir, confinedArgv, signal);
    await sendStream(child, wire, { tool: 'tar', signal, socket, bwlimit, packed, okCodes: [0, 1] }, count);
  });
}

/** Target: unpacks a stream into an empty tree, out of which nothing in it leads; the last answer is one line {ok, error?}. */
export async function receiveTar(
  admitted: Admitted,
  options: { tree: string; runDir: string; signal: AbortSignal; onLog: (line: string) => void },
): Promise<void> {
  const { tree, runDir, signal, onLog } = options;
  const { wire, words } = admitted;
  await taking(admitted, signal, async () => {
    const [kind, packing] = words;
    if (kind !== 'tar') throw new VsError('refused', 'a transfer came that is none of tar');
    await removeTrees((await readdir(tree)).map((left) => join(tree, left))); // of a try that was cut off
    wire.write(answer());
    const argv = [
      'tar',
      '--extract',
      '--preserve-permissions',
      '--delay-directory-restore',
      ...keep,
      '-f',
      '-',
    ];
    await confined({ runDir, tree, write: true }, argv, async (confinedArgv) => {
      const child = start([...givingWay, ...confinedArgv], { stdio: ['pipe', 'ignore', 'pipe'] });
      const end = () => child.kill('SIGTERM');
      signal.addEventListener('abort', end, { once: true });
      const error = await feed(wire, child, 'tar', { packed: packing === PACKED, signal });
      if (error) onLog(error);
      wire.end(answer(error));
    });
  });
}
