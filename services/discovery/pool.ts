import { type HostInfo, hostInfo, status } from '../../shared/contract/host.ts';
import { type VserverState, vserverState } from '../../shared/contract/vserver.ts';
import { openHeard } from '../../shared/heard.ts';
import type { Context } from '../../shared/service.ts';
import type { Pool } from './entities.ts';

const LIMIT = 20_000;

/** Each vserver once: where its owner is. The highest epoch counts, and 0 is files without ownership. */
export function ownersOf(states: VserverState[]): VserverState[] {
  const owners = new Map<string, VserverState>();
  for (const one of states) if (one.epoch > (owners.get(one.name)?.epoch ?? 0)) owners.set(one.name, one);
  return [...owners.values()];
}

/** Hears the pool; `changed`: something that an entity depends on is other than before. Messages come all the time. */
export async function openPool({ bus, settings, version }: Context, changed: () => void) {
  const { topics } = bus;
  const when = <T>(key: (value: T) => string) => ({
    limit: LIMIT,
    changed(before: T | undefined, now: T | undefined): void {
      if ((before && key(before)) !== (now && key(now))) changed();
    },
  });
  const about = ({ version: of, kernel }: HostInfo) => `${of} ${kernel}`;
  const hosts = await openHeard(
    bus,
    topics.all.hostStatus,
    status,
    when(() => 'there'),
  );
  const infos = await openHeard(bus, topics.all.hostInfo, hostInfo, when(about));
  const owner = ({ epoch }: VserverState) => String(epoch);
  const vservers = await openHeard(bus, topics.all.vserverState, vserverState, when(owner));
  return {
    now: (): Pool => ({
      base: topics.base,
      version,
      expire: Math.ceil(settings.METRICS_KEEP_SECONDS),
      hosts: hosts.all().map(({ topic }) => {
        const name = topic.split('/').at(-2) ?? '';
        const info = infos.get(topics.info(name));
        return { name, version: info?.version, kernel: info?.kernel };
      }),
      vservers: ownersOf(vservers.all().map(({ value }) => value)),
    }),
    close: () => Promise.all([hosts, infos, vservers].map((one) => one.close())),
  };
}
