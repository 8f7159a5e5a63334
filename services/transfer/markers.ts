import { copyFile, mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { backupId } from '../../shared/contract/backup.ts';
import { ts } from '../../shared/contract/names.ts';
import { run } from '../../shared/run.ts';
import { readJson, writeJson } from '../../shared/store.ts';
import { type Watch, watchClock } from './clock-watch.ts';

const BTRFS_SUBVOLUME = 256;
/** A clock that was set back by less (ms) is covered by the margin of a walk. */
const COVERED_MS = 500;

const marker = z.object({
  version: z.literal(1),
  /** The backup that has all of the tree as of `mark` (epoch ms, this clock). */
  id: backupId,
  mark: ts,
  boot: z.string(),
  /** The wall clock less the time since the boot (ms). */
  ahead: z.number(),
  tree: z.string(),
});

const bootId = async () => (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
const ahead = async () =>
  Date.now() - Number((await readFile('/proc/uptime', 'latin1')).split(' ')[0]) * 1000;

/** What tells one tree from another that lies in its place later. */
async function identityOf(tree: string): Promise<string> {
  const is = await stat(tree, { bigint: true });
  const uuid =
    is.ino === BigInt(BTRFS_SUBVOLUME)
      ? /\n\s*UUID:\s*(\S+)/.exec((await run(['btrfs', 'subvolume', 'show', tree])).stdout)?.[1]
      : '';
  return `${is.dev}:${is.ino}:${is.birthtimeNs}:${uuid ?? ''}`;
}

/**
 * Source: what the last backup of a vserver in a repository has seen, and how all directories lay then (walk.pl): the next one copies
 * what changed since. It counts in this boot alone, while the clock was not set back and the tree is the same one.
 */
export function openMarkers(directory: string) {
  const watches = new Map<string, Watch>();
  const fileOf = (key: string, kind: 'json' | 'index') => join(directory, `${key}.${kind}`);
  const watch = (key: string) => {
    watches.get(key)?.stop();
    watches.set(key, watchClock());
  };
  return {
    /** `index`: what the walk of that pass wrote; undefined: nothing is known, so the next backup compares all. */
    async remember(
      key: string,
      what: { id: string; mark: number; tree: string; index: string } | undefined,
    ): Promise<void> {
      await rm(fileOf(key, 'json'), { force: true });
      if (!what) return;
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await copyFile(what.index, fileOf(key, 'index'));
      const { id, mark } = what;
      const tree = await identityOf(what.tree);
      watch(key);
      const clock = { boot: await bootId(), ahead: await ahead() };
      await writeJson(fileOf(key, 'json'), marker, { version: 1, id, mark, ...clock, tree });
    },
    /** What changed since that backup can be listed by this; or why not. */
    async recall(key: string, id: string, tree: string): Promise<{ mark: number; index: string } | string> {
      const known = await readJson(fileOf(key, 'json'), marker).catch(() => undefined);
      if (known?.id !== id) return 'this host does not know what the backup before has seen';
      if (known.boot !== (await bootId())) return 'this host was started anew since the backup before';
      const back = Math.max(known.ahead - (await ahead()), watches.get(key)?.setBack() ?? 0);
      if (back > COVERED_MS) return 'the clock was set back since the backup before';
      if (known.tree !== (await identityOf(tree))) return 'another tree lies there than at the backup before';
      if (!watches.has(key)) watch(key);
      return { mark: known.mark, index: fileOf(key, 'index') };
    },
    stop(): void {
      for (const one of watches.values()) one.stop();
    },
  };
}
export type Markers = ReturnType<typeof openMarkers>;
