import { vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { isOwner } from '../../shared/ownership.ts';
import { rereader } from '../../shared/store.ts';
import { isDue, surplus } from './retention.ts';
import { type KeptParts, type Taker, namesIn } from './take.ts';

/** How often the plans are looked at (ms). */
const LOOK_MS = 20_000;
/** What could not be made is tried again after so long (ms). */
const AGAIN_MS = 300_000;

/**
 * Carries out the snapshot plans in vserver.json, with no master: one after the other, of what runs and is owned here. Of one
 * that does not run none is made: nothing in it changes.
 */
export function keepSchedule({ context, paths, driver, kept, taker }: KeptParts & { taker: Taker }) {
  const { settings, host, bus, log } = context;
  const reread = rereader(vserverConfig);
  const failed = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let busy = false;
  const alerts = new Set<string>();
  function alert(name: string, message: string | undefined): void {
    if (message !== undefined) {
      alerts.add(name);
      bus.alert(name, 'snapshot', { ts: Date.now(), severity: 'warning', message });
    } else if (alerts.delete(name)) bus.alert(name, 'snapshot', null);
  }

  async function one(name: string, running: Set<string>): Promise<void> {
    const config = await reread(paths.vserverJson(name));
    const plan = config?.snapshotPlan;
    if (!config || !plan || !(await isOwner(settings, name))) return alert(name, undefined);
    if (!(await driver()).capabilities.keep)
      return alert(
        name,
        `${name} has a plan of snapshots, and ${host} cannot make any on its storage; end the plan (vs snapshot schedule ${name} off), or move it`,
      );
    const all = await kept.list(config.uuid);
    if (running.has(name) && isDue(plan, all, Date.now())) {
      all.push(await taker.take(name, { by: host, kind: 'automatic' }));
      alert(name, undefined);
    }
    for (const old of surplus(plan, all)) await kept.drop(config.uuid, old.snapshot);
  }
  async function look(): Promise<void> {
    const names = await namesIn(settings.VSERVER_DIR);
    for (const name of alerts) if (!names.includes(name)) alert(name, undefined);
    const found = names.length > 0 ? await bus.request(host, 'host-agent.running', {}) : { running: [] };
    const running = new Set(found.running.map((each) => each.name));
    for (const name of names) {
      if ((failed.get(name) ?? 0) > performance.now()) continue;
      try {
        await one(name, running);
        failed.delete(name);
      } catch (error) {
        if (error instanceof VsError && error.retryable) continue; // a saga has it just now
        failed.set(name, performance.now() + AGAIN_MS);
        const why = error instanceof Error ? error.message : String(error);
        log.warn({ vserver: name, error: why }, 'a snapshot by plan');
        alert(name, `no snapshot of ${name} could be made by its plan: ${why}`);
      }
    }
  }
  return {
    start(): void {
      timer = setInterval(() => {
        if (busy) return;
        busy = true;
        look()
          .catch((error: unknown) => log.error({ err: error }, 'snapshot plans'))
          .finally(() => (busy = false));
      }, LOOK_MS);
    },
    stop: () => clearInterval(timer),
  };
}
