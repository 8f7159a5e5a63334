import { isIP } from 'node:net';
import { VsError } from '../shared/errors.ts';

export interface Listen {
  host: string;
  port: number;
  /** [::] takes IPv4 as well, unless 0.0.0.0 stands beside it. */
  ipv6Only: boolean;
}

/** The host and port of `ADDRESS:PORT`, one of a list; IPv6 in brackets. */
export function addressOf(text: string, beside: string[] = []): Listen {
  const cut = text.lastIndexOf(':');
  const port = Number(text.slice(cut + 1));
  if (cut < 0 || !/^\d+$/.test(text.slice(cut + 1)) || port > 65_535)
    throw new VsError(
      'usage',
      `it is not possible to listen on ${text}: it must be an address such as 192.0.2.1:8883`,
    );
  const host = text.slice(0, cut).replace(/^\[|\]$/g, '');
  return { host, port, ipv6Only: host === '::' && beside.includes(`0.0.0.0:${port}`) };
}

export function isLoopback(host: string): boolean {
  const plain = host.toLowerCase().replace(/^::ffff:/, '');
  return host === 'localhost' || plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'));
}
