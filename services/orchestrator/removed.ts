import { readdir } from 'node:fs/promises';
import { z } from 'zod';
import { type RemovedVserver, removedVserver, vserverState } from '../../shared/contract/vserver.ts';
import type { Context } from '../../shared/service.ts';
import { readJson, renameDurable, writeJson } from '../../shared/store.ts';
import type { Pool } from './pool.ts';

/** So many are remembered; the oldest go first. */
const MOST = 10_000;
/** So long each is told at least (days): hosts may keep their trash longer than the master's own setting says. */
const DAYS = 30;
/** How often (ms) it is looked which of them need not be told any more. */
const LOOK_MS = 3_600_000;
/** Behind the name of a file that was put aside; the time follows. */
const DAMAGED = '.damaged-';
const file = z.strictObject({ version: z.literal(1), removed: z.array(removedVserver).max(MOST) });

/**
 * What was removed from the pool, with the epoch that it had (STATE_DIR/removed.json), told as a retained topic of each: a
 * host that was away meanwhile, and had it before, gives way to that epoch as to one that lives. Forgotten after the grace
 * time of the trash, unless a host still says that it has an older one; or when it lives again.
 * A file that is damaged is kept aside. As long as it lies there, what the broker tells counts, for it may be all that is left.
 */
export function openRemoved(
  { bus, settings, log }: Pick<Context, 'bus' | 'settings' | 'log'>,
  pool: Pick<Pool, 'all'>,
) {
  const path = `${settings.STATE_DIR}/removed.json`;
  const removed = new Map<string, RemovedVserver>();
  let timer: NodeJS.Timeout | undefined;
  /** It was read: what is not known of it may be written over. */
  let isRead = false;
  let written: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;

  /** One write takes all that was changed since the one before began. */
  function write(): Promise<void> {
    next ??= written
      .then(() => {
        next = undefined;
        if (!isRead) throw new Error('what it has was not read');
        return writeJson(path, file, { version: 1, removed: [...removed.values()].slice(-MOST) });
      })
      .catch((error: unknown) =>
        log.warn({ error: String(error), file: path }, 'what was removed is remembered in memory only'),
      );
    written = next;
    return written;
  }
  /** What the file has; a damaged one is put aside. */
  async function read(): Promise<RemovedVserver[]> {
    try {
      return (await readJson(path, file))?.removed ?? [];
    } catch (error) {
      log.error({ error: String(error), file: path }, 'what was removed cannot be read');
      await renameDurable(path, `${path}${DAMAGED}${Date.now()}`);
      return [];
    }
  }
  /** Files that were put aside, by this life or one before. */
  async function aside(): Promise<string[]> {
    const names = await readdir(settings.STATE_DIR).catch(() => []);
    return names.filter((name) => name.startsWith(`removed.json${DAMAGED}`));
  }
  function forget(uuid: string): void {
    if (!removed.delete(uuid)) return;
    bus.retain(bus.topics.removed(uuid), null);
    void write();
  }
  /** Does a host, as far as it was heard, believe to own an older one? */
  const isLeft = ({ uuid, epoch }: RemovedVserver): boolean =>
    pool.all().some((one) => one.uuid === uuid && one.epoch > 0 && one.epoch < epoch);
  function look(): void {
    const before = Date.now() - Math.max(DAYS, settings.TRASH_DAYS) * 86_400_000;
    for (const one of removed.values()) if (one.ts < before && !isLeft(one)) forget(one.uuid);
  }

  return {
    look,
    all: (): RemovedVserver[] => [...removed.values()],
    /** On the disk and told, before its owner gives it up: who had it before must never have it again. */
    async add(one: RemovedVserver): Promise<void> {
      if ((removed.get(one.uuid)?.epoch ?? 0) >= one.epoch) return;
      removed.delete(one.uuid);
      removed.set(one.uuid, one);
      const oldest = removed.keys().next().value;
      if (removed.size > MOST && oldest !== undefined) forget(oldest);
      bus.retain(bus.topics.removed(one.uuid), one);
      await write();
    },
    async start(): Promise<void> {
      for (const one of await read()) {
        removed.set(one.uuid, one);
        bus.retain(bus.topics.removed(one.uuid), one);
      }
      isRead = true;
      const damaged = await aside();
      if (damaged.length > 0)
        bus.alert('orchestrator', 'removed', {
          ts: Date.now(),
          severity: 'warning',
          message: `${path} was damaged, so of what was removed only that is known which the broker still tells, and a host that was away may start what it had. What was in it: ${damaged.join(', ')} in ${settings.STATE_DIR}; look into it and at what starts (vs scan), then remove that`,
        });
      await bus.subscribe(bus.topics.removed('+'), (topic, payload) => {
        if (payload === null || removed.has(topic.split('/').at(-1) ?? '')) return;
        const told = removedVserver.safeParse(payload);
        if (damaged.length === 0 || !told.success) return bus.retain(topic, null); // of a former life, and nobody knows it any more
        removed.set(told.data.uuid, told.data);
        bus.retain(topic, told.data); // should the broker lose it
        void write();
      });
      await bus.subscribe(bus.topics.all.vserverState, (_topic, payload) => {
        const parsed = vserverState.safeParse(payload);
        if (!parsed.success) return;
        const { uuid, epoch } = parsed.data;
        if (epoch > (removed.get(uuid)?.epoch ?? Number.POSITIVE_INFINITY)) forget(uuid); // it lives again
      });
      timer = setInterval(look, LOOK_MS);
      timer.unref();
    },
    async stop(): Promise<void> {
      clearInterval(timer);
      await written;
    },
  };
}
export type Removed = ReturnType<typeof openRemoved>;
