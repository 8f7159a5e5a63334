import { isIP } from 'node:net';
import { VsError } from '../shared/errors.ts';

/** The host and port of `ADDRESS:PORT`; IPv6 in brackets. */
export function addressOf(text: string): { host: string; port: number } {
  const cut = text.lastIndexOf(':');
  const port = Number(text.slice(cut + 1));
  if (cut < 0 || !/^\d+$/.test(text.slice(cut + 1)) || port > 65_535)
    throw new VsError(
      'usage',
      `the broker cannot listen on ${text}: it must be an address such as 192.0.2.1:8883`,
    );
  return { host: text.slice(0, cut).replace(/^\[|\]$/g, ''), port };
}

export function isLoopback(host: string): boolean {
  const plain = host.toLowerCase().replace(/^::ffff:/, '');
  return host === 'localhost' || plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'));
}
