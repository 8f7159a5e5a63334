import type { Args, Data } from '../../shared/contract/commands.ts';
import { requireUnused } from './plans/address.ts';
import type { Deciding } from './plans/planned.ts';

/** Gives a vserver one more address, or takes one away, once nobody else of the pool has it, also on a host that is offline. */
export async function changeAddresses(
  { context, pool }: Pick<Deciding, 'context' | 'pool'>,
  { name, add, remove }: Args<'orchestrator.address'>,
): Promise<Data<'orchestrator.address'>> {
  const { host, uuid } = pool.locate(name);
  const others = pool.all().filter((one) => one.uuid !== uuid);
  requireUnused(others, [add?.address, add?.address6]);
  return context.bus.request(host, 'host-agent.address', {
    name,
    ...(add ? { add } : {}),
    ...(remove === undefined ? {} : { remove }),
  });
}
