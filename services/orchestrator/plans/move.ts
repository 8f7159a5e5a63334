import type { Args } from '../../../shared/contract/commands.ts';
import type { HostInfo } from '../../../shared/contract/host.ts';
import type { VserverState } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import { networksOf } from '../../../shared/interfaces.ts';
import { estimate } from '../estimate.ts';
import { along, behind, bytesAlong, namesBehind } from '../snapshots.ts';
import { stillThere } from '../still-there.ts';
import { groups, size } from '../text.ts';
import { carriageText, chooseTransport } from '../transport.ts';
import { requireNetworks } from './address.ts';
import { requireRules, rulesOf } from './firewall.ts';
import type { Deciding, Planned } from './planned.ts';
import { ready, wire } from './wire.ts';

/** Refusals of a move, before anything is journaled or changed; `there`: what the target has of this name. */
function checkMove(vserver: VserverState, target: HostInfo, there: VserverState | undefined): void {
  if (vserver.host === target.host)
    throw new VsError('refused', `${vserver.name} is on ${target.host} already`);
  if (vserver.epoch === 0)
    throw new VsError('refused', `${vserver.host} does not own ${vserver.name}, so it cannot give it away`);
  if (vserver.state === 'starting' || vserver.state === 'stopping')
    throw new VsError(
      'conflict',
      `${vserver.name} is ${vserver.state} on ${vserver.host}; move it when that is over`,
      { retryable: true },
    );
  if (vserver.state === 'frozen')
    throw new VsError(
      'refused',
      `${vserver.name} is paused on ${vserver.host}; let it run on first (vs resume ${vserver.name}), or stop it`,
    );
  if (there)
    throw new VsError(
      'conflict',
      there.epoch > 0
        ? `${target.host} has a vserver ${vserver.name} already`
        : `${target.host} has an old copy of ${vserver.name}, which it does not own; look at it, then: vs remove ${vserver.name} --host ${target.host}`,
    );
  requireNetworks(target, networksOf(vserver));
}

/** Decides a move; refuses with a sentence before anything is journaled or changed. */
export async function planMove(deciding: Deciding, args: Args<'orchestrator.move'>): Promise<Planned> {
  const { context, pool } = deciding;
  const vserver = pool.locate(args.name);
  const target = pool.requireHost(args.host);
  checkMove(vserver, target, await stillThere(deciding, args));
  const source = pool.requireHost(vserver.host);
  const { bytes, files, nested } = await context.bus.request(
    vserver.host,
    'snapshot.usage',
    { name: args.name },
    { timeoutMs: 600_000 },
  );
  const { wish, ...wired } = await wire(deciding, vserver.host, args.host);
  const carriage = chooseTransport(args.transport, wish, source, target, nested);
  if (args.full && carriage.copy !== 'rsync')
    throw new VsError(
      'refused',
      `--full is for rsync, and ${args.name} travels by ${carriage.copy}; add --transport rsync`,
    );
  await ready(deciding, carriage, vserver.host, args.host);
  const text = await rulesOf(deciding, { name: args.name, host: vserver.host });
  if (text !== undefined) await requireRules(deciding, { name: args.name, host: args.host, text });
  const names = await namesBehind(context, vserver);
  const count = Math.max(names.length, vserver.snapshots ?? 0); // the state says it a moment later
  const goAlong = count > 0 && carriage.copy === 'btrfs-send' && args.withoutSnapshots !== true;
  const room = goAlong ? await bytesAlong(context, vserver, bytes) : undefined;
  const plan = {
    name: args.name,
    source: vserver.host,
    target: args.host,
    sourceAddress: source.address,
    ...carriage,
    ...(args.full ? { full: true as const } : {}),
    bytes,
    files,
    running: vserver.state === 'running',
    epoch: vserver.epoch,
    network: vserver.network,
    ...(args.crashConsistent ? { crashConsistent: true } : {}),
    ...(goAlong ? { snapshots: true as const } : {}),
    ...(room === undefined ? {} : { room }),
    ...wired,
  };
  const way = carriageText(carriage);
  const work = {
    bytes: room ?? bytes,
    files,
    way,
    source: vserver.host,
    target: args.host,
    bwlimit: plan.bwlimit,
  };
  return {
    kind: 'move',
    plan,
    vserver: args.name,
    onto: args.host,
    shows: {
      way,
      estimateMs: estimate({ ...work, restarts: plan.running }, deciding.past?.() ?? []),
    },
    title: `${args.name}: ${vserver.host} -> ${args.host}, ${size(bytes)} in ${groups(files)} files, ${way}${args.crashConsistent ? ', crash-consistent' : ''}${goAlong ? along(count, names, 'its', room && room - bytes) : behind({ ...vserver, snapshots: count }, names)}`,
  };
}
