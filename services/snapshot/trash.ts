import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ts } from '../../shared/contract/names.ts';
import { readJson, removeFileDurable, renameDurable, writeJson } from '../../shared/store.ts';
import { run } from '../../shared/run.ts';
import type { Driver } from './drivers.ts';

const entry = z.strictObject({
  version: z.literal(1),
  name: z.string(),
  saga: z.string(),
  uuid: z.string(),
  ts,
  until: ts,
});
export type TrashEntry = z.infer<typeof entry>;

/** The trash of a host: trees that are owned no more, kept for a grace time. */
export function openTrash(directory: string, driver: Driver, days: number) {
  const tree = (one: { name: string; saga: string }) => join(directory, `${one.name}.${one.saga}`);
  async function list(): Promise<TrashEntry[]> {
    const files = (await readdir(directory).catch(() => [])).filter((file) => file.endsWith('.json'));
    const entries = await Promise.all(files.map((file) => readJson(join(directory, file), entry)));
    return entries.filter((one) => one !== undefined).sort((a, b) => a.ts - b.ts);
  }
  async function destroy(one: TrashEntry): Promise<void> {
    await driver.remove(tree(one));
    await removeFileDurable(`${tree(one)}.json`);
  }
  return {
    list,
    destroy,
    /** Bytes of one tree; on btrfs the most that it can give back, for blocks may be shared. */
    async size(one: TrashEntry): Promise<number> {
      const { stdout } = await run(['du', '-sx', '-B1', tree(one)], { okCodes: [0, 1], timeoutMs: 600_000 });
      return Number.parseInt(stdout, 10) || 0;
    },
    /** Takes a tree in; a repeat after it moved answers the same. Older copies of the same vserver go: this one is newer. */
    async take(path: string, want: { name: string; saga: string; uuid: string }): Promise<TrashEntry> {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const known = await readJson(`${tree(want)}.json`, entry);
      const one = known ?? {
        version: 1 as const,
        ...want,
        ts: Date.now(),
        until: Date.now() + days * 86_400_000,
      };
      if (!known) await writeJson(`${tree(want)}.json`, entry, one);
      if (await stat(path).catch(() => undefined)) await renameDurable(path, tree(want));
      for (const older of await list())
        if (older.uuid === want.uuid && older.saga !== want.saga) await destroy(older);
      return one;
    },
    async prune(): Promise<void> {
      for (const one of await list()) if (one.until <= Date.now()) await destroy(one);
    },
  };
}
