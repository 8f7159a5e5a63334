import { vserverState } from '../../shared/contract/vserver.ts';
import type { Context } from '../../shared/service.ts';
import { release } from './ownership.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Locks } from './locks.ts';
import type { StateWatch } from './state.ts';

interface Parts {
  life: Lifecycle;
  locks: Locks;
  watch: StateWatch;
}

/** Starts what is enabled and owned and does not run; needs neither master nor broker (invariant 3). What a saga holds waits for it. */
export async function autostart(context: Context, { life, locks, watch }: Parts): Promise<void> {
  for (const vserver of await watch.refresh()) {
    if (!vserver.enabled || vserver.epoch === 0 || vserver.state === 'running') continue;
    if (await locks.holder(vserver.name)) continue;
    await life.start(vserver.name).then(
      () =>
        context.bus.event('host-agent', 'autostarted', `${vserver.name} was started at boot`, {
          vserver: vserver.name,
        }),
      (error: unknown) => {
        const message = `${vserver.name} did not start at boot: ${error instanceof Error ? error.message : String(error)}`;
        context.log.error({ vserver: vserver.name }, message);
        context.bus.alert(vserver.name, 'autostart', { ts: Date.now(), severity: 'critical', message });
      },
    );
  }
  await watch.refresh();
}

/** A host that comes back with an old disk yields to whoever owns the same vserver with a higher epoch. */
export async function yieldToHigherEpoch(context: Context, { life, watch }: Parts): Promise<void> {
  const { bus, host, settings } = context;
  const busy = new Set<string>();
  await bus.subscribe(bus.topics.all.vserverState, (_topic, payload) => {
    const parsed = vserverState.safeParse(payload);
    if (!parsed.success || parsed.data.host === host || parsed.data.epoch === 0) return;
    const other = parsed.data;
    if (busy.has(other.name)) return;
    busy.add(other.name);
    void (async () => {
      const own = (await watch.refresh()).find((state) => state.uuid === other.uuid);
      if (!own || own.epoch === 0 || own.epoch >= other.epoch) return;
      await life.stop(own.name, 0);
      await release(settings, {
        name: own.name,
        saga: own.saga ?? 'yield',
        epoch: own.epoch,
        to: other.host,
      });
      const message = `${own.name} has epoch ${other.epoch} on ${other.host}, here it had ${own.epoch}: ${host} stopped it and gave it up`;
      bus.alert(own.name, 'ownership', { ts: Date.now(), severity: 'critical', message });
      bus.event('host-agent', 'yielded', message, { vserver: own.name });
      await watch.refresh();
    })()
      .catch((error: unknown) => context.log.error({ err: error }, 'yield'))
      .finally(() => busy.delete(other.name));
  });
}
