import { randomUUID } from 'node:crypto';
import { loadCreate } from '../../../config/create.ts';
import type { Args } from '../../../shared/contract/commands.ts';
import { VsError } from '../../../shared/errors.ts';
import { withChanges } from '../../../shared/limits.ts';
import { randomMac } from '../sagas/create.ts';
import { checkAddresses, placeIn, requireFree } from './address.ts';
import { candidates } from './choose.ts';
import { requireLimits } from './limits.ts';
import { cloneTo, originalOf } from './original.ts';
import type { Deciding, Planned } from './planned.ts';

/** Decides a create; refuses with a sentence before anything is journaled or changed. */
export async function planCreate(deciding: Deciding, args: Args<'orchestrator.create'>): Promise<Planned> {
  const { context, pool } = deciding;
  const defaults = await loadCreate(context.settings);
  const source = args.source ?? defaults.source;
  if (!source) throw new VsError('usage', 'no source is given, and create.conf has no TEMPLATE');
  requireFree(pool, args.name);
  const original = await originalOf(deciding, source);
  const host = args.host ?? defaults.host ?? original?.clone.host ?? (await candidates(deciding))[0];
  if (!host) throw new VsError('unavailable', 'no host is online', { retryable: true });
  const info = pool.requireHost(host);
  requireLimits(info, args.limits ?? {});
  const { network } = await context.bus.request(host, 'network.match', { address: args.address });
  const address6 = checkAddresses(pool, network, args);
  const config = {
    version: 1 as const,
    uuid: randomUUID(),
    name: args.name,
    ...placeIn(network, args.address, address6, args.prefix),
    mac: randomMac(),
    domain: args.domain ?? defaults.domain ?? network.domain,
    nameserver: args.nameserver ?? defaults.nameserver ?? network.nameserver,
    enabled: args.enable ?? defaults.enable ?? false,
    limits: withChanges(original?.vserver.limits ?? defaults.limits, args.limits ?? {}),
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
    ...(original ? { clone: await cloneTo(deciding, original, host) } : {}),
  };
  return {
    kind: 'create',
    plan,
    vserver: args.name,
    ...(original ? { also: [original.clone.of] } : {}), // it must not go away meanwhile
    onto: host,
    title: `${args.name}: new on ${host}, ${args.address} in network ${network.name}, from ${source}`,
  };
}
