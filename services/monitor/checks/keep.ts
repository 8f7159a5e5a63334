import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Context } from '../../../shared/service.ts';
import { clearTemporaries, readJson, removeFileDurable, writeJson } from '../../../shared/store.ts';

const firing = z.object({
  since: z.number(),
  ts: z.number(),
  severity: z.enum(['warning', 'critical']),
  value: z.number(),
  threshold: z.number(),
  text: z.string(),
  about: z.string().optional(),
  details: z.record(z.string(), z.string()).optional(),
});
const usual = z.object({
  sockets: z.array(z.string()),
  change: z.object({ since: z.number(), diff: z.array(z.string()) }).optional(),
});
const mended = z.object({
  tries: z.array(
    z.object({
      ts: z.number(),
      daemon: z.string().optional(),
      ended: z.number().optional(),
      failed: z.string().optional(),
    }),
  ),
  gaveUp: z.record(z.string(), z.object({ ts: z.number(), pid: z.number() })),
});
/** What the monitor knows of a vserver (or the host) over the end of the agent: STATE_DIR/monitor/NAME.json. It does not travel. */
export const kept = z.looseObject({
  version: z.literal(1),
  checks: z.record(z.string(), z.object({ streak: z.number(), firing: firing.optional() })).default({}),
  counted: z.object({ pid: z.number(), values: z.record(z.string(), z.number()) }).optional(),
  usual: usual.optional(),
  mended: mended.optional(),
  /** By vserver, of a host: whose memory is held back. */
  pressed: z
    .record(z.string(), z.object({ pid: z.number(), from: z.number(), bytes: z.number() }))
    .optional(),
  /** Of a host: whom the master is asked to move away, and the memory (bytes) of each. */
  wishes: z.array(z.object({ name: z.string(), memory: z.number() })).optional(),
  /** The last text of its file without a fault: in force while the file has one. */
  good: z.string().optional(),
});
export type Kept = z.infer<typeof kept>;
export const nothingKept = (): Kept => ({ version: 1, checks: {} });

/** The files of what is kept; each is written only when it has changed, one after the other. */
export function openKeep({ settings, log }: Pick<Context, 'settings' | 'log'>) {
  const directory = join(settings.STATE_DIR, 'monitor');
  const path = (name: string) => join(directory, `${name}.json`);
  const written = new Map<string, string>();
  const queues = new Map<string, Promise<void>>();

  function inTurn(name: string, work: () => Promise<void>): Promise<void> {
    const next = (queues.get(name) ?? Promise.resolve()).then(work).catch((error: unknown) => {
      // the alerts are told all the same; after a restart of the agent they may be told once more
      log.warn({ subject: name, error: String(error) }, 'the state of its checks could not be kept');
    });
    queues.set(name, next);
    return next;
  }
  return {
    async begin(): Promise<string[]> {
      await clearTemporaries(directory);
      try {
        return readdirSync(directory).flatMap((file) => /^([a-z0-9_-]+)\.json$/.exec(file)?.[1] ?? []);
      } catch {
        return []; // nothing was ever kept
      }
    },
    /** A damaged file counts as none: what fires begins anew. */
    async read(name: string): Promise<Kept> {
      await queues.get(name);
      const found = await readJson(path(name), kept).catch((error: unknown) => {
        log.warn({ subject: name, error: String(error) }, 'the state of its checks begins anew');
        return undefined;
      });
      const value = found ?? nothingKept();
      written.set(name, JSON.stringify(value));
      return value;
    },
    write(name: string, value: Kept): Promise<void> {
      const text = JSON.stringify(value);
      if (written.get(name) === text) return queues.get(name) ?? Promise.resolve();
      written.set(name, text);
      const copy = JSON.parse(text) as Kept; // it may change while it waits
      return inTurn(name, () => writeJson(path(name), kept, copy));
    },
    remove(name: string): Promise<void> {
      written.delete(name);
      return inTurn(name, () => removeFileDurable(path(name)));
    },
    /** All that waits is written. */
    flush: async () => void (await Promise.all(queues.values())),
  };
}
export type Keep = ReturnType<typeof openKeep>;
