import { vserverState } from '../../shared/contract/vserver.ts';
import { readOwnership } from '../../shared/ownership.ts';
import type { Context } from '../../shared/service.ts';
import type { Commands } from './commands.ts';

/** Watches the pool: when another host owns a vserver of ours with a higher epoch, ours yields (an old disk came back). */
export function watchOwners(context: Context, commands: Commands): Promise<() => Promise<void>> {
  const { bus, host, settings, log } = context;
  return bus.subscribe(bus.topics.all.vserverState, (_topic, payload) => {
    const parsed = vserverState.safeParse(payload);
    if (!parsed.success || parsed.data.host === host || parsed.data.epoch === 0) return;
    const other = parsed.data;
    void (async () => {
      const own = await readOwnership(settings, other.name);
      if (!own?.owner || own.uuid !== other.uuid || own.epoch >= other.epoch) return;
      if (!(await commands.yield(other.name, other.host, other.epoch))) return;
      const message = `${other.name} was stopped and given up on ${host}: ${other.host} owns it with epoch ${other.epoch}, this host had ${own.epoch}`;
      bus.event('host-agent', 'yielded', message, { vserver: other.name });
      bus.alert(other.name, 'ownership', { ts: Date.now(), severity: 'critical', message });
    })().catch((error: unknown) => log.error({ err: error, vserver: other.name }, 'could not yield'));
  });
}
