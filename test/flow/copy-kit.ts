import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PassKind } from '../../shared/contract/transfer.ts';
import type { Call } from '../../shared/dispatch.ts';
import { seal, sealKey } from '../../shared/seal.ts';
import { transferHost } from './transfer-host.ts';

export const directory = mkdtempSync(join(tmpdir(), 'vslab-list-'));
export const root = process.getuid?.() === 0;
if (!root) console.log('skipped: copies of trees are tried as root');
/** What the copies of a call report. */
export const progress: { at: number; bytes: number }[] = [];
export const call: Call = {
  id: 'a',
  issuer: 'test',
  signal: new AbortController().signal,
  progress: (one) =>
    void progress.push({ at: performance.now(), bytes: Number((one as { bytes?: number }).bytes) }),
};

export const [host1, host2] = [transferHost(directory, 'host1'), transferHost(directory, 'host2')];

/** An endpoint of host2 for one pass. */
type Opened = { port: number; secret: string };

/** A vserver on host1 and its staging on host2, and passes between them as the orchestrator would ask for them. */
export function copying(saga: string) {
  const tree = join(host1.settings.VSERVER_DIR, saga);
  const copy = join(host2.settings.VSERVER_DIR, '.staging', `${saga}.${saga}`, 'tree');
  for (const one of [tree, copy]) mkdirSync(one, { recursive: true });
  const both = { name: saga, saga };
  let [source, target] = [host1.life(), host2.life()];
  let since: number | undefined;
  return {
    tree,
    copy,
    /** The agent of the source is killed and comes back: it knows nothing of the passes before. */
    restart: () => void (source = host1.life()),
    /** The network breaks: the target drops what it is at. */
    breakOff: () => target.handlers['transfer.close']?.(both, call),
    flush: () => target.handlers['transfer.flush']?.(both, call),
    async open(kind: PassKind): Promise<Opened> {
      const opened = await target.handlers['transfer.open']?.(
        {
          ...both,
          copy: 'rsync',
          channel: 'plain',
          fromHost: 'host1',
          from: '127.0.0.1',
          ttl: 60_000,
          kind: since === undefined ? kind : 'list',
        },
        call,
      );
      if (!opened) throw new Error('no endpoint');
      return opened;
    },
    async pass(kind: PassKind, final = false, more: object = {}, flush = true) {
      const opened = await this.open(kind);
      const sent = await source.handlers['transfer.send']?.(
        {
          ...both,
          copy: 'rsync',
          channel: 'plain',
          toHost: 'host2',
          address: '127.0.0.1',
          final,
          kind,
          port: opened.port,
          secret: seal(opened.secret, sealKey(host1.settings)),
          ...(since === undefined ? {} : { since }),
          ...more,
        },
        call,
      );
      if (!sent) throw new Error('nothing was sent');
      since = sent.began;
      if (!final && flush) await target.handlers['transfer.flush']?.(both, call);
      return sent;
    },
    verify: (of: { treeBytes?: number | undefined; treeFiles?: number | undefined }) =>
      target.handlers['transfer.verify']?.(
        { ...both, copy: 'rsync', treeBytes: of.treeBytes, treeFiles: of.treeFiles },
        call,
      ),
    async close() {
      for (const one of [source, target]) await one.handlers['transfer.close']?.(both, call);
      for (const one of [tree, copy]) rmSync(one, { recursive: true });
    },
  };
}
