import type { Data } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import { table } from '../table.ts';

type Listed = Data<'networks.list'>;
export type PoolNetwork = Listed['networks'][number];

/** What the pool's networks are as rows for people. */
export function listText({ networks }: Pick<Listed, 'networks'>): string {
  const rows = networks.map(({ network, hosts, vservers }) => [
    network.name,
    String(network.vlan),
    network.subnet ?? '-',
    (network.subnet ? network.gateway : network.gateway6) ?? '-',
    network.subnet6 ?? '-',
    mtusOf(hosts, network.mtu),
    hosts
      .filter((one) => one.up)
      .map((one) => one.host)
      .join(',') || '-',
    String(new Set(vservers.map((one) => one.name)).size),
  ]);
  return table(['NETWORK', 'VLAN', 'SUBNET', 'GATEWAY', 'NET6', 'MTU', 'UP ON', 'VSERVERS'], rows);
}

/** One MTU, or from the least to the largest of the hosts. */
function mtusOf(hosts: PoolNetwork['hosts'], own: number | undefined): string {
  const all = hosts.flatMap(({ mtu }) => (mtu === undefined ? [] : [mtu]));
  if (all.length === 0) return own === undefined ? '-' : String(own);
  const [least, most] = [Math.min(...all), Math.max(...all)];
  return least === most ? String(least) : `${least}-${most}`;
}

/** What a person should know beside the table: hosts that are behind, and changes that were not applied. */
export function notes({ version, pending, fault, hosts }: Omit<Listed, 'networks'>): string[] {
  const lines: string[] = [];
  for (const one of hosts) {
    if (one.fault) lines.push(`${one.host}: ${one.fault}`);
    else if (one.state === 'offline')
      lines.push(`${one.host} is offline, and takes the networks when it is back.`);
    else if (version !== undefined && one.version !== version)
      lines.push(
        `${one.host} has not taken the newest version${one.source === 'file' ? ': it has its own networks.conf' : ''}.`,
      );
    for (const { network, vservers } of one.held ?? [])
      lines.push(`${one.host} keeps ${network} as it was until these have stopped: ${vservers.join(', ')}.`);
  }
  if (fault) lines.push(`The files on the master cannot be applied: ${fault}`);
  if (pending.length > 0)
    lines.push(
      `Not applied yet (vs net apply): ${pending.map((one) => `${one.network}: ${one.what}`).join('; ')}`,
    );
  if (version === undefined)
    lines.push(
      'Each host has its own networks.conf; "vs net apply" makes that of the master the one of the pool.',
    );
  return lines;
}

/** What was, or would be, changed. */
export function changeLines({ changes, hosts }: Data<'networks.apply'>, dryRun: boolean): string[] {
  const when = { now: '', 'next start': ', at the next start', 'new vservers': ', for new vservers' };
  const lines = changes.map(({ network, what, when: at, vservers }) => {
    const who =
      vservers.length > 0
        ? `; ${at === 'new vservers' ? 'as they are stay' : 'until they restart, as before'}: ${vservers.join(', ')}`
        : '';
    return `${network}: ${what}${when[at]}${who}`;
  });
  if (lines.length === 0) lines.push('Nothing is different.');
  if (dryRun) return [...lines, 'Nothing was changed (--dry-run).'];
  const took = hosts.filter((one) => one.state === 'online' && !one.fault).map((one) => one.host);
  if (took.length > 0) lines.push(`Taken by ${took.join(', ')}.`);
  return lines;
}

/** One network in full. */
export function showText({ network, hosts, vservers }: PoolNetwork): string {
  const rows: [string, string][] = [
    ['name', network.name],
    ['vlan', `${network.vlan}${network.tagged ? '' : ', untagged'}`],
    ['subnet', network.subnet ?? ''],
    ['gateway', network.gateway ?? ''],
    ['net6', network.subnet6 ?? ''],
    ['gateway6', network.gateway6 ?? ''],
    ['nameserver', network.nameserver ?? ''],
    ['domain', network.domain ?? ''],
    ['mtu', network.mtu === undefined ? "the host's" : String(network.mtu)],
  ];
  const facts = rows.filter(([, text]) => text).map(([what, text]) => `${what.padEnd(12)} ${text}`);
  const onHosts = table(
    ['HOST', 'STATE', 'UPLINK', 'MTU'],
    hosts.map((one) => [
      one.host,
      one.up === null ? 'no answer' : one.up ? 'up' : 'down',
      one.uplink ?? 'none',
      String(one.mtu ?? '-'),
    ]),
  );
  const on = table(
    ['VSERVER', 'HOST', 'STATE', 'ADDRESS'],
    vservers.map((one) => [one.name, one.host, one.state, one.address]),
  );
  return [...facts, '', onHosts, ...(vservers.length > 0 ? ['', on] : ['', 'No vserver uses it.'])].join(
    '\n',
  );
}

/** The network of this name. Throws 'not-found' with all there are. */
export function findNetwork(networks: PoolNetwork[], name: string): PoolNetwork {
  const one = networks.find(({ network }) => network.name === name);
  if (one) return one;
  throw new VsError(
    'not-found',
    `There is no network ${name}; there are ${networks.map(({ network }) => network.name).join(', ') || 'none'}.`,
  );
}
