import { z } from 'zod';
import { vserverState } from '../../shared/contract/vserver.ts';
import type { Context } from '../../shared/service.ts';
import { readJson, writeJson } from '../../shared/store.ts';
import type { Deciding } from './plans/planned.ts';

const file = z.strictObject({ version: z.literal(1), epochs: z.record(z.uuid(), z.int().min(1)) });
/** So many vservers are remembered; those seen last are kept. */
const MOST = 100_000;
/** What is new is written after this (ms), for several states often change at once. */
const WRITE_MS = 200;

/**
 * The highest epoch that the pool ever showed of each vserver, kept on the master (STATE_DIR/epochs.json): also of those that
 * were removed, and of hosts that are away. A copy that comes back to life takes a higher one.
 */
export function openEpochs({ bus, settings, log }: Pick<Context, 'bus' | 'settings' | 'log'>) {
  const path = `${settings.STATE_DIR}/epochs.json`;
  let epochs = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  function write(): void {
    timer = undefined;
    const value = { version: 1 as const, epochs: Object.fromEntries(epochs) };
    writing = writing
      .then(() => writeJson(path, file, value))
      .catch((error: unknown) => log.warn({ error: String(error), file: path }, 'epochs were not kept'));
  }
  function see(uuid: string, epoch: number): void {
    if (epoch <= (epochs.get(uuid) ?? 0)) return;
    epochs.delete(uuid);
    epochs.set(uuid, epoch);
    if (epochs.size > MOST) epochs.delete(epochs.keys().next().value ?? '');
    timer ??= setTimeout(write, WRITE_MS);
  }
  return {
    see,
    /** 0: it was never seen. */
    of: (uuid: string): number => epochs.get(uuid) ?? 0,
    async start(): Promise<void> {
      epochs = new Map(Object.entries((await readJson(path, file))?.epochs ?? {}));
      await bus.subscribe(bus.topics.all.vserverState, (_topic, payload) => {
        const parsed = vserverState.safeParse(payload);
        if (parsed.success) see(parsed.data.uuid, parsed.data.epoch);
      });
    },
    async stop(): Promise<void> {
      if (timer) {
        clearTimeout(timer);
        write();
      }
      await writing;
    },
  };
}
export type Epochs = ReturnType<typeof openEpochs>;

/**
 * An epoch above all that anybody ever saw of a vserver: the pool now and before, the records of every host that answers
 * (also of what it gave up), and `known`, such as that of a copy.
 */
export async function nextEpoch(
  { context, pool, epochs }: Deciding,
  { uuid }: { uuid: string },
  ...known: number[]
): Promise<number> {
  const asked = pool.hosts().filter((host) => pool.isOnline(host));
  const told = await Promise.all(
    asked.map(async (host) => {
      try {
        const { records } = await context.bus.request(host, 'host-agent.ownership', { uuid });
        return records.map((one) => one.epoch);
      } catch (error) {
        context.log.warn({ host, error: String(error) }, 'a host did not tell the epochs that it saw');
        return []; // what the pool has seen of it counts
      }
    }),
  );
  const shown = pool.all().filter((one) => one.uuid === uuid);
  return Math.max(0, epochs.of(uuid), ...known, ...told.flat(), ...shown.map((one) => one.epoch)) + 1;
}
