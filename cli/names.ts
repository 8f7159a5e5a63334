import { isIPv4, isIPv6 } from 'node:net';
import { VsError } from '../shared/errors.ts';

/** What a person typed, in quotes on one line, and not without end. */
export const quoted = (text: string): string =>
  JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);

/** Checks a vserver's name before anything is sent; the form is that of shared/contract/names.ts. */
export function checkName(text: string, what = 'vserver'): string {
  if (text.length <= 32 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(text)) return text;
  throw new VsError(
    'usage',
    `${quoted(text)} is no ${what} name: it is lower-case letters, digits and inner dashes, at most 32 characters, such as ${what === 'host' ? 'host1' : 'web1'}.`,
  );
}

/** Checks a host's name. */
export function checkHost(text: string): string {
  if (text === 'master') throw new VsError('usage', 'A host cannot be called master.');
  return checkName(text, 'host');
}

/** Checks the id of a saga. */
export function checkId(text: string): string {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(text)) return text;
  throw new VsError('usage', `${quoted(text)} is no saga id; "vs saga list" shows them.`);
}

/** `ip[/prefix][,ipv6]` of create and of further addresses, or an IPv6 one alone. */
export function parseAddress(text: string): { address?: string; prefix?: number; address6?: string } {
  if (isIPv6(text) && !text.includes('%')) return { address6: text };
  const [first = '', second, ...rest] = text.split(',');
  const [address = '', prefix, ...more] = first.split('/');
  const wrong = () =>
    new VsError(
      'usage',
      `${quoted(text)} is no address: it is IPV4[/PREFIX][,IPV6] or IPV6, such as 10.60.10.5, 10.60.10.5/24, 10.60.10.5,fd60:10::5 or fd60:10::5.`,
    );
  if (!isIPv4(address) || rest.length > 0 || more.length > 0) throw wrong();
  if (second !== undefined && !isIPv6(second)) throw wrong();
  if (prefix !== undefined && !(/^\d{1,2}$/.test(prefix) && Number(prefix) >= 1 && Number(prefix) <= 32))
    throw wrong();
  return {
    address,
    ...(prefix === undefined ? {} : { prefix: Number(prefix) }),
    ...(second === undefined ? {} : { address6: second }),
  };
}

/** Whole seconds of an option. */
export function secondsOf(text: string, option: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new VsError('usage', `${option} is a whole number from ${least} to ${most}, not ${quoted(text)}.`);
}
