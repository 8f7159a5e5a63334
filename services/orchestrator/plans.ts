import { randomUUID } from 'node:crypto';
import { loadSlaves } from '../../config/slaves.ts';
import type { Args } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context } from '../../shared/service.ts';
import type { Plan } from './build.ts';
import type { Pool } from './pool.ts';
import { derive6, randomMac } from './sagas/create.ts';
import { checkMove, chooseTransport } from './sagas/move.ts';
import { checkRemove } from './sagas/remove.ts';
import { groups, size } from './text.ts';

type Planned = Plan & { title: string; vserver: string };

/** Decides what a command asks for; refuses with a sentence before anything is journaled or changed. */
export function planner(context: Context, pool: Pool) {
  const { bus } = context;
  return {
    async move(args: Args<'orchestrator.move'>): Promise<Planned> {
      const vserver = pool.locate(args.name);
      const target = pool.requireHost(args.host);
      checkMove(vserver, target, pool.of(args.name));
      const source = pool.requireHost(vserver.host);
      const { bytes, files, nested } = await bus.request(
        vserver.host,
        'snapshot.usage',
        { name: args.name },
        { timeoutMs: 600_000 },
      );
      const transport = chooseTransport(args.transport, source, target, nested);
      const plan = {
        name: args.name,
        source: vserver.host,
        target: args.host,
        sourceAddress: source.address,
        transport,
        bytes,
        files,
        running: vserver.state === 'running',
        epoch: vserver.epoch,
        network: vserver.network,
      };
      return {
        kind: 'move',
        plan,
        vserver: args.name,
        title: `${args.name}: ${vserver.host} -> ${args.host}, ${size(bytes)} in ${groups(files)} files, ${transport}`,
      };
    },
    async create(args: Args<'orchestrator.create'>): Promise<Planned> {
      const there = pool.of(args.name)[0];
      if (there) throw new VsError('conflict', `there is a vserver ${args.name} already, on ${there.host}`);
      const skipped = new Set(
        (await loadSlaves(context.settings)).filter((one) => one.noselect).map((one) => one.host),
      );
      const online = pool
        .hosts()
        .filter((host) => pool.isOnline(host) && pool.info(host) && !skipped.has(host));
      const host = args.host ?? online.sort((a, b) => free(b) - free(a))[0];
      if (!host) throw new VsError('unavailable', 'no host is online', { retryable: true });
      const info = pool.requireHost(host);
      const { network } = await bus.request(host, 'network.match', { address: args.address });
      if (args.address === network.gateway)
        throw new VsError('refused', `${args.address} is the gateway of network ${network.name}`);
      const taken = pool.all().find((one) => one.address === args.address);
      if (taken) throw new VsError('refused', `${args.address} belongs to ${taken.name} on ${taken.host}`);
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
        domain: network.domain,
        nameserver: network.nameserver,
        enabled: args.enable === true,
        limits: args.limits ?? {},
        idmap: 100_000,
        source: args.source,
        created: Date.now(),
      };
      const plan = {
        name: args.name,
        host,
        hostAddress: info.address,
        source: args.source,
        config,
        start: args.start === true,
      };
      return {
        kind: 'create',
        plan,
        vserver: args.name,
        title: `${args.name}: new on ${host}, ${args.address} in network ${network.name}, from ${args.source}`,
      };
    },
    async remove(args: Args<'orchestrator.remove'>): Promise<Planned> {
      const vserver = args.host
        ? pool.of(args.name).find((one) => one.host === args.host)
        : pool.locate(args.name);
      if (!vserver) throw new VsError('not-found', `${args.host} has no vserver ${args.name}`);
      pool.requireHost(vserver.host);
      checkRemove(vserver);
      return {
        kind: 'remove',
        plan: vserver,
        vserver: args.name,
        title: `${args.name}: remove from ${vserver.host}`,
      };
    },
  };

  function free(host: string): number {
    const info = pool.info(host);
    return info ? Math.min(info.mem_free_bytes, info.storage.free) : 0;
  }
}
