import { furtherOf } from '../../config/further.ts';
import type { Args, Data } from '../../shared/contract/commands.ts';
import type { VserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { addressesOf } from '../../shared/interfaces.ts';
import type { Paths } from '../../shared/paths.ts';
import type { Context } from '../../shared/service.ts';
import type { Turns } from '../../shared/turns.ts';
import { saveVserver } from './files.ts';
import type { Runtime } from './runtime.ts';
import { requireSilent } from './silent.ts';
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
    await requireSilent(bus, host, one, `${name} does not get it`);
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

  /** Does vserver.json say already what is wanted? So it is after a crash between the file and the vserver that runs. */
  function isKept(config: VserverConfig, { add, remove }: Change): boolean {
    const own = addressesOf(config);
    if (remove !== undefined) return !own.includes(remove);
    return [add?.address, add?.address6].every((one) => one === undefined || own.includes(one));
  }

  return (change: Change): Promise<Data<'host-agent.address'>> =>
    inTurn(change.name, async () => {
      const { name, add, remove } = change;
      if ((add === undefined) === (remove === undefined))
        throw new VsError(
          'usage',
          'give either an address to add or one to remove; each is a command of its own',
        );
      const before = await mine(name);
      const { state, pid } = await states.of(name);
      const living = state === 'running' || state === 'frozen' ? pid : undefined;
      const next = () => (add ? more(before, add) : less(before, remove ?? ''));
      const told = { vserver: name };
      const done = async (later: string[]) => {
        bus.event(
          'host-agent',
          'addresses',
          `${name} has ${add ? 'one more address' : 'an address less'}`,
          told,
        );
        return { state: await states.again(name), later };
      };
      if (isKept(before, change)) {
        const { later, changed } = await runtime.readdress(before, living);
        if (changed) return done(later);
        await next(); // says what is in the way
      }
      const config = await next();
      await saveVserver(paths, config);
      return done((await runtime.readdress(config, living)).later);
    });
}
