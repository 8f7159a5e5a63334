import { isIP, isIPv6 } from 'node:net';
import { canonical6 } from '../shared/addresses.ts';
import { type Network, network } from '../shared/contract/network.ts';
import { type Fault, type Part, faulty, partsOf } from './lines.ts';
import { gatewayFault, subnetFault } from './subnets.ts';

const FORM = 'vlan:network/prefix:gateway[:nameserver[:domain]][:options], IPv6 in []';
/** The options, and what each says. */
const options = {
  name: 'name',
  net6: 'subnet6',
  gw6: 'gateway6',
  uplink: 'uplink',
  untagged: 'tagged',
  mtu: 'mtu',
} as const;
type Option = keyof typeof options;
const known = Object.keys(options) as Option[];
/** What stands in a field. */
const expected: Partial<Record<keyof Network, string>> = {
  name: 'a name of lower-case letters, digits and inner dashes, at most 32 characters',
  vlan: 'a VLAN, a whole number from 1 to 4094',
  subnet: 'a subnet such as 10.60.10.0/24, or an IPv6 one in [], such as [fd60:10::/64]',
  gateway: 'a gateway such as 10.60.10.1, of the same family as the subnet',
  subnet6: 'an IPv6 subnet such as [fd60:10::/64]',
  gateway6: 'an IPv6 gateway such as [fd60:10::1]',
  mtu: 'an MTU, a whole number from 1280 to 9216',
};
const unbracketed = (text: string) => text.replace(/^\[|\]$/g, '');
const short = (text: string) => `"${text.slice(0, 60)}"`;
/** Words of commands and of this file. */
const reserved = ['none', 'all', 'master'];

/** Why a device cannot carry a network; undefined when it can. The kernel's names have at most 15 characters. */
export function uplinkFault(uplink: string, vlan?: number): string | undefined {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(uplink) || uplink === 'lo' || /^vs(br|v|p)/.test(uplink))
    return `"${uplink.slice(0, 40)}" is no device that can carry a network; expected one such as eth1, or none`;
  if (vlan !== undefined && `${uplink}.${vlan}`.length > 15)
    return `the device ${uplink}.${vlan} would have a name of more than 15 characters; expected a shorter one than ${uplink}`;
  return undefined;
}

function parseOptions(line: Part): Partial<Record<Option, Part>> {
  const found: Partial<Record<Option, Part>> = {};
  const faults: Fault[] = [];
  for (const { text: word, at } of partsOf(line, /,/g)) {
    if (!word) continue;
    const cut = word.indexOf('=');
    const key = known.find((one) => one === (cut < 0 ? word : word.slice(0, cut)));
    const value = cut < 0 ? '' : unbracketed(word.slice(cut + 1));
    if (!key)
      faults.push({
        at,
        message: `unknown option ${(cut < 0 ? word : word.slice(0, cut)).slice(0, 60)}; known are ${known.join(', ')}`,
      });
    else if (found[key])
      faults.push({ at, message: `the option ${key} stands here twice; expected it once` });
    else if ((key === 'untagged') !== cut < 0 || (cut >= 0 && value === ''))
      faults.push({
        at,
        message:
          key === 'untagged'
            ? 'untagged has no value; expected the word alone'
            : `the option ${key} has no value; expected ${key}=...`,
      });
    else found[key] = { text: value, at: at + cut + 1 };
  }
  if (faults.length > 0) throw faulty(...faults);
  return found;
}

/** Several name servers have spaces between them. */
function nameservers(field: Part | undefined): string | undefined {
  const all = field ? partsOf(field, /\s+/g).filter(({ text }) => text) : [];
  const wrong = all.filter(({ text }) => isIP(unbracketed(text)) === 0);
  if (wrong.length > 0)
    throw faulty(
      ...wrong.map(({ text, at }) => ({
        at,
        message: `${short(text)} is no name server; expected an address, IPv6 in []`,
      })),
    );
  return all.map(({ text }) => canonical6(unbracketed(text))).join(' ') || undefined;
}

