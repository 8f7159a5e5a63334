import { isIP, isIPv6 } from 'node:net';
import type { FirewallPacket } from '../../shared/contract/firewall.ts';
import { icmpTypes, icmpv6Types, protocols } from '../../shared/protocols.ts';
import { VsError } from '../../shared/errors.ts';
import { quoted } from '../names.ts';

/** What a person asks about: the far side whole, of the vserver's side what was told. */
export interface AskedPacket {
  direction: 'in' | 'out';
  protocol: FirewallPacket['protocol'];
  far: Endpoint & { address: string };
  own: Endpoint;
  icmpType?: number;
}
interface Endpoint {
  address?: string;
  port?: number;
}

const EXAMPLES =
  'such as: in tcp 192.0.2.7:5555 to 22, out udp to 192.0.2.53:53, in icmp 192.0.2.7, in tcp [2001:db8::7]:5555 to 80';
const wrong = (why: string) => new VsError('usage', `${why}; a packet is told ${EXAMPLES}.`);
const words = new Set(['tcp', 'udp', 'icmp', 'icmpv6']);

function portOf(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
  throw wrong(`${quoted(text)} is no port from 0 to 65535`);
}

function checkSix(text: string): string {
  if (!isIPv6(text)) throw wrong(`${quoted(text)} is no IPv6 address`);
  if (text.includes('%'))
    throw wrong(`${quoted(text)} names a device, which a packet does not: leave out what begins with %`);
  const [, four] = /^::ffff:([\d.]+)$/i.exec(text) ?? [];
  if (four) throw wrong(`${quoted(text)} is never in a packet: it is told as ${four}`);
  return text;
}

/** `1.2.3.4`, `1.2.3.4:5555`, `2001:db8::1`, `[2001:db8::1]:5555`, or for the vserver's own side `22` and `:22`. */
export function parseEndpoint(text: string): Endpoint {
  if (/^:?\d{1,5}$/.test(text)) return { port: portOf(text.replace(':', '')) };
  const [, six, port6] = /^\[([^\]]*)\](?::(.*))?$/.exec(text) ?? [];
  if (six !== undefined) {
    return { address: checkSix(six), ...(port6 === undefined ? {} : { port: portOf(port6) }) };
  }
  if (isIPv6(text)) return { address: checkSix(text) };
  const [address = '', port, ...rest] = text.split(':');
  if (!isIP(address) || rest.length > 0) throw wrong(`${quoted(text)} is no address with or without a port`);
  return { address, ...(port === undefined ? {} : { port: portOf(port) }) };
}

function protocolOf(text: string): AskedPacket['protocol'] {
  const number = Object.hasOwn(protocols, text)
    ? protocols[text]
    : /^\d{1,3}$/.test(text) && Number(text) <= 255
      ? Number(text)
      : undefined;
  if (number === undefined)
    throw wrong(
      text === 'any'
        ? 'one packet has one protocol: tcp, udp, icmp, icmpv6, esp, ... or a number'
        : `${quoted(text)} is no protocol: ${Object.keys(protocols).join(', ')} or a number`,
    );
  const name = Object.keys(protocols).find((one) => protocols[one] === number && words.has(one));
  return (name as AskedPacket['protocol'] | undefined) ?? number;
}

function typeOf(text: string | undefined, six: boolean): number {
  if (text === undefined) return six ? 128 : 8;
  const types = six ? icmpv6Types : icmpTypes;
  if (Object.hasOwn(types, text)) return types[text] ?? 0;
  if (/^\d{1,3}$/.test(text) && Number(text) <= 255) return Number(text);
  throw wrong(
    `${quoted(text)} is no type of ${six ? 'icmpv6' : 'icmp'}: 0 to 255, or ${Object.keys(types).join(', ')}`,
  );
}

