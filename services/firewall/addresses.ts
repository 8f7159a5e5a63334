import { isIPv4, isIPv6 } from 'node:net';
import type { Address } from './rule.ts';

/** Lowest and highest, both included. */
export type Interval = [low: bigint, high: bigint];
const bits = { 4: 32, 6: 128 } as const;

/** The family of a plain address; undefined when it is none (also with a zone: fe80::1%eth0). */
export function familyOf(text: string): 4 | 6 | undefined {
  if (isIPv4(text)) return 4;
  return isIPv6(text) && !text.includes('%') ? 6 : undefined;
}

/** An address as a number. It must be one of `familyOf`. */
export function numberOf(address: string): bigint {
  if (isIPv4(address)) {
    const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
    return BigInt(a * 0x1_00_00_00 + b * 0x1_00_00 + c * 0x1_00 + d);
  }
  const last = /[^:]*$/.exec(address)?.[0] ?? '';
  const four = isIPv4(last) ? numberOf(last) : undefined;
  const plain =
    four === undefined
      ? address
      : `${address.slice(0, -last.length)}${(four >> 16n).toString(16)}:${(four & 0xffffn).toString(16)}`;
  const [head = '', tail] = plain.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const before = groups(head);
  const after = groups(tail ?? '');
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after].reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

function textOf(family: 4 | 6, value: bigint): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.');
  const groups = Array.from({ length: 8 }, (_, index) =>
    ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16),
  ).join(':');
  const longest = [...groups.matchAll(/(?:^|(?<=:))0(?::0)+(?=:|$)/g)]
    .map((match) => match[0])
    .sort((one, other) => other.length - one.length)[0];
  if (longest === undefined) return groups;
  const at = groups.search(new RegExp(`(?:^|(?<=:))${longest}(?=:|$)`));
  const [head, tail] = [groups.slice(0, at), groups.slice(at + longest.length)];
  return `${head.replace(/:$/, '')}::${tail.replace(/^:/, '')}`;
}

/** The interval of a range that `parseAddress` made, or of a plain address. */
export function intervalOf(family: 4 | 6, range: string): Interval {
  const [low = '', high] = range.split('-');
  if (high !== undefined) return [numberOf(low), numberOf(high)];
  const [host = '', prefix] = range.split('/');
  const size = BigInt(bits[family] - Number(prefix ?? bits[family]));
  const first = (numberOf(host) >> size) << size;
  return [first, first + (1n << size) - 1n];
}

/** Sorted, with what overlaps or touches made one: nft refuses sets with overlaps. */
export function mergeIntervals(intervals: Interval[]): Interval[] {
  const merged: Interval[] = [];
  for (const [low, high] of intervals.sort((one, other) =>
    one[0] < other[0] ? -1 : one[0] > other[0] ? 1 : 0,
  )) {
    const last = merged.at(-1);
    if (last && low <= last[1] + 1n) {
      if (high > last[1]) last[1] = high;
    } else merged.push([low, high]);
  }
  return merged;
}

/** An interval in the words of nft: an address, a prefix or a range. */
export function intervalText(family: 4 | 6, [low, high]: Interval): string {
  if (low === high) return textOf(family, low);
  const size = high - low + 1n;
  const width = size.toString(2).length - 1;
  if (size === 1n << BigInt(width) && low % size === 0n)
    return `${textOf(family, low)}/${bits[family] - width}`;
  return `${textOf(family, low)}-${textOf(family, high)}`;
}
/** Is it every address of the family? */
export const isEverything = (family: 4 | 6, [low, high]: Interval): boolean =>
  low === 0n && high === (1n << BigInt(bits[family])) - 1n;

const words = new Set(
  'any allow deny from to tcp udp icmp icmpv6 limit log comment include enable helper prefix burst'.split(
    ' ',
  ),
);
const isName = (text: string) =>
  text.length <= 253 &&
  /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.?$/i.test(text) &&
  !/(?:^|\.)\d+\.?$/.test(text) &&
  !words.has(text);
export const addressExpected =
  'an address: 192.0.2.1, 192.0.2.0/24, 192.0.2.1-192.0.2.9, 2001:db8::/32, 0/0, ::/0, any, a host name or @set';

/** The prefix of a netmask as 255.255.255.0; undefined when it is none. */
function prefixOfMask(text: string): number | undefined {
  if (!isIPv4(text)) return undefined;
  return /^(1*)0*$/.exec(numberOf(text).toString(2).padStart(32, '0'))?.[1]?.length;
}

/** `::ffff:192.0.2.1` is how programs write an address of IPv4; no packet has it. */
function mapped(host: string, family: 4 | 6 | undefined): string | undefined {
  if (family !== 6) return undefined;
  const number = numberOf(host);
  if (number >> 32n !== 0xffffn) return undefined;
  return `${textOf(4, number & 0xffff_ffffn)}, or a network of it: packets of IPv4 have IPv4 addresses`;
}

/** An address of a rule or a set (`any` is two); a string says what was expected instead. */
export function parseAddress(text: string): Address[] | string {
  if (text === 'any')
    return [
      { family: 4, range: '0.0.0.0/0' },
      { family: 6, range: '::/0' },
    ];
  if (text === '0/0') return [{ family: 4, range: '0.0.0.0/0' }];
  const [host = '', prefix] = text.split('/');
  const family = familyOf(host);
  const plain = mapped(host, family);
  if (plain) return plain;
  if (family && prefix !== undefined) {
    const mask = family === 4 ? prefixOfMask(prefix) : undefined;
    if (mask !== undefined) return [{ family, range: `${host}/${mask}` }];
    const fits = /^\d{1,3}$/.test(prefix) && Number(prefix) <= bits[family];
    return fits
      ? [{ family, range: `${host}/${Number(prefix)}` }]
      : `a prefix of /0 to /${bits[family]}${family === 4 ? ' or a netmask' : ''}`;
  }
  if (family) return [{ family, range: host }];
  const [low = '', high] = text.split('-');
  const lowest = familyOf(low);
  if (lowest && high !== undefined) {
    const ends = text.split('-');
    if (ends.length !== 2 || familyOf(high) !== lowest)
      return `a range of two IPv${lowest} addresses, as ${low}-${low}`;
    if (numberOf(low) > numberOf(high)) return 'a range whose first address is not above its last';
    return [{ family: lowest, range: `${low}-${high}` }];
  }
  return isName(text) ? [{ name: text.toLowerCase().replace(/\.$/, '') }] : addressExpected;
}
