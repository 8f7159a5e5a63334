import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { epoch, ipv4, ipv6, ts } from '../../shared/contract/names.ts';
import { exists, readJson, removeFileDurable, renameDurable, writeJson } from '../../shared/store.ts';
import { run } from '../../shared/run.ts';
import { createTurns } from '../../shared/turns.ts';
import type { Driver } from './drivers.ts';

const entry = z.strictObject({
  version: z.literal(1),
  name: z.string(),
  saga: z.string(),
  uuid: z.string(),
  ts,
  until: ts,
  epoch: epoch.optional(),
  address: ipv4.optional(),
  address6: ipv6.optional(),
  why: z.string().default('removed'),
  /** No other copy was meant to exist when it came here. Entries of before this was written are not known: they count as the only one. */
  only: z.boolean().default(true),
  bytes: z.int().optional(),
  files: z.int().optional(),
  /** Its end has begun: what is left of the tree is no vserver any more. */
  ending: z.boolean().optional(),
});
/** One tree in the trash, as it lies beside it (`NAME.SAGA.json`). */
export type TrashEntry = z.infer<typeof entry>;
type Which = Pick<TrashEntry, 'name' | 'saga'>;

/** The trash of a host: trees that are owned no more, kept for a grace time. */
export function openTrash(
  directory: string,
  driver: Driver,
  days: number,
  onDamage: (file: string, error: unknown) => void = () => undefined,
) {
  const tree = (one: Which) => join(directory, `${one.name}.${one.saga}`);
  const file = (one: Which) => `${tree(one)}.json`;
  const turns = createTurns();
  const inTurn = <T>(one: Which, work: () => Promise<T>) => turns(tree(one), work); // nothing is brought back half destroyed

  /** Every entry that has a file, the oldest first; a damaged one hides no other. */
  async function all(): Promise<TrashEntry[]> {
    const files = (await readdir(directory).catch(() => [])).filter(
      (name) => name.endsWith('.json') && !name.startsWith('.'),
    );
    const entries = await Promise.all(
      files.map((name) =>
        readJson(join(directory, name), entry).catch((error: unknown) => {
          onDamage(join(directory, name), error);
          return undefined;
        }),
      ),
    );
    return entries.filter((one) => one !== undefined).sort((a, b) => a.ts - b.ts);
  }
  /** What can be brought back: neither one whose end has begun, nor one whose tree is not here (yet, or any more). */
  async function list(): Promise<TrashEntry[]> {
    const entries = await all();
    const here = await Promise.all(entries.map((one) => exists(tree(one))));
    return entries.filter((one, index) => here[index] && !one.ending);
  }
  /** Destroys a tree for good. Its end is marked first: a power cut in the middle leaves nothing that looks whole. */
  const destroy = (which: Which): Promise<void> =>
    inTurn(which, async () => {
      const one = await find(which);
      if (!one) return;
      if (!one.ending) await writeJson(file(one), entry, { ...one, ending: true });
      await driver.remove(tree(one));
      await removeFileDurable(file(one));
    });
  const find = (which: Which) => readJson(file(which), entry);
  return {
    list,
    destroy,
    find,
    tree,
    /** Takes a tree in; a repeat after it moved answers the same. Older copies of the same vserver go: this one is newer. */
    async take(
      path: string,
      want: Which & Pick<TrashEntry, 'uuid'> & Partial<TrashEntry>,
    ): Promise<TrashEntry> {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const known = await find(want);
      const now = Date.now();
      const one = known ?? entry.parse({ version: 1, ts: now, until: now + days * 86_400_000, ...want });
      if (!known) await writeJson(file(one), entry, one);
      if (await exists(path)) await renameDurable(path, tree(want));
      for (const older of await all())
        if (older.uuid === want.uuid && older.saga !== want.saga) await destroy(older);
      return one;
    },
    /** Brings a tree back to where a saga wants it, and its entry beside that, for the way back; a repeat goes on. */
    recall: (which: Which, to: string, keep: string): Promise<boolean> =>
      inTurn(which, async () => {
        await mkdir(join(to, '..'), { recursive: true, mode: 0o700 });
        const one = await find(which);
        if (one?.ending) return false;
        if (one) await renameDurable(file(which), keep);
        if (await exists(tree(which))) await renameDurable(tree(which), to);
        return exists(to);
      }),
    /** The way back of recall. */
    giveBack: (which: Which, from: string, kept: string): Promise<void> =>
      inTurn(which, async () => {
        if (await exists(from)) await renameDurable(from, tree(which));
        if (await exists(kept)) await renameDurable(kept, file(which));
      }),
    /** Counts a tree once and notes it, so that no listing has to. On btrfs the most that it can give back, for blocks may be shared. */
    async measure(which: Which): Promise<TrashEntry | undefined> {
      const before = await find(which);
      if (!before || before.bytes !== undefined || before.ending) return before;
      const du = async (unit: string) => {
        const options = { okCodes: [0, 1], timeoutMs: 3_600_000 };
        const { stdout } = await run(['du', '-sx', unit, `${tree(which)}/`], options);
        return Number.parseInt(stdout, 10);
      };
      const counted = { bytes: await du('-B1'), files: await du('--inodes') };
      if (!Number.isInteger(counted.bytes) || !Number.isInteger(counted.files)) return before;
      return inTurn(which, async () => {
        const now = await find(which);
        if (!now || now.ending) return now;
        const measured = { ...now, ...counted };
        await writeJson(file(now), entry, measured);
        return measured;
      });
    },
    /** What a former life had begun to destroy, and what is past its time. */
    async due(now: number): Promise<TrashEntry[]> {
      return (await all()).filter((one) => one.ending || one.until <= now);
    },
  };
}
export type Trash = ReturnType<typeof openTrash>;
