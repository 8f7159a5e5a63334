import { VsError } from '../shared/errors.ts';
import { withoutComment } from './lines.ts';
import { parseNetwork } from './network-parse.ts';

/** What a line of networks.conf says. */
export interface NetworkWish {
  vlan: number;
  subnet: string;
  gateway?: string | undefined;
  name?: string | undefined;
  subnet6?: string | undefined;
  gateway6?: string | undefined;
  uplink?: string | undefined;
  untagged?: boolean | undefined;
  mtu?: number | undefined;
  nameserver?: string | undefined;
  domain?: string | undefined;
}

/** The line of a network. Throws VsError 'usage' when it would not be read as what was meant. */
export function networkLine(wish: NetworkWish): string {
  const { vlan, subnet, gateway = '', nameserver = '', domain = '' } = wish;
  const bare = (text: string) => text.replace(/^\[|\]$/g, '');
  const bracketed = (text: string) => (text.includes(':') ? `[${bare(text)}]` : text);
  for (const [key, value] of Object.entries({ domain, uplink: wish.uplink ?? '', nameserver }))
    if (/[^\x21-\x7e ]|[#,"']/.test(value) || (key !== 'nameserver' && /[:\s=]/.test(value)))
      throw new VsError('usage', `${key} has a character that networks.conf cannot hold`);
  const options = [
    ['name', wish.name],
    ['net6', wish.subnet6 && bracketed(wish.subnet6)],
    ['gw6', wish.gateway6 && bracketed(wish.gateway6)],
    ['uplink', wish.uplink],
    ['mtu', wish.mtu],
  ].flatMap(([key, value]) => (value === undefined || value === '' ? [] : [`${key}=${value}`]));
  if (wish.untagged) options.push('untagged');
  const servers = nameserver.split(/\s+/).filter(Boolean).map(bracketed);
  const fields = [String(vlan), bracketed(subnet), bracketed(gateway), servers.join(' '), domain];
  while (fields.at(-1) === '' && fields.length > 3) fields.pop();
  const line = [...fields, ...(options.length > 0 ? [options.join(',')] : [])].join(':');
  try {
    parseNetwork(line);
  } catch (error) {
    throw new VsError('usage', `the network cannot be: ${(error as Error).message}`);
  }
  return line;
}

/** The text of networks.conf with one more line. */
export const withLine = (text: string, line: string): string =>
  `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`;

/** The text of networks.conf without the line of a network; all others stay as they are. */
export function withoutNetwork(text: string, name: string): string {
  const isIt = (raw: string): boolean => {
    const line = withoutComment(raw).trim();
    if (!line) return false;
    try {
      return parseNetwork(line).network.name === name;
    } catch {
      return false;
    }
  };
  return text
    .split('\n')
    .filter((line) => !isIt(line))
    .join('\n');
}
