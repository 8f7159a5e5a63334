import { copyFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { run } from '../../shared/run.ts';
import { type Watch, watchClock } from './clock-watch.ts';

export const walkProgram = new URL('walk.pl', import.meta.url).pathname;

/** ctimes are some milliseconds behind the clock (coarse time stamps of the kernel); walk.pl has whole seconds. */
const MARGIN_MS = 1000;
/** A clock that was set back by less (ms) is covered by the margin. */
const COVERED_MS = 500;
const walked = z.object({
  files: z.int(),
  bytes: z.int(),
  listed: z.int(),
  known: z.boolean(),
});

/** What one walk over a tree found, and the files that say more (walk.pl). */
export interface Walked extends z.infer<typeof walked> {
  list: string;
  names: string;
}

/** The lists of one saga; in RUN_DIR, so they go with the boot, and with the agent (orphans.ts). */
export const listFile = (runDir: string, saga: string, kind: 'index' | 'next' | 'list' | 'names' | 'todo') =>
  join(runDir, `.transfer-${saga}.${kind}`);

/** Source: what is known, by saga, of the tree as its last pass found it; the next one copies what changed since. */
export function openChanges(runDir: string, watch: () => Watch = watchClock) {
  const known = new Map<string, { mark: number; tree: string; watch: Watch; distrust?: string }>();
  const pending = new Map<string, Watch>();

  async function forget(saga: string): Promise<void> {
    known.get(saga)?.watch.stop();
    pending.get(saga)?.stop();
    known.delete(saga);
    pending.delete(saga);
    for (const kind of ['index', 'next', 'list', 'names'] as const)
      await rm(listFile(runDir, saga, kind), { force: true });
  }

  return {
    forget,
    async forgetAll(): Promise<void> {
      for (const saga of [...known.keys(), ...pending.keys()]) await forget(saga);
    },
    /** Why a list of changes would not do; undefined when it does. */
    doubt(saga: string, tree: string): string | undefined {
      const last = known.get(saga);
      if (!last || last.tree !== tree)
        return 'what the pass before found is not known any more (the agent was started anew)';
      if (last.distrust !== undefined) return last.distrust;
      const back = last.watch.setBack();
      if (back > COVERED_MS)
        return `the clock was set back by ${(back / 1000).toFixed(1)} s since the pass before`;
      return undefined;
    },
    /** What is known of a tree from elsewhere (markers.ts): `index` is what a walk of then wrote. */
    async seed(saga: string, tree: string, mark: number, index: string): Promise<void> {
      await copyFile(index, listFile(runDir, saga, 'index'));
      known.get(saga)?.watch.stop();
      known.set(saga, { mark, tree, watch: watch() });
    },
    /** What the last pass that arrived whole has found, for a later saga. */
    last(saga: string): { mark: number; tree: string; index: string } | undefined {
      const last = known.get(saga);
      if (!last || last.distrust !== undefined || last.watch.setBack() > COVERED_MS) return undefined;
      return { mark: last.mark, tree: last.tree, index: listFile(runDir, saga, 'index') };
    },
    /** No list will do until a full pass has arrived. */
    distrust(saga: string, why: string): void {
      const last = known.get(saga);
      if (last) last.distrust = why;
    },
    /** When the last pass that arrived whole began (epoch ms). */
    mark: (saga: string): number | undefined => known.get(saga)?.mark,
    /** By how much (ms) the clock was set back since the last pass, as far as that is known. */
    setBack: (saga: string): number => known.get(saga)?.watch.setBack() ?? 0,
    /**
     * Walks a tree. `since` (epoch ms): lists the files that changed from then on; 'last': all that changed since the last
     * pass, names and directories too; undefined: only counts. `committed` makes it the last pass.
     */
    async walk(
      saga: string,
      tree: string,
      since: number | 'last' | undefined,
      signal: AbortSignal,
    ): Promise<Walked> {
      pending.get(saga)?.stop();
      pending.set(saga, watch());
      const from = since === 'last' ? (known.get(saga)?.mark ?? 0) : since;
      const seconds = from === undefined ? '' : String(Math.max(0, Math.floor((from - MARGIN_MS) / 1000)));
      const [old, next, list, names] = (['index', 'next', 'list', 'names'] as const).map((kind) =>
        listFile(runDir, saga, kind),
      ) as [string, string, string, string];
      const { stdout } = await run(
        ['perl', walkProgram, tree, seconds, since === 'last' ? old : '', next, list, names],
        { timeoutMs: 3_600_000, signal },
      );
      return { ...walked.parse(JSON.parse(stdout)), list, names };
    },
    /** After a live pass: do all directories of its list lie where the walk found them? */
    async still(saga: string, tree: string, { list }: Walked, signal: AbortSignal): Promise<boolean> {
      const argv = ['perl', walkProgram, tree, 'still', listFile(runDir, saga, 'next'), list];
      const { stdout } = await run(argv, { timeoutMs: 600_000, signal });
      return z.object({ still: z.boolean() }).parse(JSON.parse(stdout)).still;
    },
    /** The pass that began at `mark` (epoch ms), before the last walk, has arrived. */
    async committed(saga: string, tree: string, mark: number): Promise<void> {
      const begun = pending.get(saga);
      if (!begun) return;
      await rename(listFile(runDir, saga, 'next'), listFile(runDir, saga, 'index'));
      known.get(saga)?.watch.stop();
      known.set(saga, { mark, tree, watch: begun });
      pending.delete(saga);
    },
  };
}
export type Changes = ReturnType<typeof openChanges>;
