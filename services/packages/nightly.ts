import { createHash } from 'node:crypto';
import { z } from 'zod';
import { name, ts } from '../../shared/contract/names.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context } from '../../shared/service.ts';
import { readJson, writeJson } from '../../shared/store.ts';
import type { Turns } from '../../shared/turns.ts';
import { runPackages } from './run.ts';

const kept = z.strictObject({
  version: z.literal(1),
  vservers: z.record(name, z.strictObject({ upgrades: z.int().min(0), security: z.int().min(0), ts })),
});
type Kept = z.infer<typeof kept>;
/** The time of day may be set while it is waited for, so it is looked at each hour (ms). */
const HOUR = 3_600_000;

/** When the next look begins: the minute differs by host, so that not all come to the mirrors at once. `now` and the answer in ms. */
export function nextLook(now: Date, hour: number, host: string): number {
  const minute = createHash('sha1').update(host).digest().readUInt32BE(0) % 60;
  const next = new Date(now);
  next.setHours(hour, minute, 0, 0);
  if (next <= now) next.setDate(next.getDate() + 1);
  return next.getTime();
}

/** Looks each night what could be upgraded, keeps it (STATE_DIR/upgrades.json), and lets the state show it. */
export function openNightly(context: Context, inTurn: Turns) {
  const { bus, host, settings, log } = context;
  const file = `${settings.STATE_DIR}/upgrades.json`;
  const ended = new AbortController();
  let timer: NodeJS.Timeout | undefined;

  async function show(found: Kept['vservers']): Promise<void> {
    for (const [vserver, { upgrades, security }] of Object.entries(found))
      await bus
        .request(host, 'host-agent.note', { name: vserver, upgrades, security })
        .catch(() => undefined); // it has gone
  }
  /** One change of the file after the other: vservers are looked at side by side. A key that no vserver has holds the turn. */
  const change = (to: (before: Kept['vservers']) => Kept['vservers']): Promise<void> =>
    inTurn('/upgrades.json', async () => {
      const before = (await readJson(file, kept))?.vservers ?? {};
      await writeJson(file, kept, { version: 1, vservers: to(before) });
    });
  /** Counts without fetching lists: after something was upgraded. */
  async function count(vserver: string, signal = ended.signal) {
    const silent = { signal, progress: () => undefined };
    const { packages = [] } = await runPackages(context, { name: vserver, action: 'upgrades' }, silent);
    const found = { upgrades: packages.length, security: packages.filter((one) => one.security).length };
    await change((before) => ({ ...before, [vserver]: { ...found, ts: Date.now() } }));
    await bus.request(host, 'host-agent.note', { name: vserver, ...found });
    return found;
  }
  async function look(only?: string, signal = ended.signal) {
    const { vservers } = await bus.request(host, 'host-agent.list', {});
    const asked = only === undefined ? undefined : vservers.find((one) => one.name === only);
    if (only !== undefined && asked?.state !== 'running')
      throw new VsError(
        'refused',
        `${only} does not run on ${host}; packages are looked after while it runs`,
      );
    const silent = { signal, progress: () => undefined };
    const answers: { name: string; upgrades?: number; security?: number; error?: string }[] = [];
    for (const one of vservers.filter((each) => each.state === 'running' && each.epoch > 0)) {
      if (only !== undefined && one.name !== only) continue;
      try {
        const found = await inTurn(one.name, async () => {
          await runPackages(context, { name: one.name, action: 'update' }, silent);
          return count(one.name, signal);
        });
        answers.push({ name: one.name, ...found });
      } catch (error) {
        answers.push({ name: one.name, error: error instanceof Error ? error.message : String(error) });
      }
    }
    const here = new Set(vservers.map((one) => one.name));
    await change((all) => Object.fromEntries(Object.entries(all).filter(([vserver]) => here.has(vserver))));
    return { vservers: answers };
  }
  function wait(until = nextLook(new Date(), settings.PACKAGE_CHECK_HOUR, host)): void {
    timer = setTimeout(
      () => {
        if (Date.now() < until) return wait(until);
        look()
          .then(({ vservers }) => {
            for (const one of vservers)
              if (one.error)
                bus.event('packages', 'check', `${one.name}: ${one.error}`, { vserver: one.name });
          })
          .catch((error: unknown) => log.warn({ error: String(error) }, 'the nightly look at packages'))
          .finally(() => wait());
      },
      Math.min(Math.max(0, until - Date.now()), HOUR),
    );
    timer.unref();
  }
  return {
    look,
    count,
    async start(): Promise<void> {
      void readJson(file, kept)
        .then((before) => show(before?.vservers ?? {}))
        .catch((error: unknown) =>
          log.warn({ error: String(error), file }, 'what could be upgraded is not known'),
        );
      if (settings.PACKAGE_CHECK_HOUR >= 0) wait();
    },
    stop(): void {
      ended.abort();
      clearTimeout(timer);
    },
  };
}
