import { onHost } from '../../config/host-networks.ts';
import { parseNetwork } from '../../config/network-parse.ts';
import { conflictOf, parseNetworks } from '../../config/networks.ts';
import { networkLine, withLine, withoutNetwork } from '../../config/network-lines.ts';
import type { Data } from '../../shared/contract/commands.ts';
import type { PoolNetwork, PoolNetworks } from '../../shared/contract/networks.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context, Service } from '../../shared/service.ts';
import { createTurns } from '../../shared/turns.ts';
import { checkNetwork } from './check.ts';
import { type Asked, askHosts, poolOf, untilTaken } from './hosts.ts';
import { type Placed, planNetworks } from './plan.ts';
import { openStore } from './store.ts';

/** The networks of the pool: networks.conf of the master, checked, kept, and told to the hosts. */
export function service(context: Context): Service {
  const { bus, settings } = context;
  const store = openStore(settings);
  const turns = createTurns();

  const tell = (applied: PoolNetworks) => bus.retain(bus.topics.networks, applied);

  /** Applies a text of networks.conf; `write`: it is not in the file yet. */
  const apply = (change: (text: string) => string, dryRun: boolean): Promise<Data<'networks.apply'>> =>
    turns('networks', async () => {
      const now = await store.text();
      const text = change(now);
      const wanted = await store.read(text);
      const before = await store.applied();
      const pool = await poolOf(context);
      const { changes, inTheWay } = planNetworks(before, wanted, pool.vservers);
      if (inTheWay.length > 0) throw new VsError('refused', `nothing was changed: ${inTheWay.join('; ')}`);
      if (!before && wanted.networks.length === 0)
        throw new VsError('refused', `${store.file} has no network; add one with: vs net add`);
      if (dryRun) return { version: before?.version ?? 0, changes, hosts: [] };
      if (text !== now) await store.writeText(text);
      const applied = before && store.isSame(wanted, before) ? before : await store.apply(wanted, before);
      tell(applied);
      if (applied !== before)
        bus.event('networks', 'applied', `the networks of the pool have version ${applied.version}`);
      return {
        version: applied.version,
        changes,
        hosts: await untilTaken(context, pool.hosts, applied.version),
      };
    });

  async function list(): Promise<Data<'networks.list'>> {
    const applied = await store.applied();
    const pool = await poolOf(context);
    const asked = await askHosts(context, pool.hosts);
    const files: Pick<Data<'networks.list'>, 'pending' | 'fault'> = { pending: [] };
    try {
      const wanted = await store.read(await store.text());
      if (applied) files.pending = planNetworks(applied, wanted, pool.vservers).changes;
    } catch (error) {
      files.fault = (error as Error).message;
    }
    return {
      ...(applied ? { version: applied.version } : {}),
      ...files,
      networks: merged(applied, asked, pool.vservers),
      hosts: asked.map(({ told }) => told),
    };
  }

  return {
    name: 'networks',
    handlers: {
      'networks.list': list,
      'networks.apply': ({ dryRun }) => apply((text) => text, dryRun === true),
      'networks.add': async ({ dryRun, ...wish }) => {
        const line = networkLine(wish);
        const added = (text: string): string => {
          const { network } = parseNetwork(line);
          for (const other of parseNetworks(text, store.file)) {
            const conflict = conflictOf(network, other);
            if (conflict) throw new VsError('usage', `the network cannot be: ${conflict}`);
          }
          return withLine(text, line);
        };
        return { ...(await apply(added, dryRun === true)), line };
      },
      'networks.remove': ({ network, dryRun }) =>
        apply((text) => {
          const next = withoutNetwork(text, network);
          if (next !== text) return next;
          throw new VsError('not-found', `${store.file} has no network ${network}`);
        }, dryRun === true),
      'networks.check': async ({ network }) => {
        const { networks } = await list();
        const one = networks.find((other) => other.network.name === network);
        if (!one)
          throw new VsError(
            'not-found',
            `there is no network ${network}; there are ${networks.map((other) => other.network.name).join(', ') || 'none'}`,
          );
        const { hosts } = await poolOf(context);
        const of = hosts.filter(({ host }) => one.hosts.some((other) => other.host === host));
        return { hosts: await checkNetwork(context, network, of) };
      },
    },
    async start() {
      const applied = await store.applied();
      if (applied) tell(applied);
    },
  };
}

/** Each network once, with its hosts and vservers: those of the master, then those that only single hosts have. */
export function merged(
  applied: Pick<PoolNetworks, 'networks' | 'hosts'> | undefined,
  asked: Asked[],
  vservers: Placed[],
): PoolNetwork[] {
  const found = new Map<string, PoolNetwork>();
  const take = (network: PoolNetwork['network']): PoolNetwork => {
    const one = found.get(network.name) ?? { network, hosts: [], vservers: [] };
    found.set(network.name, one);
    return one;
  };
  for (const network of applied?.networks ?? []) {
    const one = take(network);
    for (const { told, networks } of asked)
      if (networks.length === 0 && told.source === undefined) {
        const { uplink, mtu } = onHost(network, applied?.hosts[told.host]);
        one.hosts.push({ host: told.host, up: null, ...(uplink ? { uplink } : {}), ...(mtu ? { mtu } : {}) });
      }
  }
  for (const { told, networks } of asked)
    for (const { network, up } of networks) {
      const { uplink, mtu } = network;
      take(network).hosts.push({
        host: told.host,
        up,
        ...(uplink ? { uplink } : {}),
        ...(mtu ? { mtu } : {}),
      });
    }
  for (const { network, ...rest } of vservers) found.get(network)?.vservers.push(rest);
  for (const one of found.values()) {
    one.hosts.sort((a, b) => a.host.localeCompare(b.host));
    one.vservers.sort((a, b) => a.name.localeCompare(b.name));
  }
  return [...found.values()];
}
