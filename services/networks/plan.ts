import { networkOf, subnetsOf } from '../../config/networks.ts';
import { faultsOnHost, onHost } from '../../config/host-networks.ts';
import type { Network } from '../../shared/contract/network.ts';
import type { HostNetworking, NetworkChange } from '../../shared/contract/networks.ts';

/** What networks.conf and slaves.conf say. */
export interface Wanted {
  networks: Network[];
  hosts: Record<string, HostNetworking>;
}
/** A vserver anywhere in the pool; one whose host is offline may run. */
export interface Placed {
  name: string;
  host: string;
  state: string;
  network: string;
  address: string;
}
export interface Plan {
  changes: NetworkChange[];
  /** Sentences: why it cannot be. */
  inTheWay: string[];
}

/** What a vserver takes where nobody says anything (MTU of vs-tools.conf). */
const USUAL_MTU = 1500;
const runs = (one: Placed) => one.state !== 'stopped';
const said = (value: string | number | undefined) => (value === undefined ? 'none' : String(value));
/** Each once, though it may have several addresses in a network. */
const listed = (vservers: Placed[]): string =>
  [...new Set(vservers.map((one) => `${one.name} on ${one.host}${runs(one) ? '' : ' (stopped)'}`))].join(
    ', ',
  );

const namesOf = (vservers: Placed[]): string[] => [...new Set(vservers.map((one) => one.name))];

/** A network without what each host may have of its own. */
const soft = [
  ['gateway', 'gateway', 'next start'],
  ['gateway6', 'IPv6 gateway', 'next start'],
  ['subnet', 'subnet', 'new vservers'],
  ['subnet6', 'IPv6 subnet', 'new vservers'],
  ['nameserver', 'name server', 'new vservers'],
  ['domain', 'domain', 'new vservers'],
] as const;

function changesOf(old: Network, next: Network, here: Placed[]): NetworkChange[] {
  return soft.flatMap(([key, word, when]) =>
    old[key] === next[key]
      ? []
      : [
          {
            network: next.name,
            what: `${word} ${said(old[key])} -> ${said(next[key])}`,
            when,
            vservers: namesOf(here.filter((one) => when !== 'next start' || runs(one))),
          },
        ],
  );
}

/** What changes for the hosts themselves: device, tag, MTU; once for all hosts where it is the same. */
function wiring(before: Wanted, after: Wanted, pair: [Network, Network], here: Placed[], plan: Plan): void {
  const [old, next] = pair;
  const hosts = new Set([
    ...Object.keys(before.hosts),
    ...Object.keys(after.hosts),
    ...here.map((one) => one.host),
  ]);
  const found = new Map<string, { change: NetworkChange; hosts: string[] }>();
  for (const host of [...hosts, '']) {
    const [was, is] = [onHost(old, before.hosts[host]), onHost(next, after.hosts[host])];
    const running = here.filter((one) => one.host === host && runs(one));
    const wire = ({ vlan, tagged, uplink }: Network) =>
      `VLAN ${vlan} ${uplink ? `${tagged ? 'tagged' : 'untagged'} on ${uplink}` : 'inside the host'}`;
    const note = (what: string, vservers: Placed[]) => {
      const one = found.get(what) ?? {
        change: { network: next.name, what, when: 'now' as const, vservers: [] as string[] },
        hosts: [],
      };
      one.change.vservers.push(...namesOf(vservers));
      if (host) one.hosts.push(host);
      found.set(what, one);
    };
    if (wire(was) !== wire(is)) {
      note(`${wire(was)} -> ${wire(is)}`, []);
      if (running.length > 0)
        plan.inTheWay.push(
          `${next.name}: another wire, while ${listed(running)} runs there: stop or move it first`,
        );
    }
    const [less, more] = [is.mtu ?? USUAL_MTU, was.mtu ?? USUAL_MTU];
    if (was.mtu === is.mtu) continue;
    note(`MTU ${was.mtu ?? "the host's"} -> ${is.mtu ?? "the host's"}`, running);
    if (less < more && running.length > 0)
      plan.inTheWay.push(
        `${next.name}: MTU ${more} -> ${less}, while ${listed(running)} runs there and sends larger packets: stop it first`,
      );
  }
  for (const { change, hosts: of } of found.values())
    plan.changes.push(
      of.length === 0 || of.length === hosts.size
        ? change
        : { ...change, what: `${of.join(', ')}: ${change.what}` },
    );
}

/**
 * What is different between what was applied (undefined: nothing ever was) and what the files say, and who is in the way of it:
 * a network that any vserver uses stays, whether it runs or not; one that runs keeps its wire and the size of its packets.
 */
export function planNetworks(before: Wanted | undefined, after: Wanted, vservers: Placed[]): Plan {
  const plan: Plan = { changes: [], inTheWay: [] };
  const of = (name: string) => vservers.filter((one) => one.network === name);
  for (const [host, own] of Object.entries(after.hosts))
    plan.inTheWay.push(...faultsOnHost(host, after.networks, own));
  for (const one of after.networks) {
    const old = before?.networks.find(({ name }) => name === one.name);
    if (!old) {
      plan.changes.push({
        network: one.name,
        what: before ? 'new' : `from now on by the master: ${subnetsOf(one).join(', ')}`,
        when: 'now',
        vservers: [],
      });
      continue;
    }
    plan.changes.push(...changesOf(old, one, of(one.name)));
    if (before) wiring(before, after, [old, one], of(one.name), plan);
  }
  for (const one of before?.networks ?? [])
    if (!after.networks.some(({ name }) => name === one.name))
      plan.changes.push({ network: one.name, what: 'removed', when: 'now', vservers: [] });
  for (const name of [...new Set(vservers.map((one) => one.network))].toSorted()) {
    const network = after.networks.find((one) => one.name === name);
    const outside = of(name).filter((one) => network && !networkOf([network], one.address));
    if (!network)
      plan.inTheWay.push(
        `${name} is used by ${listed(of(name))}: it stays in networks.conf until they are removed or moved to another network`,
      );
    else if (outside.length > 0)
      plan.inTheWay.push(
        `${name}: ${outside.map((one) => `${one.address} of ${one.name}`).join(', ')} would be outside of ${subnetsOf(network).join(', ')}`,
      );
  }
  return plan;
}
