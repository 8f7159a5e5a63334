import type { PassKind } from '../../shared/contract/transfer.ts';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import type { Changes } from './changes.ts';
import type { meter } from './progress.ts';
import { sendRsync } from './rsync.ts';
import { sendTar } from './tar.ts';
import type { Way } from './wire.ts';

/** What is to be sent, and how. */
export interface Sending {
  saga: string;
  tree: string;
  runDir: string;
  way: Way;
  kind: PassKind;
  /** What vanishes meanwhile is a fault. */
  final: boolean;
  /** When the pass before began (epoch ms), for a full pass: what changed since is sent whatever its times say. */
  since?: number | undefined;
  /** Into a tree that shares its files with others (aside.ts); what the pass has found is remembered, also after a final one. */
  keep?: boolean | undefined;
  /** When the tree was as it is (epoch ms), where it is a snapshot. */
  asOf?: number | undefined;
  bwlimit?: number | undefined;
  compress?: boolean | undefined;
}
export interface Sent {
  bytes: number;
  files?: number;
  treeBytes?: number;
  treeFiles?: number;
  /** Why it became a full pass. */
  full?: string;
  /** What changed from then on (epoch ms, this clock) is not there yet. */
  began: number;
}

/**
 * Source: one pass of a tree by tar or rsync. A live one writes out what is dirty before it reads: what a process
 * stores into a mapped page later faults again, and has a new ctime (a page that was dirty already would not).
 */
export async function sendTree(
  what: Sending,
  changes: Changes,
  count: ReturnType<typeof meter>,
): Promise<Sent> {
  const { saga, tree, way, final, since } = what;
  const mark = Math.min(Date.now(), what.asOf ?? Infinity);
  if (!final) await run(['sync', '-f', tree], { timeoutMs: 3_600_000, signal: way.signal });
  const before = changes.mark(saga);
  const { partial, ...sent } = await sendKind(what, changes, count, since).catch((error: unknown) => {
    if (error instanceof VsError && error.details?.['lacks']) changes.distrust(saga, error.message);
    throw error; // and the next try compares all
  });
  if (final && !what.keep) await changes.forget(saga);
  else if (!partial) await changes.committed(saga, tree, mark);
  return { ...sent, began: partial ? (before ?? since ?? 0) : mark };
}

async function sendKind(
  what: Sending,
  changes: Changes,
  count: ReturnType<typeof meter>,
  since: number | undefined,
): Promise<Omit<Sent, 'began'> & { partial?: boolean }> {
  const { saga, tree, way, kind, final } = what;
  const { signal } = way;
  let doubt: string | undefined;
  if (kind === 'list') {
    doubt = changes.doubt(saga, tree);
    if (doubt === undefined) {
      const walked = await changes.walk(saga, tree, 'last', signal);
      if (walked.known) {
        const { files, bytes } = walked;
        const result = await sendRsync({ ...what, walked, part: true, direct: false }, count);
        const { sent } = result;
        const partial = !final && (result.partial || !(await changes.still(saga, tree, walked, signal)));
        return { bytes: sent, files: result.files, treeBytes: bytes, treeFiles: files, partial };
      }
      doubt = 'another tree lies there than at the pass before';
    }
  }
  if (kind === 'stream') {
    const { files, bytes } = await changes.walk(saga, tree, undefined, signal);
    await sendTar(what, count);
    return { bytes: count.end().bytes, treeBytes: bytes, treeFiles: files };
  }
  const from = since === undefined ? undefined : since - changes.setBack(saga);
  const walked =
    final && from === undefined && !what.keep ? undefined : await changes.walk(saga, tree, from, signal);
  const suspects = walked && walked.listed > 0 ? walked : undefined;
  const direct = way.channel === 'plain' && kind === 'full' && since === undefined && !what.keep;
  const { sent, files, treeBytes, treeFiles, partial } = await sendRsync(
    { ...what, walked: suspects, part: false, direct },
    count,
  );
  return {
    bytes: sent,
    files,
    treeBytes,
    treeFiles,
    partial,
    ...(doubt === undefined ? {} : { full: doubt }),
  };
}
