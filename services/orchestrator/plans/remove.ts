import type { Args } from '../../../shared/contract/commands.ts';
import type { VserverState } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import { snapshotsText } from '../../../shared/kept.ts';
import { size } from '../text.ts';
import { trashOf } from '../trash.ts';
import type { Deciding, Planned } from './planned.ts';

/** Refusals of a remove, before anything is changed. */
function checkRemove(vserver: VserverState): void {
  if (vserver.state !== 'stopped')
    throw new VsError(
      'refused',
      `${vserver.name} is ${vserver.state} on ${vserver.host}; stop it first: vs stop ${vserver.name}`,
    );
}

/** Where else there is a copy of it, for people: other hosts of the pool, and their trash. */
async function otherCopies(deciding: Deciding, { name, uuid, host }: VserverState): Promise<string[]> {
  const others = deciding.pool.all().filter((one) => one.uuid === uuid && one.host !== host);
  const { entries } = await trashOf(deciding, {});
  const trashed = entries.filter((one) => one.uuid === uuid && !(one.host === host && one.name === name));
  return [...others.map((one) => one.host), ...trashed.map((one) => `the trash of ${one.host}`)];
}

/** Decides a remove; refuses with a sentence before anything is journaled or changed. */
export async function planRemove(deciding: Deciding, args: Args<'orchestrator.remove'>): Promise<Planned> {
  const { context, pool } = deciding;
  const { name, purge } = args;
  const vserver = args.host ? pool.of(name).find((one) => one.host === args.host) : pool.locate(name);
  if (!vserver) throw new VsError('not-found', `${args.host} has no vserver ${name}`);
  pool.requireHost(vserver.host);
  checkRemove(vserver);
  const others = await otherCopies(deciding, vserver);
  const where = others.length > 0 ? `other copies: ${others.join(', ')}` : 'the only copy in the pool';
  const { bytes } = args.dryRun
    ? await context.bus.request(vserver.host, 'snapshot.usage', { name }, { timeoutMs: 600_000 })
    : { bytes: undefined };
  return {
    kind: 'remove',
    plan: { ...vserver, ...(purge ? { purge } : {}) },
    vserver: name,
    title: `${name}: remove from ${vserver.host}${purge ? ' for good' : ''}${bytes === undefined ? '' : `, ${size(bytes)}`}${vserver.snapshots ? `, with ${snapshotsText(vserver.snapshots)}` : ''} (${where})`,
  };
}
