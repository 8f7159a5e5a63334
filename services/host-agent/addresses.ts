import { furtherOf } from '../../config/further.ts';
import type { Args, Data } from '../../shared/contract/commands.ts';
import type { VserverConfig, VserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Paths } from '../../shared/paths.ts';
import type { Context } from '../../shared/service.ts';
import type { Turns } from '../../shared/turns.ts';
import { saveVserver } from './files.ts';
import type { Runtime } from './runtime.ts';
import type { States } from './state.ts';

interface Parts {
  context: Pick<Context, 'bus' | 'host'>;
  paths: Paths;
  runtime: Pick<Runtime, 'readdress'>;
  states: States;
  inTurn: Turns;
  /** The vserver, when this host owns it and no saga holds it. */
  mine: (name: string) => Promise<VserverConfig>;
}
type Change = Args<'host-agent.address'>;

/** Further addresses of a vserver: checked, kept in vserver.json, and brought to it while it runs. */
export function createAddresses({ context, paths, runtime, states, inTurn, mine }: Parts) {
  const { bus, host } = context;

  async function more(config: VserverConfig, wanted: NonNullable<Change['add']>): Promise<VserverConfig> {
    const { name } = config;
    const address = wanted.address ?? wanted.address6;
    if (address === undefined) throw new VsError('usage', 'give an address');
    const { network } = await bus.request(host, 'network.match', { address });
    const one = furtherOf(network, wanted, config);
    const { answers, taken6 } = await bus.request(host, 'network.check', {
      network: network.name,
      ...(wanted.address ? { address: wanted.address } : {}),
      ...(wanted.address6 ? { address6: wanted.address6 } : {}),
    });
    if (answers)
      throw new VsError('refused', `${name} does not get ${wanted.address}: ${answers} answers there`);
    if (taken6) throw new VsError('refused', `${name} does not get ${wanted.address6}: it answers already`);
    return { ...config, more: [...(config.more ?? []), one] };
  }

  function less(config: VserverConfig, address: string): VserverConfig {
    const { name } = config;
    if (address === config.address || address === config.address6)
      throw new VsError('refused', `${address} is the first address of ${name}, which stays with it`);
    const left = (config.more ?? []).flatMap((one) => {
      if (one.address !== address && one.address6 !== address) return [one];
      const { address: four, prefix, address6: six, prefix6, ...rest } = one;
      if (four === address && six !== undefined) return [{ ...rest, address6: six, prefix6 }];
      if (six === address && four !== undefined) return [{ ...rest, address: four, prefix }];
      return [];
    });
    if (JSON.stringify(left) === JSON.stringify(config.more ?? []))
      throw new VsError('not-found', `${name} has no address ${address}`);
    const { more: _before, ...others } = config;
    return left.length > 0 ? { ...others, more: left } : others;
  }

  return ({ name, add, remove }: Change): Promise<Data<'host-agent.address'>> =>
    inTurn(name, async () => {
      const before = await mine(name);
      const config = add ? await more(before, add) : remove === undefined ? before : less(before, remove);
      const state: VserverState = await states.of(name);
      if (!add && remove === undefined) return { state, later: [] };
      await saveVserver(paths, config);
      const runs = state.state === 'running' || state.state === 'frozen';
      const later = await runtime.readdress(config, runs ? state.pid : undefined);
      bus.event('host-agent', 'addresses', `${name} has ${add ? 'one more address' : 'an address less'}`, {
        vserver: name,
      });
      return { state: await states.again(name), later };
    });
}
