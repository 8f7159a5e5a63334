import type { Args } from '../../../shared/contract/commands.ts';
import { VsError } from '../../../shared/errors.ts';
import { checkRemove } from '../sagas/remove.ts';
import type { Deciding, Planned } from './planned.ts';

/** Decides a remove; refuses with a sentence before anything is journaled or changed. */
export async function planRemove({ pool }: Deciding, args: Args<'orchestrator.remove'>): Promise<Planned> {
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
}
