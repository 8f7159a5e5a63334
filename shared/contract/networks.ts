import { z } from 'zod';
import { type CommandSpec, masterCommand } from './command.ts';
import { finding } from './doctor.ts';
import { hostName, ipv4, ipv6, name, ts } from './names.ts';
import { network } from './network.ts';

/** What slaves.conf says of the networks of one host. */
export const hostNetworking = z.object({
  uplink: z.string().max(15).optional(), // of tagged networks that name none
  uplinks: z.record(name, z.string().max(15)).optional(), // by network; "none": inside this host
  mtu: z.int().min(1280).max(9216).optional(), // the most that its devices can do
});
export type HostNetworking = z.infer<typeof hostNetworking>;

/** `vs/1/master/networks`, retained: what networks.conf and slaves.conf of the master say, when they were applied last. */
export const poolNetworks = z.looseObject({
  version: z.int().min(1), // grows
  hash: z.string().max(64), // of networks and hosts
  networks: z.array(z.object(network.shape)).max(4094),
  hosts: z.record(hostName, hostNetworking),
  ts,
});
export type PoolNetworks = z.infer<typeof poolNetworks>;

/** One difference, and from when on it holds. */
export const networkChange = z.object({
  network: name,
  what: z.string(),
  when: z.enum(['now', 'next start', 'new vservers']),
  vservers: z.array(name), // that go on as they are until then
});
export type NetworkChange = z.infer<typeof networkChange>;

/** How far a host is: the version that it has taken, and the networks that it could not change, by whose fault. */
export const hostNetworks = z.object({
  host: hostName,
  state: z.enum(['online', 'offline']),
  source: z.enum(['master', 'file']).optional(), // absent: it did not answer
  version: z.int().optional(),
  held: z.array(z.object({ network: name, vservers: z.array(name) })).optional(),
  fault: z.string().optional(),
});
export type HostNetworks = z.infer<typeof hostNetworks>;

export const poolNetwork = z.object({
  network,
  hosts: z.array(
    z.object({
      host: hostName,
      up: z.boolean().nullable(), // null: it did not answer
      uplink: z.string().optional(),
      mtu: z.int().optional(),
    }),
  ),
  vservers: z.array(z.object({ name, host: hostName, state: z.string(), address: z.string() })),
});
export type PoolNetwork = z.infer<typeof poolNetwork>;

const applied = z.object({
  version: z.int(),
  changes: z.array(networkChange),
  hosts: z.array(hostNetworks),
});
const dryRun = z.boolean().optional();

export const networksCommands = {
  'networks.list': masterCommand(
    'the networks of the pool, where they are up, who is on them, and which host has not taken the newest version',
    z.strictObject({}),
    z.object({
      version: z.int().optional(), // absent: never applied, each host has its own networks.conf
      pending: z.array(networkChange), // in the files, and not applied
      fault: z.string().optional(), // of the files
      networks: z.array(poolNetwork),
      hosts: z.array(hostNetworks),
    }),
  ),
  'networks.apply': masterCommand(
    'check networks.conf and slaves.conf and send them to the hosts; refused with the names of who is in the way',
    z.strictObject({ dryRun }),
    applied,
  ),
  'networks.add': masterCommand(
    'write a network into networks.conf and apply it',
    z.strictObject({
      vlan: z.int().min(1).max(4094),
      subnet: z.string().max(64), // of IPv6 alone: the IPv6 one, and its gateway
      gateway: z.union([ipv4, ipv6]).optional(),
      name: name.optional(),
      subnet6: z.string().max(64).optional(),
      gateway6: ipv6.optional(),
      uplink: z.string().max(15).optional(),
      untagged: z.boolean().optional(),
      mtu: z.int().min(1280).max(9216).optional(),
      nameserver: z.string().max(200).optional(),
      domain: z.string().max(253).optional(),
      dryRun,
    }),
    applied.extend({ line: z.string() }),
  ),
  'networks.remove': masterCommand(
    'take a network out of networks.conf and apply that; refused while any vserver uses it',
    z.strictObject({ network: name, dryRun }),
    applied,
  ),
  'networks.check': masterCommand(
    'look at a network on every host, and send packets of full size over it from host to host',
    z.strictObject({ network: name }),
    z.object({ hosts: z.array(z.object({ host: hostName, findings: z.array(finding) })) }),
  ),
} satisfies Record<string, CommandSpec>;
