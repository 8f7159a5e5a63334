import type { Args } from '../../../shared/contract/commands.ts';
import { keepsSnapshots } from '../../../shared/contract/snapshot.ts';
import { VsError } from '../../../shared/errors.ts';
import { stampOf } from '../../../shared/kept.ts';
import { estimate } from '../estimate.ts';
import { moment } from '../text.ts';
import { keptOf } from './original.ts';
import type { Deciding, Planned } from './planned.ts';

/** Decides a rollback; refuses with a sentence before anything is journaled or changed. */
export async function planRollback(
  deciding: Deciding,
  args: Args<'orchestrator.rollback'>,
): Promise<Planned> {
  const { context, pool } = deciding;
  const { name, snapshot } = args;
  const vserver = args.host ? pool.of(name).find((one) => one.host === args.host) : pool.locate(name);
  if (!vserver) throw new VsError('not-found', `${args.host} has no vserver ${name}`);
  const { host, epoch, state } = vserver;
  const { storage } = pool.requireHost(host);
  if (epoch === 0) throw new VsError('refused', `${host} does not own ${name}, so it changes nothing of it`);
  if (!keepsSnapshots(storage))
    throw new VsError(
      'refused',
      `${host} keeps its vservers on storage ${storage.storage}, which keeps no snapshots; bring ${name} back from a backup (vs backup restore ${name}), or from the trash (vs trash list --name ${name})`,
    );
  if (state !== 'running' && state !== 'stopped')
    throw new VsError('refused', `${name} is ${state} on ${host}; stop it first, or wait until that is over`);
  const one = await keptOf(deciding, { name, host }, snapshot);
  const { nested } = await context.bus.request(host, 'snapshot.usage', { name }, { timeoutMs: 600_000 });
  if (nested)
    throw new VsError(
      'refused',
      `${name} has subvolumes of its own inside, which no snapshot holds, so what is there now could not be kept; make a copy of the snapshot instead: vs snapshot clone ${name} ${snapshot} NEWNAME ADDRESS`,
    );
  const running = state === 'running';
  const work = { bytes: 0, files: 0, way: 'rollback', source: host, target: host, restarts: running };
  const safety = `before-rollback-${stampOf(Date.now())}`;
  return {
    kind: 'rollback',
    plan: {
      name,
      host,
      epoch,
      running,
      snapshot,
      safety,
      ...(args.settings ? { settings: true } : {}),
    },
    vserver: name,
    shows: { estimateMs: estimate(work, []) },
    title: `${name} on ${host}: back to snapshot ${snapshot} of ${moment(one.taken)}${running ? ', stopped and started' : ''}; what is there now is kept as ${safety}`,
  };
}
