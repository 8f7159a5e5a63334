import type { Args } from '../../../shared/contract/commands.ts';
import { VsError } from '../../../shared/errors.ts';
import { snapshotsText } from '../../../shared/kept.ts';
import { estimate } from '../estimate.ts';
import { requireFree } from './address.ts';
import type { Deciding, Planned } from './planned.ts';

/** Decides a rename; refuses with a sentence before anything is journaled or changed. */
export async function planRename(deciding: Deciding, args: Args<'orchestrator.rename'>): Promise<Planned> {
  const { pool } = deciding;
  const { name, to } = args;
  if (to === name) throw new VsError('refused', `${name} has that name already`);
  const vserver = pool.locate(name);
  const { host, epoch, state, network, snapshots } = vserver;
  pool.requireHost(host);
  requireFree(pool, to);
  if (epoch === 0) throw new VsError('refused', `${host} does not own ${name}, so it cannot rename it`);
  const other = pool.of(name).find((one) => one.host !== host);
  if (other)
    throw new VsError(
      'conflict',
      `${other.host} has files of ${name}, too; remove them first: vs remove ${name} --host ${other.host}`,
    );
  const running = state === 'running';
  if (!running && state !== 'stopped')
    throw new VsError('refused', `${name} is ${state} on ${host}; stop it first: vs stop ${name}`);
  if (running && !args.restart)
    throw new VsError(
      'refused',
      `${name} runs on ${host}; stop it first, or let it be stopped and started: vs rename ${name} ${to} --restart`,
    );
  const work = { bytes: 0, files: 0, way: 'rename', source: host, target: host, restarts: running };
  return {
    kind: 'rename',
    plan: { name, to, host, epoch, network, running },
    vserver: name,
    also: [to],
    shows: { estimateMs: estimate(work, []) },
    title: `${name} -> ${to} on ${host}${running ? ', stopped and started' : ''}${snapshots ? `; ${snapshotsText(snapshots)} ${snapshots === 1 ? 'goes' : 'go'} along` : ''}`,
  };
}
