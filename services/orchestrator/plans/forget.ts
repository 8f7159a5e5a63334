import type { Args } from '../../../shared/contract/commands.ts';
import { copyOf } from './put.ts';
import type { Deciding, Planned } from './planned.ts';

/** Decides to forget a copy of the master. */
export async function planForget(deciding: Deciding, args: Args<'orchestrator.forget'>): Promise<Planned> {
  const { name } = await copyOf(deciding, args.name);
  return {
    kind: 'forget',
    plan: { name },
    vserver: name,
    title: `${name}: the copy on the master goes to the trash of the copies`,
  };
}
