import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { type Network, network } from '../shared/contract/network.ts';
import { parseLines, readOptional } from './lines.ts';
import type { Settings } from './settings.ts';

/** Splits at ':' outside of []; an IPv6 value stands in brackets. */
function splitFields(line: string): string[] {
  return line.split(/:(?![^[]*\])/).map((field) => field.trim());
}

function parseOptions(text: string): Record<string, string> {
  const options: Record<string, string> = {};
  for (const word of text
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean)) {
    const cut = word.indexOf('=');
    const key = cut < 0 ? word : word.slice(0, cut);
    const value = cut < 0 ? '' : unbracketed(word.slice(cut + 1));
    if (!known.includes(key)) throw new Error(`unknown option ${key}; known are ${known.join(', ')}`);
    if (Object.hasOwn(options, key)) throw new Error(`the option ${key} stands here twice`);
    if ((key === 'untagged') !== cut < 0 || (cut >= 0 && value === ''))
      throw new Error(key === 'untagged' ? 'untagged has no value' : `the option ${key} has no value`);
    options[key] = value;
  }
  return options;
}

const known = ['name', 'net6', 'gw6', 'uplink', 'untagged', 'mtu'];
const unbracketed = (text: string) => text.replace(/^\[|\]$/g, '');
/** Words of commands and of this file. */
const reserved = ['none', 'all', 'master'];

/** Why a device cannot carry a network; undefined when it can. The kernel's names have at most 15 characters. */
export function uplinkFault(uplink: string, vlan?: number): string | undefined {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(uplink) || uplink === 'lo' || /^vs(br|v|p)/.test(uplink))
    return `"${uplink.slice(0, 40)}" is no device that can carry a network; expected one such as eth1, or none`;
  if (vlan !== undefined && `${uplink}.${vlan}`.length > 15)
    return `the device ${uplink}.${vlan} would have a name of more than 15 characters`;
  return undefined;
}

/** Several name servers have spaces between them. */
function nameservers(text: string): string | undefined {
  const all = text.split(/\s+/).filter(Boolean).map(unbracketed);
  for (const one of all)
    if (!isIPv4(one) && !isIPv6(one))
      throw new Error(`"${one.slice(0, 60)}" is no name server; expected an address, IPv6 in []`);
  return all.join(' ') || undefined;
}

function checkSubnets({ name, vlan, tagged, uplink, subnet, gateway, subnet6, gateway6 }: Network): void {
  if (reserved.includes(name)) throw new Error(`a network cannot be called ${name}`);
  if (Number(subnet.split('/')[1]) < 8) throw new Error(`${subnet} is larger than a /8`);
  if (gateway && !inSubnet(subnet, gateway)) throw new Error(`gateway ${gateway} is not in ${subnet}`);
  if (gateway && !isHostAddress(subnet, gateway))
    throw new Error(`gateway ${gateway} is the first or the last address of ${subnet}, which no machine has`);
  if (gateway6 && !(subnet6 && inSubnet(subnet6, gateway6)))
    throw new Error(`gateway ${gateway6} is not in ${subnet6 ?? 'any net6'}`);
  const fault = uplink === undefined ? undefined : uplinkFault(uplink, tagged ? vlan : undefined);
  if (fault) throw new Error(fault);
}

