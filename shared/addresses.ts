import { isIPv6 } from 'node:net';

/** An IPv6 address in its one form (RFC 5952), so that two texts of the same address are equal; any other text as it is. */
export const canonical6 = (text: string): string =>
  isIPv6(text) && !text.includes('%') ? new URL(`http://[${text}]/`).hostname.slice(1, -1) : text;

/** The same of `address/prefix`. */
export const canonicalSubnet6 = (text: string): string => {
  const [net = '', ...prefix] = text.split('/');
  return [canonical6(net), ...prefix].join('/');
};

/** The address by which a vserver is called: its IPv4 one; of one that has none its IPv6 one. */
export const firstOf = (of: { address?: string | undefined; address6?: string | undefined }): string =>
  of.address ?? of.address6 ?? '';
