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
    options[cut < 0 ? word : word.slice(0, cut)] =
      cut < 0 ? 'yes' : word.slice(cut + 1).replace(/^\[|\]$/g, '');
  }
  return options;
}

const known = ['name', 'net6', 'gw6', 'uplink', 'untagged', 'mtu'];

/** One line `vlan:network/prefix:gateway[:nameserver[:domain]][:options]`; throws a sentence without its place. */
function parseLine(line: string): Network {
  const fields = splitFields(line);
  const last = fields.at(-1) ?? '';
  const options =
    fields.length > 3 && (last.includes('=') || last.split(',').includes('untagged'))
      ? parseOptions(fields.pop() ?? '')
      : {};
  const [vlan = '', subnet = '', gateway = '', nameserver = '', domain = '', ...rest] = fields;
  if (fields.length < 2 || rest.length > 0)
    throw new Error('expected vlan:network/prefix:gateway[:nameserver[:domain]][:options]');
  for (const key of Object.keys(options))
    if (!known.includes(key)) throw new Error(`unknown option ${key}; known are ${known.join(', ')}`);
  const uplink = options['uplink'] === 'none' ? undefined : options['uplink'];
  const value = {
    name: options['name'] ?? `vlan${vlan}`,
    vlan: Number(vlan),
    tagged: uplink !== undefined && options['untagged'] === undefined,
    uplink,
    subnet,
    gateway: gateway || undefined,
    nameserver: nameserver || undefined,
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
  if (parsed.data.gateway && !inSubnet(parsed.data.subnet, parsed.data.gateway))
    throw new Error(`gateway ${parsed.data.gateway} is not in ${parsed.data.subnet}`);
  if (parsed.data.gateway6 && !(parsed.data.subnet6 && inSubnet(parsed.data.subnet6, parsed.data.gateway6)))
    throw new Error(`gateway ${parsed.data.gateway6} is not in ${parsed.data.subnet6 ?? 'any net6'}`);
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

function conflictOf(one: Network, other: Network): string | undefined {
  if (one.vlan === other.vlan) return `VLAN ${one.vlan} is network ${other.name} already`;
  if (one.name === other.name) return `the name ${one.name} is taken by VLAN ${other.vlan}`;
  if (overlap(one.subnet, other.subnet)) return `${one.subnet} overlaps ${other.subnet} of ${other.name}`;
  if (one.subnet6 && other.subnet6 && overlap(one.subnet6, other.subnet6))
    return `${one.subnet6} overlaps ${other.subnet6} of ${other.name}`;
  if (one.uplink && one.uplink === other.uplink && !(one.tagged && other.tagged))
    return `uplink ${one.uplink} carries ${other.name} already; two networks on one device must both be tagged`;
  return undefined;
}

/** Parses the text of networks.conf. Throws VsError 'usage' with every fault, by file and line. */
export function parseNetworks(text: string, file: string): Network[] {
  return parseLines<Network>(text, file, (line, before) => {
    const one = parseLine(line);
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