function faultsOf(one: Network): { key: keyof Network; message: string | undefined }[] {
  const { name, vlan, tagged, uplink, subnet, gateway, subnet6, gateway6 } = one;
  return [
    {
      key: 'name',
      message: reserved.includes(name)
        ? `a network cannot be called ${name}; expected another name`
        : undefined,
    },
    { key: 'subnet', message: subnet && subnetFault(subnet) },
    { key: 'gateway', message: gateway && gatewayFault(subnet, gateway) },
    { key: 'subnet6', message: subnet6 && subnetFault(subnet6) },
    { key: 'gateway6', message: gateway6 && gatewayFault(subnet6, gateway6) },
    { key: 'uplink', message: uplink && uplinkFault(uplink, tagged ? vlan : undefined) },
  ];
}

/**
 * One line `vlan:network/prefix:gateway[:nameserver[:domain]][:options]`; IPv6 in brackets, and a network of IPv6 alone has it in
 * the place of IPv4. `at`: where in the line a value stands. Throws an error of lines.ts with
 * the place of each fault.
 */
export function parseNetwork(line: string): { network: Network; at: (key: keyof Network) => number } {
  const fields = partsOf({ text: line, at: 0 }, /:(?![^[]*\])/g);
  const last = fields.at(-1);
  const isOptions = last && (last.text.includes('=') || last.text.split(/\s*,\s*/).includes('untagged'));
  const said = fields.length > 2 && isOptions ? parseOptions(fields.pop() ?? last) : {};
  const [vlan, net, via, nameserver, domain, ...rest] = fields;
  if (!vlan || !net || rest.length > 0) throw faulty({ at: rest[0]?.at ?? 0, message: `expected ${FORM}` });
  const six = isIPv6(unbracketed(net.text).split('/')[0] ?? '');
  const twice = six ? (said.net6 ?? said.gw6) : undefined;
  if (twice)
    throw faulty({
      at: twice.at,
      message: `net6= and gw6= stand beside an IPv4 subnet; ${unbracketed(net.text)} is IPv6 already`,
    });
  const [net6, gw6] = six ? [net, via] : [said.net6, said.gw6];
  const parts: Partial<Record<keyof Network, Part | undefined>> = {
    vlan,
    subnet: net,
    gateway: via,
    domain,
    subnet6: net6,
    gateway6: gw6,
    name: said.name,
    uplink: said.uplink,
    mtu: said.mtu,
  };
  const at = (key: keyof Network): number => parts[key]?.at ?? vlan.at;
  const plain = (part: Part | undefined) => unbracketed(part?.text ?? '') || undefined;
  const whole = ({ text }: Part) => (/^\d+$/.test(text) ? Number(text) : Number.NaN);
  const parsed = network.safeParse({
    name: said.name?.text ?? `vlan${vlan.text}`,
    vlan: whole(vlan),
    tagged: said.uplink?.text !== 'none' && said.untagged === undefined,
    uplink: said.uplink?.text === 'none' ? undefined : said.uplink?.text,
    subnet: six ? undefined : net.text,
    gateway: six ? undefined : via?.text || undefined,
    nameserver: nameservers(nameserver),
    domain: domain?.text || undefined,
    subnet6: plain(net6),
    gateway6: plain(gw6),
    mtu: said.mtu && whole(said.mtu),
  });
  if (!parsed.success) {
    const wrong = new Set(parsed.error.issues.map(({ path }) => path[0] as keyof Network));
    // without a name of its own it is called after its VLAN, which is named already
    if (wrong.has('vlan') && !said.name) wrong.delete('name');
    const faults = [...wrong].map((key) => ({
      at: at(key),
      message: `found ${short(parts[key]?.text ?? '')}, expected ${expected[key] ?? 'a shorter word'}`,
    }));
    throw faulty(...faults);
  }
  const faults = faultsOf(parsed.data).flatMap(({ key, message }) =>
    message ? [{ at: at(key), message }] : [],
  );
  if (faults.length > 0) throw faulty(...faults);
  return { network: parsed.data, at };
}
