import { randomUUID } from 'node:crypto';
import { loadCreate } from '../../../config/create.ts';
import { inSubnet, isHostAddress } from '../../../config/networks.ts';
import { loadSlaves } from '../../../config/slaves.ts';
import type { Args } from '../../../shared/contract/commands.ts';
import { name } from '../../../shared/contract/names.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Pool } from '../pool.ts';
import { derive6, randomMac } from '../sagas/create.ts';
import { channels } from '../transport.ts';
import type { Deciding, Planned } from './planned.ts';
import { ready, wire } from './wire.ts';

/** Decides a create; refuses with a sentence before anything is journaled or changed. */
export async function planCreate(deciding: Deciding, args: Args<'orchestrator.create'>): Promise<Planned> {
  const { context, pool } = deciding;
  const defaults = await loadCreate(context.settings);
  const source = args.source ?? defaults.source;
  if (!source) throw new VsError('usage', 'no source is given, and create.conf has no TEMPLATE');
  const there = pool.of(args.name)[0];
  if (there) throw new VsError('conflict', `there is a vserver ${args.name} already, on ${there.host}`);
  const skipped = new Set(
    (await loadSlaves(context.settings)).filter((one) => one.noselect).map((one) => one.host),
  );
  const online = pool
    .hosts()
    .filter(
      (host) => pool.isOnline(host) && pool.info(host) && !skipped.has(host) && !deciding.marks.get(host),
    );
  const original = await originalOf(deciding, source);
  const host =
    args.host ?? defaults.host ?? original?.host ?? online.sort((a, b) => free(pool, b) - free(pool, a))[0];
  if (!host) throw new VsError('unavailable', 'no host is online', { retryable: true });
  const info = pool.requireHost(host);
  const { network } = await context.bus.request(host, 'network.match', { address: args.address });
  for (const address of [args.address, args.address6])
    if (address && (address === network.gateway || address === network.gateway6))
      throw new VsError('refused', `${address} is the gateway of network ${network.name}`);
  if (!isHostAddress(network.subnet, args.address))
    throw new VsError(
      'refused',
      `${args.address} is the network or broadcast address of ${network.name} (${network.subnet})`,
    );
  const taken = pool.all().find((one) => one.address === args.address);
  if (taken) throw new VsError('refused', `${args.address} belongs to ${taken.name} on ${taken.host}`);
  if (args.address6 && !(network.subnet6 && inSubnet(network.subnet6, args.address6)))
    throw new VsError(
      'refused',
      `${args.address6} is not in network ${network.name} (${network.subnet6 ?? 'it has no IPv6'})`,
    );
  const address6 = args.address6 ?? derive6(network, args.address);
  const taken6 = address6 && pool.all().find((one) => one.address6 === address6);
  if (taken6) throw new VsError('refused', `${address6} belongs to ${taken6.name} on ${taken6.host}`);
  const config = {
    version: 1 as const,
    uuid: randomUUID(),
    name: args.name,
    network: network.name,
    address: args.address,
    prefix: args.prefix ?? Number(network.subnet.split('/')[1]),
    ...(address6 ? { address6, prefix6: Number(network.subnet6?.split('/')[1] ?? 64) } : {}),
    mac: randomMac(),
    domain: args.domain ?? defaults.domain ?? network.domain,
    nameserver: args.nameserver ?? defaults.nameserver ?? network.nameserver,
    enabled: args.enable ?? defaults.enable ?? false,
    limits: { ...(original?.limits ?? defaults.limits), ...args.limits },
    idmap: 100_000,
    source,
    created: Date.now(),
  };
  const plan = {
    name: args.name,
    host,
    hostAddress: info.address,
    source,
    config,
    start: args.start ?? defaults.start ?? false,
    ...(original
      ? { clone: { ...original.clone, ...(await cloneWire(deciding, original.host, host)) } }
      : {}),
  };
  return {
    kind: 'create',
    plan,
    vserver: args.name,
    onto: host,
    title: `${args.name}: new on ${host}, ${args.address} in network ${network.name}, from ${source}`,
  };
}

/** How the original of a clone comes to another host. */
async function cloneWire(deciding: Deciding, from: string, to: string) {
  if (from === to) return { channel: 'tls' as const }; // nothing travels
  const { wish, ...wired } = await wire(deciding, from, to);
  await ready(deciding, { copy: 'rsync', channel: channels[wish] }, from, to);
  return { channel: channels[wish], ...wired };
}

/** The vserver that `clone:NAME` copies; undefined for other sources. */
async function originalOf({ context, pool }: Deciding, source: string) {
  const of = /^clone:(.*)$/.exec(source)?.[1];
  if (of === undefined) return undefined;
  if (!name.safeParse(of).success)
    throw new VsError('usage', `"${of}" in ${source} is no name of a vserver; expected clone:NAME`);
  const vserver = pool.locate(of);
  const info = pool.requireHost(vserver.host);
  const { bytes } = await context.bus.request(
    vserver.host,
    'snapshot.usage',
    { name: of },
    { timeoutMs: 600_000 },
  );
  return {
    host: vserver.host,
    limits: vserver.limits,
    clone: {
      of,
      host: vserver.host,
      address: info.address,
      bytes,
      snapshot: info.storage.capabilities.snapshot,
    },
  };
}

/** What counts when a host is chosen: the smaller of free memory and free disk (bytes). */
export function free(pool: Pool, host: string): number {
  const info = pool.info(host);
  return info ? Math.min(info.mem_free_bytes, info.storage.free) : 0;
}
