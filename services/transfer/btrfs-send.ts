import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { VsError } from '../../shared/errors.ts';
import { run, start } from '../../shared/run.ts';
import type { Admitted } from './admission.ts';
import { answer } from './hello.ts';
import { startGathered } from './gathered.ts';
import { givingWay } from './giving-way.ts';
import type { meter } from './progress.ts';
import { PACKED, feed, sendStream } from './stream.ts';
import { taking } from './taking.ts';
import { type Way, openWire } from './wire.ts';

/** Target: takes one stream into staging. The words name the snapshot and the label; the last answer is one line {ok, error?}. */
export async function receive(
  admitted: Admitted,
  staging: string,
  live: boolean,
  signal: AbortSignal,
): Promise<void> {
  const { wire, words } = admitted;
  await taking(admitted, signal, async () => {
    const [kind = '', snapshotName = '', label = '', packing] = words;
    if (
      kind !== 'btrfs-send' ||
      !/^[A-Za-z0-9_-]+\.[a-z0-9-]+$/.test(snapshotName) ||
      !/^[a-z0-9-]+$/.test(label)
    )
      throw new VsError('refused', 'a transfer came with names that are none');
    wire.write(answer());
    const arrived = join(staging, snapshotName);
    await run(['btrfs', 'subvolume', 'delete', arrived], { okCodes: [0, 1] }); // of a try that was cut off
    const child = start([...(live ? givingWay : []), 'btrfs', 'receive', '-C', staging], {
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    const error = await feed(wire, child, 'btrfs receive', { packed: packing === PACKED, signal });
    if (error) await run(['btrfs', 'subvolume', 'delete', arrived], { okCodes: [0, 1] });
    else await rename(arrived, join(staging, label));
    wire.end(answer(error));
  });
}

/** Source: sends a snapshot (incremental to `parent`), then waits for the word of the target. */
export async function send(
  way: Way,
  options: {
    snapshot: string;
    snapshotName: string;
    label: string;
    parent?: string;
    runDir: string;
    live: boolean;
    /** Bytes a second. */
    bwlimit?: number | undefined;
    compress?: boolean | undefined;
  },
  count: ReturnType<typeof meter>,
): Promise<void> {
  const { signal } = way;
  const { live, bwlimit, compress: packed } = options;
  const words = ['btrfs-send', options.snapshotName, options.label, ...(packed ? [PACKED] : [])];
  const wire = await openWire(way, words);
  const parent = options.parent ? ['-p', options.parent] : [];
  const argv = ['btrfs', 'send', '-q', ...parent, options.snapshot];
  // the last one is not gathered, for that costs a process more
  const from = live
    ? startGathered(options.runDir, argv, signal)
    : { child: start(argv, { stdio: ['ignore', 'pipe', 'pipe'], signal }), socket: undefined };
  const how = { tool: 'btrfs send', signal, socket: from.socket, bwlimit, packed };
  await sendStream(from.child, wire, how, count);
}
