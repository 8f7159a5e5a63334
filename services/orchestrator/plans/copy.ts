import { firstOf } from '../../../shared/addresses.ts';
import { randomUUID } from 'node:crypto';
import { randomMac } from '../../../config/further.ts';
import type { Args } from '../../../shared/contract/commands.ts';
import { VsError } from '../../../shared/errors.ts';
import { estimate } from '../estimate.ts';
import type { CreatePlan } from './create-plan.ts';
import { groups, size } from '../text.ts';
import { carriageText } from '../transport.ts';
import { checkAddresses, placeIn, requireFirst, requireFree } from './address.ts';
import { chooseHost } from './choose.ts';
import { cloneTo, findOriginal, requireKept } from './original.ts';
import type { Deciding, Planned } from './planned.ts';

/** Decides a copy; refuses with a sentence before anything is journaled or changed. */
export async function planCopy(deciding: Deciding, args: Args<'orchestrator.copy'>): Promise<Planned> {
  const { context, pool } = deciding;
  if (args.to === args.name) throw new VsError('refused', `a copy of ${args.name} needs a name of its own`);
  requireFree(pool, args.to);
  const original = await findOriginal(deciding, args.name);
  const of = args.snapshot === undefined ? undefined : await requireKept(deciding, original, args.snapshot);
  const { host: from, bytes } = original.clone;
  const { config: was } = await context.bus.request(from, 'host-agent.show', { name: args.name });
  if (args.host) pool.requireHost(args.host);
  const { network } = await context.bus.request(args.host ?? from, 'network.match', {
    address: requireFirst(args),
  });
  const address6 = checkAddresses(pool, network, args);
  const host = args.host ?? (await chooseHost(deciding, network.name));
  const info = pool.requireHost(host);
  if (!info.networks.includes(network.name))
    throw new VsError(
      'refused',
      `${host} has no network ${network.name}; it has ${info.networks.join(', ') || 'none'}`,
    );
  const inherited = was.network === network.name ? was : network;
  const { domain, nameserver } = inherited;
  const plan: CreatePlan = {
    name: args.to,
    host,
    hostAddress: info.address,
    source: `clone:${args.name}`,
    config: {
      version: 1,
      uuid: randomUUID(),
      name: args.to,
      ...placeIn(network, args.address, address6, args.prefix),
      mac: randomMac(),
      ...(domain ? { domain } : {}),
      ...(nameserver ? { nameserver } : {}),
      enabled: args.enable ?? false,
      limits: was.limits,
      idmap: was.idmap,
      source: `clone:${args.name}`,
      ...(was.template ? { template: was.template } : {}),
      created: Date.now(),
    },
    start: args.start ?? false,
    clone: { ...(await cloneTo(deciding, original, host)), ...(of ? { kept: of.snapshot } : {}) },
  };
  const { way, channel, bwlimit } = plan.clone ?? {};
  const within = host === from;
  const how =
    way === 'fork' || way === undefined
      ? 'by a snapshot'
      : within
        ? 'by rsync'
        : carriageText({ copy: way, channel: channel ?? 'tls' });
  const work = { bytes: way === 'fork' ? 0 : bytes, files: way === 'fork' ? 0 : original.files };
  return {
    kind: 'copy',
    plan,
    vserver: args.to,
    onto: host,
    also: [args.name], // it must not go away meanwhile
    shows: {
      way: how,
      estimateMs: estimate(
        { ...work, way: how, source: from, target: host, bwlimit, restarts: plan.start },
        deciding.past?.() ?? [],
      ),
    },
    title: `${args.to}: a copy of ${of ? `snapshot ${of.snapshot} of ` : ''}${args.name} on ${from}${within ? '' : ` -> ${host}`}, ${firstOf(args)}, ${size(bytes)} in ${groups(original.files)} files, ${how}`,
  };
}
