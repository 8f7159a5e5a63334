import type { Args, Data } from '../../shared/contract/commands.ts';
import type { VserverConfig, VserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';

export type Addresses = Pick<VserverConfig, 'network' | 'address' | 'address6'>;
/** Has a host ask its network. */
type Ask = (question: Args<'network.check'>) => Promise<Data<'network.check'>>;

/** Nobody answers at the addresses: the network says so, whatever the pool believes. `of`: whose they are, for people. Throws 'refused'. */
export async function requireSilence(ask: Ask, addresses: Addresses, of?: string): Promise<void> {
  const { network, address, address6 } = addresses;
  const { answers, taken6 } = await ask({ network, address, ...(address6 ? { address6 } : {}) });
  const whose = of === undefined ? '' : ` of ${of}`;
  if (answers)
    throw new VsError(
      'refused',
      `${address}${whose} is in use: ${answers} answers there on network ${network}`,
      { details: { answers } },
    );
  if (taken6) throw new VsError('refused', `${address6}${whose} is in use: it answers on network ${network}`);
}

/** The same of a vserver whose host is said to be dead: it might only be cut off from the master. Throws 'refused'. */
export async function requireDeadSilence(
  ask: Ask,
  dead: Addresses & Pick<VserverState, 'name' | 'mac' | 'host'>,
): Promise<void> {
  const { name, address, mac, host } = dead;
  try {
    await requireSilence(ask, dead, name);
  } catch (error) {
    if (!(error instanceof VsError) || error.details?.['answers'] !== mac) throw error;
    throw new VsError(
      'refused',
      `${address} still answers as ${name} (${mac}): ${host} is not dead, only cut off from the master`,
      { cause: error },
    );
  }
}
