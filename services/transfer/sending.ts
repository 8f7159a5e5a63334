import type { PassKind } from '../../shared/contract/transfer.ts';
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
  const mark = Date.now();
  if (!final) await run(['sync', '-f', tree], { timeoutMs: 3_600_000, signal: way.signal });
  const sent = await sendKind(what, changes, count, since);
  if (final) await changes.forget(saga);
  else await changes.committed(saga, tree, mark);
  return sent;
}

async function sendKind(
  what: Sending,
  changes: Changes,
  count: ReturnType<typeof meter>,
  since: number | undefined,
): Promise<Sent> {
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
        return { bytes: result.sent, files: result.files, treeBytes: bytes, treeFiles: files };
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
  const walked = final && from === undefined ? undefined : await changes.walk(saga, tree, from, signal);
  const suspects = walked && walked.listed > 0 ? walked : undefined;
  const direct = way.channel === 'plain' && kind === 'full' && since === undefined;
  const { sent, files, treeBytes, treeFiles } = await sendRsync(
    { ...what, walked: suspects, part: false, direct },
    count,
  );
  return { bytes: sent, files, treeBytes, treeFiles, ...(doubt === undefined ? {} : { full: doubt }) };
}
