import { isIP, isIPv6 } from 'node:net';
import { canonical6 } from '../../shared/addresses.ts';
import type { Data } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { checkName, quoted } from '../names.ts';
import { type PoolNetwork, findNetwork } from './shown.ts';

const LONG_MS = 120_000;
type Checked = Data<'networks.check'>['hosts'];

/** Who answers at an address of the pool: asked on its network, from the first host that can. */
export async function checkAddress(address: string) {
  return withClient(async (client) => {
    const { networks } = await client.request('master', 'networks.list', {});
    const { networkOf, subnetsOf } = await import('../../config/networks.ts');
    const network = networkOf(
      networks.map((one) => one.network),
      address,
    );
    if (!network)
      throw new VsError(
        'not-found',
        `${address} is in no network; there are ${networks.map((one) => `${one.network.name} ${subnetsOf(one.network).join(' ')}`).join(', ') || 'none'}.`,
      );
    const one = findNetwork(networks, network.name);
    const owner = one.vservers.find((other) => other.address === address);
    const hosts = askable(one, owner?.host);
    if (hosts.length === 0)
      throw new VsError(
        'unavailable',
        `No host with ${network.name} answers, so ${address} cannot be asked.`,
        { retryable: true },
      );
    let last: unknown;
    for (const host of hosts)
      try {
        const what = isIPv6(address) ? { address6: address } : { address };
        const found = await client.request(host, 'network.check', { network: network.name, ...what });
        const answers = isIPv6(address) ? (found.answers6 ?? null) : found.answers;
        const taken = found.taken6 ?? answers !== null;
        return { address, network: network.name, asked: host, taken, answers, vserver: owner?.name ?? null };
      } catch (error) {
        last = error;
      }
    throw last;
  });
}
/** Hosts that know the network, those with the vserver last: who asks next door hears what everybody hears. */
function askable({ hosts }: PoolNetwork, owner: string | undefined): string[] {
  return hosts
    .filter((one) => one.up !== null)
    .toSorted((a, b) => Number(a.host === owner) - Number(b.host === owner))
    .map((one) => one.host);
}

/** Looks at a network on every host and between them. */
export async function checkNetwork(name: string): Promise<Checked> {
  const { hosts } = await withClient((client) =>
    client.request('master', 'networks.check', { network: name }, { timeoutMs: LONG_MS }),
  );
  return hosts;
}
export function checkedText(hosts: Checked): string {
  return hosts
    .flatMap(({ host, findings }) =>
      findings.map(
        ({ result, check, message, todo }) =>
          `${host}: ${result.padEnd(4)} ${check.padEnd(8)} ${message}${todo ? ` (${todo})` : ''}`,
      ),
    )
    .join('\n');
}
export const isBad = (hosts: Checked): boolean =>
  hosts.some(({ findings }) => findings.some(({ result }) => result === 'fail'));

/** `vs net check ADDRESS|NETWORK`. */
export async function checkSubject(subject: string, json: boolean): Promise<void> {
  if (isIP(subject) > 0 && !subject.includes('%')) {
    const found = await checkAddress(canonical6(subject));
    if (found.taken) process.exitCode = 1;
    if (json) return console.log(JSON.stringify(found, null, 2));
    const whose = found.vserver ? `, which is the address of ${found.vserver}` : '';
    return console.log(
      found.taken
        ? `${subject} answers on ${found.network}${found.answers ? `, from ${found.answers}` : ''}${whose}.`
        : `Nobody answers at ${subject} on ${found.network} (asked from ${found.asked})${whose}.`,
    );
  }
  if (/[.:]/.test(subject))
    throw new VsError(
      'usage',
      `${quoted(subject)} is no address; expected one such as 10.60.10.5 or fd60:10::5, or the name of a network.`,
    );
  const hosts = await checkNetwork(checkName(subject, 'network'));
  if (isBad(hosts)) process.exitCode = 1;
  console.log(json ? JSON.stringify(hosts, null, 2) : checkedText(hosts));
}
