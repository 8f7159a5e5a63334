import { z } from 'zod';
import { canonicalSubnet6 } from '../addresses.ts';
import { type CommandSpec, hostCommand } from './command.ts';
import { empty, ipv4, ipv6, mac, name, staged } from './names.ts';

/** One line of networks.conf. */
export const network = z.strictObject({
  name,
  vlan: z.int().min(1).max(4094),
  /** 802.1q tag on the uplink; false: the whole uplink device, or no uplink, is this network. */
  tagged: z.boolean(),
  uplink: z.string().max(15).optional(), // absent: a plain bridge inside the host
  subnet: z.cidrv4().optional(), // of IPv4, IPv6 or both
  gateway: ipv4.optional(),
  subnet6: z.cidrv6().overwrite(canonicalSubnet6).optional(),
  gateway6: ipv6.optional(),
  nameserver: z.string().optional(),
  domain: z.string().optional(),
  mtu: z.int().min(1280).max(9216).optional(),
});
export type Network = z.infer<typeof network>;

/** Which networks a host has: those of the master, or of its own file. `held`: what it could not change, and for whom. */
const taken = z.object({
  source: z.enum(['master', 'file']),
  version: z.int().optional(),
  held: z.array(z.object({ network: name, vservers: z.array(name) })),
  fault: z.string().optional(),
});

const withPrefix = <T extends typeof ipv4 | typeof ipv6>(address: T) =>
  z.array(z.strictObject({ address, prefix: z.int().min(1).max(128) })).max(64);
/** An interface of a vserver, as shared/interfaces.ts makes it of vserver.json. */
export const vserverInterface = z.strictObject({
  device: z.string().regex(/^eth\d{1,2}$/),
  veth: z.string().max(15), // the host's end
  network: name,
  mac,
  addresses: withPrefix(ipv4),
  addresses6: withPrefix(ipv6),
});
const interfaces = z.array(vserverInterface).min(1).max(32);

/** What the runtime needs for the veths of one vserver; the first interface has the gateways. */
export const attachment = z.object({
  interfaces: z.array(vserverInterface.extend({ bridge: z.string(), mtu: z.int() })).min(1),
  gateway: ipv4.optional(),
  gateway6: ipv6.optional(),
  nameserver: z.string().optional(),
  domain: z.string().optional(),
  hook: z.string(), // lxc.hook.start-host
});
export type Attachment = z.infer<typeof attachment>;

/** Bytes a second. */
const rate = z.int().min(1000);
const byNetwork = z.strictObject({ network: name });

export const networkCommands = {
  'network.list': hostCommand(
    'the networks of networks.conf and whether they are up',
    empty,
    z.object({
      networks: z.array(z.object({ network, up: z.boolean(), bridge: z.string(), vservers: z.array(name) })),
      taken: taken.optional(),
    }),
  ),
  'network.show': hostCommand(
    'one network',
    byNetwork,
    z.object({ network, up: z.boolean(), bridge: z.string(), vservers: z.array(name) }),
  ),
  'network.match': hostCommand(
    'the network of an address',
    z.strictObject({ address: z.union([ipv4, ipv6]) }),
    z.object({ network }),
  ),
  'network.up': hostCommand('VLAN device, bridge and guard', byNetwork, z.object({ bridge: z.string() })),
  'network.down': hostCommand(
    'remove bridge and VLAN device unless a vserver uses them',
    byNetwork,
    z.object({ removed: z.boolean(), vservers: z.array(name).optional() }), // who keeps it up
  ),
  'network.taken': hostCommand(
    "waits up to 5 s until this host has taken a version of the pool's networks, or a newer one",
    z.strictObject({ version: z.int().min(1) }),
    taken,
  ),
  'network.examine': hostCommand(
    'the devices of a network as they are: uplink, VLAN, bridge, the ports of its vservers, and its guard',
    byNetwork,
    z.object({
      network,
      guard: z.boolean(),
      devices: z.array(
        z.object({
          device: z.string(),
          role: z.enum(['uplink', 'vlan', 'bridge', 'vserver']),
          vserver: name.optional(),
          there: z.boolean(),
          up: z.boolean(),
          carrier: z.boolean(),
          mtu: z.int().optional(),
        }),
      ),
    }),
  ),
  'network.echo': hostCommand(
    'answers pings at an IPv6 link-local address of its own on a network, from a namespace that goes after that time',
    z.strictObject({ network: name, seconds: z.int().min(1).max(60) }),
    z.object({ address: ipv6 }),
  ),
  'network.probe': hostCommand(
    'pings such an address from a namespace on the network, and finds the largest packet up to mtu that comes back; null: none',
    z.strictObject({ network: name, address: ipv6, mtu: z.int().min(1280).max(9216) }),
    z.object({ passes: z.int().nullable() }),
  ),
  'network.check': hostCommand(
    'does the address answer on its network? (duplicate address detection, IPv4 and IPv6)',
    z.strictObject({ network: name, address: ipv4.optional(), address6: ipv6.optional() }),
    z.object({
      answers: mac.nullable(), // of the IPv4 address
      taken6: z.boolean().optional(),
      answers6: mac.optional(), // of the IPv6 address, where it could be learnt
    }),
  ),
  'network.reach': hostCommand(
    'does another machine answer at its management address? (ICMP echo, IPv4 or IPv6)',
    z.strictObject({ address: z.union([ipv4, ipv6]) }),
    z.object({ answers: z.boolean() }),
  ),
  'network.attach': hostCommand(
    'networks up and rule files ready; what the runtime needs for the veths',
    z.strictObject({
      name,
      interfaces,
      in_rate: rate.optional(), // bytes a second, as the vserver sees it
      out_rate: rate.optional(),
      staged: staged.optional(),
    }),
    attachment,
  ),
  'network.readdress': hostCommand(
    'after attach: a vserver that runs (pid: its init) gets the addresses and the rules of its port at once, as far as it has the interfaces; missing: those that come with its next start; changed: it had others before',
    z.strictObject({ name, pid: z.int().min(2), interfaces }),
    z.object({ missing: z.array(z.string()), changed: z.boolean() }),
  ),
  'network.detach': hostCommand('rule files gone', z.strictObject({ name })),
  'network.link': hostCommand(
    "the host's end of a vserver's veth up or down; one that is not there is down",
    z.strictObject({ name, up: z.boolean() }),
  ),
  'network.shape': hostCommand(
    'how many bytes a second may come into a vserver that runs and go out of it (pid: its init), now and at each start; an absent rate is none',
    z.strictObject({ name, pid: z.int().min(2), in_rate: rate.optional(), out_rate: rate.optional() }),
  ),
  'network.shaping': hostCommand(
    'whether this host can limit the bandwidth of vservers; missing: why not',
    empty,
    z.object({ missing: z.string().optional() }),
  ),
  'network.announce': hostCommand(
    'tell the neighbours where the addresses are (gratuitous ARP, unsolicited NA), from inside its namespace',
    z.strictObject({
      name,
      pid: z.int().min(2),
      interfaces: z.array(z.strictObject({ device: z.string(), mac })).max(32),
    }),
    empty,
  ),
} satisfies Record<string, CommandSpec>;
