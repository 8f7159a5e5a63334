import { isIP, isIPv6 } from 'node:net';
import type { Args, Data } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { checkName, quoted } from '../names.ts';
import { changeLines, notes } from './shown.ts';

export interface AddOptions {
  name?: string;
  net6?: string;
  gw6?: string;
  uplink?: string;
  untagged?: boolean;
  mtu?: string;
  nameserver?: string;
  domain?: string;
  dryRun?: boolean;
  json?: boolean;
}

/** A whole number of an argument. */
function whole(text: string, what: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new VsError('usage', `${what} is a whole number from ${least} to ${most}, not ${quoted(text)}.`);
}

/** What `vs net add` sends, from what was typed. */
export function wishOf(
  vlan: string,
  subnet: string,
  gateway: string | undefined,
  options: AddOptions,
): Args<'networks.add'> {
  const { name, net6, gw6, uplink, untagged, mtu, nameserver, domain, dryRun } = options;
  const bare = (text: string, family: (text: string) => boolean, what: string, example: string) => {
    const address = text.replace(/^\[(.*)\]$/, '$1');
    if (family(address)) return address;
    throw new VsError('usage', `${quoted(text)} is no ${what}; expected one such as ${example}.`);
  };
  return {
    vlan: whole(vlan, 'A VLAN', 1, 4094),
    subnet,
    ...(gateway === undefined
      ? {}
      : { gateway: bare(gateway, (one) => isIP(one) > 0, 'gateway', '10.60.30.1 or fd60:30::1') }),
    ...(name === undefined ? {} : { name: checkName(name, 'network') }),
    ...(net6 === undefined ? {} : { subnet6: net6 }),
    ...(gw6 === undefined ? {} : { gateway6: bare(gw6, isIPv6, 'IPv6 gateway', 'fd60:30::1') }),
    ...(uplink === undefined ? {} : { uplink }),
    ...(untagged ? { untagged } : {}),
    ...(mtu === undefined ? {} : { mtu: whole(mtu, '--mtu', 1280, 9216) }),
    ...(nameserver === undefined ? {} : { nameserver: nameserver.replaceAll(',', ' ') }),
    ...(domain === undefined ? {} : { domain }),
    ...(dryRun ? { dryRun } : {}),
  };
}

/** Says what was applied; a host that could not take it is a failure. */
export function told(done: Data<'networks.apply'>, options: { dryRun?: boolean; json?: boolean }): void {
  if (done.hosts.some((one) => one.state === 'online' && one.fault)) process.exitCode = 1;
  if (options.json) return console.log(JSON.stringify(done, null, 2));
  for (const line of changeLines(done, options.dryRun === true)) console.log(line);
  if (!options.dryRun) for (const line of notes({ ...done, pending: [] })) console.log(line);
}

export async function add(
  vlan: string,
  subnet: string,
  gateway: string | undefined,
  options: AddOptions,
): Promise<void> {
  const wish = wishOf(vlan, subnet, gateway, options);
  const done = await withClient((client) => client.request('master', 'networks.add', wish));
  if (!options.json) console.log(`networks.conf: ${done.line}`);
  told(done, options);
}

/** Takes a network down on a host, or refuses with the names of who is on it. */
export async function down(network: string, host: string, json: boolean): Promise<void> {
  const { removed, vservers = [] } = await withClient((client) =>
    client.request(host, 'network.down', { network }),
  );
  if (vservers.length > 0)
    throw new VsError(
      'refused',
      `${network} stays up on ${host}: ${vservers.join(', ')} ${vservers.length === 1 ? 'is' : 'are'} on it. Stop or move what runs there first.`,
    );
  if (json) return console.log(JSON.stringify({ network, host, up: false, changed: removed }, null, 2));
  console.log(removed ? `${network} is down on ${host}.` : `${network} was not up on ${host}.`);
}
export async function up(network: string, host: string, json: boolean): Promise<void> {
  const { bridge } = await withClient((client) => client.request(host, 'network.up', { network }));
  if (json) return console.log(JSON.stringify({ network, host, up: true, bridge }, null, 2));
  console.log(
    `${network} is up on ${host} (${bridge}), until it is taken down or the agent restarts without a vserver on it.`,
  );
}
