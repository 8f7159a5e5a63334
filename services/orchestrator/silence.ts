import { firstOf } from '../../shared/addresses.ts';
import type { Args, Data } from '../../shared/contract/commands.ts';
import type { VserverConfig, VserverState } from '../../shared/contract/vserver.ts';
import type { Bus } from '../../shared/bus.ts';
import { VsError } from '../../shared/errors.ts';
import { questionsOf } from '../../shared/interfaces.ts';

export type Addresses = Pick<VserverConfig, 'network' | 'address' | 'address6' | 'more'>;
/** Has a host ask its network; `nth`: which question it is of several, the first one without. */
type Ask = (question: Args<'network.check'>, nth?: number) => Promise<Data<'network.check'>>;
/** The same, and whether another host answers it. */
export interface Looks {
  check: Ask;
  reach(question: Args<'network.reach'>): Promise<Data<'network.reach'>>;
}

/** What a host sees, for who decides before a saga. */
export const looksFrom = (bus: Pick<Bus, 'request'>, host: string): Looks => ({
  check: (question) => bus.request(host, 'network.check', question),
  reach: (question) => bus.request(host, 'network.reach', question),
});

/** Nobody answers at the addresses: the network says so, whatever the pool believes. `of`: whose they are, for people. Throws 'refused'. */
export async function requireSilence(ask: Ask, addresses: Addresses, of?: string): Promise<void> {
  const whose = of === undefined ? '' : ` of ${of}`;
  for (const [nth, question] of questionsOf(addresses).entries()) {
    const { network, address, address6 } = question;
    const { answers, taken6, answers6 } = await ask(question, nth > 0 ? nth : undefined);
    if (answers)
      throw new VsError(
        'refused',
        `${address}${whose} is in use: ${answers} answers there on network ${network}`,
        { details: { answers } },
      );
    if (taken6)
      throw new VsError(
        'refused',
        `${address6}${whose} is in use: ${answers6 ?? 'it'} answers ${answers6 ? 'there ' : ''}on network ${network}`,
        answers6 ? { details: { answers: answers6 } } : {},
      );
  }
}

/**
 * The same of a vserver whose host is said to be dead: it might only be cut off from the master. What is frozen or stopped there
 * answers nothing, so the host itself is asked, too, at its management address. Throws 'refused'.
 */
export async function requireDeadSilence(
  { check, reach }: Looks,
  dead: Addresses & Pick<VserverState, 'name' | 'mac' | 'host'> & { management: string | undefined },
): Promise<void> {
  const { name, mac, host, management } = dead;
  try {
    await requireSilence(check, dead, name);
  } catch (error) {
    if (!(error instanceof VsError) || error.details?.['answers'] !== mac) throw error;
    throw new VsError(
      'refused',
      `${firstOf(dead)} still answers as ${name} (${mac}): ${host} is not dead, only cut off from the master`,
      { cause: error },
    );
  }
  if (management !== undefined && (await reach({ address: management })).answers)
    throw new VsError(
      'refused',
      `${host} still answers at ${management}: it is not dead, only cut off from the master, or its agent does not run; switch it off first`,
    );
}