/** One line `vlan:network/prefix:gateway[:nameserver[:domain]][:options]`; throws a sentence without its place. */
export function parseNetwork(line: string): Network {
  const fields = splitFields(line);
  const last = fields.at(-1) ?? '';
  const options =
    fields.length > 2 && (last.includes('=') || last.split(',').includes('untagged'))
      ? parseOptions(fields.pop() ?? '')
      : {};
  const [vlan = '', subnet = '', gateway = '', nameserver = '', domain = '', ...rest] = fields;
  if (fields.length < 2 || rest.length > 0)
    throw new Error('expected vlan:network/prefix:gateway[:nameserver[:domain]][:options]');
  if (isIPv6(unbracketed(subnet).split('/')[0] ?? ''))
    throw new Error(
      `${subnet} is IPv6: a network has an IPv4 subnet here, a private one will do, and its IPv6 one in net6=[..]`,
    );
  const uplink = options['uplink'] === 'none' ? undefined : options['uplink'];
  const value = {
    name: options['name'] ?? `vlan${vlan}`,
    vlan: /^\d+$/.test(vlan) ? Number(vlan) : Number.NaN,
    tagged: options['uplink'] !== 'none' && options['untagged'] === undefined,
    uplink,
    subnet,
    gateway: gateway || undefined,
    nameserver: nameservers(nameserver),
    domain: domain || undefined,
    subnet6: options['net6'],
    gateway6: options['gw6'],
    mtu: options['mtu'] === undefined ? undefined : Number(options['mtu']),
  };
  const parsed = network.safeParse(value);
  if (!parsed.success)
    throw new Error(
      parsed.error.issues.map((issue) => `${String(issue.path[0])}: ${issue.message}`).join('; '),
    );
  checkSubnets(parsed.data);
  return parsed.data;
}

/** May a vserver have this IPv4 address of a subnet? Not the first and the last one (RFC 922), but for /31 and /32. */
export function isHostAddress(subnet: string, address: string): boolean {
  const number = (text: string) => text.split('.').reduce((all, byte) => all * 256 + Number(byte), 0);
  const [net = '', prefix = '32'] = subnet.split('/');
  const size = 2 ** (32 - Number(prefix));
  if (size <= 2) return true;
  const first = Math.floor(number(net) / size) * size;
  return number(address) !== first && number(address) !== first + size - 1;
}

/** Is the address in the subnet (both IPv4, or both IPv6)? */
export function inSubnet(subnet: string, address: string): boolean {
  const [net = '', prefix = ''] = subnet.split('/');
  const family = isIPv4(net) ? 'ipv4' : 'ipv6';
  if (family === 'ipv4' ? !isIPv4(address) : !isIPv6(address)) return false;
  const list = new BlockList();
  list.addSubnet(net, Number(prefix), family);
  return list.check(address, family);
}

const overlap = (a: string, b: string): boolean =>
  inSubnet(a, b.split('/')[0] ?? '') || inSubnet(b, a.split('/')[0] ?? '');

/** Why two networks cannot be in one pool; undefined when they can. */
export function conflictOf(one: Network, other: Network): string | undefined {
  if (one.vlan === other.vlan) return `VLAN ${one.vlan} is network ${other.name} already`;
  if (one.name === other.name) return `the name ${one.name} is taken by VLAN ${other.vlan}`;
  if (overlap(one.subnet, other.subnet)) return `${one.subnet} overlaps ${other.subnet} of ${other.name}`;
  if (one.subnet6 && other.subnet6 && overlap(one.subnet6, other.subnet6))
    return `${one.subnet6} overlaps ${other.subnet6} of ${other.name}`;
  return uplinkConflict(one, other);
}

/** Why two networks cannot be on one host; undefined when they can. */
export const uplinkConflict = (one: Network, other: Network): string | undefined =>
  one.uplink && one.uplink === other.uplink && !(one.tagged && other.tagged)
    ? `uplink ${one.uplink} carries ${other.name} already; two networks on one device must both be tagged`
    : undefined;

/** Parses the text of networks.conf. Throws VsError 'usage' with every fault, by file and line. */
export function parseNetworks(text: string, file: string): Network[] {
  return parseLines<Network>(text, file, (line, before) => {
    const one = parseNetwork(line);
    const conflict = before.map((other) => conflictOf(one, other)).find(Boolean);
    if (conflict) throw new Error(conflict);
    return one;
  });
}

/** The networks of CONFIG_DIR/networks.conf; none when there is no such file. */
export async function loadNetworks(settings: Pick<Settings, 'CONFIG_DIR'>): Promise<Network[]> {
  const file = `${settings.CONFIG_DIR}/networks.conf`;
  return parseNetworks(await readOptional(file), file);
}

/** The network that an address lies in. */
export const networkOf = (networks: Network[], address: string): Network | undefined =>
  networks.find(
    (one) => inSubnet(one.subnet, address) || (one.subnet6 !== undefined && inSubnet(one.subnet6, address)),
  );
