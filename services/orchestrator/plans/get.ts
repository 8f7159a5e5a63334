import type { Args } from '../../../shared/contract/commands.ts';
import { VsError } from '../../../shared/errors.ts';
import { snapshotsText } from '../../../shared/kept.ts';
import { shown } from '../estimate.ts';
import { getWays, groups, size } from '../text.ts';
import { carriageText, chooseTransport } from '../transport.ts';
import { masterInfo } from './master.ts';
import type { Deciding, Planned } from './planned.ts';
import { ready, wire } from './wire.ts';

/** Decides a get; refuses with a sentence before anything is journaled or changed. */
export async function planGet(deciding: Deciding, args: Args<'orchestrator.get'>): Promise<Planned> {
  const { context, pool } = deciding;
  const { name } = args;
  const vserver = args.host ? pool.of(name).find((one) => one.host === args.host) : pool.locate(name);
  if (!vserver) {
    pool.requireHost(args.host ?? '');
    throw new VsError('not-found', `${args.host} has no vserver ${name}`);
  }
  const { host } = vserver;
  const source = pool.requireHost(host);
  const { bytes, files, nested } = await context.bus.request(
    host,
    'snapshot.usage',
    { name },
    { timeoutMs: 600_000 },
  );
  const { wish, ...wired } = await wire(deciding, host, 'master');
  const carriage = chooseTransport(undefined, wish, source, await masterInfo(deciding), nested);
  await ready(deciding, carriage, host, 'master');
  const { copies } = await context.bus.request('master', 'snapshot.copies', { name });
  const kind =
    source.storage.capabilities.snapshot && !nested
      ? ('snapshot' as const)
      : vserver.state === 'stopped'
        ? ('stopped' as const)
        : ('live' as const);
  const plan = {
    name,
    source: host,
    target: 'master',
    sourceAddress: source.address,
    ...carriage,
    bytes,
    files,
    kind,
    former: copies.length > 0,
    uuid: vserver.uuid,
    epoch: vserver.epoch,
    running: vserver.state === 'running',
    enabled: vserver.enabled,
    ...wired,
  };
  const way = carriageText(carriage);
  return {
    kind: 'get',
    plan,
    vserver: name,
    shows: shown({ ...plan, way }, deciding.past?.() ?? []),
    title: `${name}: ${host} -> master, ${size(bytes)} in ${groups(files)} files, ${getWays[kind]}, ${way}${vserver.snapshots ? `; without ${snapshotsText(vserver.snapshots)}` : ''}`,
  };
}