/** The words after `vs fw test NAME`. Throws VsError 'usage'. */
export function parsePacket(given: string[]): AskedPacket {
  const [direction, protocolWord, ...rest] = given.flatMap((word) => word.split(/\s+/)).filter(Boolean);
  if (direction !== 'in' && direction !== 'out')
    throw wrong(
      `a packet comes in or goes out, so it begins with "in" or "out", not ${quoted(direction ?? '')}`,
    );
  let protocol = protocolOf(protocolWord ?? '');
  const icmp = protocol === 'icmp' || protocol === 'icmpv6';
  const kind = icmp && /^[^.:]+$/.test(rest.at(-1) ?? '.') ? rest.pop() : undefined; // its type comes last
  const arrow = rest.findIndex(isArrow);
  if (rest.findLastIndex(isArrow) !== arrow) throw wrong('there is more than one "to"');
  const left = arrow < 0 ? rest : rest.slice(0, arrow);
  const right = arrow < 0 ? [] : rest.slice(arrow + 1);
  // without "to" there is one side only, which is the far one
  const [sources, targets] = direction === 'out' && arrow < 0 ? [[], left] : [left, right];
  if (sources.length > 1 || targets.length > 1)
    throw wrong(`${quoted([...sources.slice(1), ...targets.slice(1)].join(' '))} is too much`);
  const [source, target] = [sources, targets].map(([text]) =>
    text === undefined ? {} : parseEndpoint(text),
  );
  const [far, own] = direction === 'in' ? [source, target] : [target, source];
  if (far?.address === undefined) throw wrong('the address of the other side is missing');
  const six = isIPv6(far.address);
  if (own?.address !== undefined && isIPv6(own.address) !== six)
    throw wrong('one address is IPv4 and the other is IPv6');
  if (icmp) {
    if (protocol === 'icmpv6' && !six) throw wrong('icmpv6 is of IPv6 addresses');
    protocol = six ? 'icmpv6' : 'icmp';
  }
  const ports = protocol === 'tcp' || protocol === 'udp';
  if (!ports && (far.port !== undefined || own?.port !== undefined))
    throw wrong(`${String(protocol)} has no ports`);
  if (ports && (direction === 'in' ? own?.port : far.port) === undefined)
    throw wrong('the port that it goes to is missing');
  return {
    direction,
    protocol,
    far: { ...far, address: far.address },
    own: own ?? {},
    ...(icmp ? { icmpType: typeOf(kind, six) } : {}),
  };
}
const isArrow = (word: string): boolean => word === '->' || word === 'to';

/** Where a packet comes from that has no such port told. */
const SOME_PORT = 40_000;

/** The packet with the vserver's own address in it; `whole`: with all that a packet on a wire has. Throws VsError 'usage' when it has none of that kind. */
export function packetOf(
  asked: AskedPacket,
  vserver: { name: string; address?: string | undefined; address6?: string | undefined },
  whole = false,
): FirewallPacket {
  const own = asked.own.address ?? (isIPv6(asked.far.address) ? vserver.address6 : vserver.address);
  if (own === undefined)
    throw new VsError(
      'usage',
      `${vserver.name} has no ${isIPv6(asked.far.address) ? 'IPv6' : 'IPv4'} address, so no such packet can come to it or leave it.`,
    );
  const [from, to] =
    asked.direction === 'in'
      ? [asked.far, { ...asked.own, address: own }]
      : [{ ...asked.own, address: own }, asked.far];
  const ports = asked.protocol === 'tcp' || asked.protocol === 'udp';
  const sourcePort = from.port ?? (whole && ports ? SOME_PORT : undefined);
  return {
    direction: asked.direction,
    protocol: asked.protocol,
    source: from.address,
    destination: to.address,
    ...(sourcePort === undefined ? {} : { sourcePort }),
    ...(to.port === undefined ? {} : { destinationPort: to.port }),
    ...(asked.icmpType === undefined ? {} : { icmpType: asked.icmpType }),
  };
}

const place = (address: string, port: number | undefined) =>
  port === undefined ? address : isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
/** A packet in one line. */
export const packetText = (packet: FirewallPacket): string =>
  [
    packet.direction,
    packet.protocol,
    place(packet.source, packet.sourcePort),
    '->',
    place(packet.destination, packet.destinationPort),
    ...(packet.icmpType === undefined ? [] : [`type ${packet.icmpType}`]),
  ].join(' ');
