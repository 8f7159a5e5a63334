import { readFileSync, statSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import type { Settings } from '../../config/settings.ts';
import { VsError } from '../../shared/errors.ts';

type Wanted = Pick<
  Settings,
  'METRICS_LISTEN' | 'METRICS_TOKEN_FILE' | 'METRICS_TLS_CERT' | 'METRICS_TLS_KEY' | 'METRICS_OPEN_OUTSIDE'
>;

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');
const isLoopback = (host: string) =>
  host === 'localhost' || (isIP(host) !== 0 && loopback.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4'));

function read(file: string, key: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new VsError('usage', `the file ${file} (${key}) cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** The token of METRICS_TOKEN_FILE. Throws 'usage' for a file that others may read, or with less than 16 characters. */
export function tokenOf(file: string): string {
  const token = read(file, 'METRICS_TOKEN_FILE').toString('utf8').trim();
  if (statSync(file).mode & 0o007)
    throw new VsError('usage', `every user may read ${file} (METRICS_TOKEN_FILE): chmod 600 ${file}`);
  if (token.length < 16 || /[^\x21-\x7e]/.test(token))
    throw new VsError(
      'usage',
      `${file} (METRICS_TOKEN_FILE) must hold one word of at least 16 letters: openssl rand -hex 24 > ${file}`,
    );
  return token;
}

/** Certificate and key for the page, as they stand on the disk; undefined: plain HTTP. */
export function certificateOf(settings: Wanted): { cert: Buffer; key: Buffer } | undefined {
  const { METRICS_TLS_CERT: cert, METRICS_TLS_KEY: key } = settings;
  if (!cert && !key) return undefined;
  if (!cert || !key) throw new VsError('usage', 'METRICS_TLS_CERT and METRICS_TLS_KEY go together');
  return { cert: read(cert, 'METRICS_TLS_CERT'), key: read(key, 'METRICS_TLS_KEY') };
}

/** Host and port of METRICS_LISTEN. Outside of loopback a token and TLS are needed, unless the settings say otherwise. */
export function addressOf(settings: Wanted): { host: string; port: number } {
  const { METRICS_LISTEN: text, METRICS_TOKEN_FILE, METRICS_TLS_CERT, METRICS_OPEN_OUTSIDE } = settings;
  const { hostname, port } = new URL(`http://${text}`);
  const host = hostname.replace(/^\[|\]$/g, '');
  if (isLoopback(host) || METRICS_OPEN_OUTSIDE === 'yes' || (METRICS_TOKEN_FILE && METRICS_TLS_CERT))
    return { host, port: Number(port || 80) };
  throw new VsError(
    'usage',
    `the metrics would be open to everybody who reaches ${text} (METRICS_LISTEN): give METRICS_TOKEN_FILE, METRICS_TLS_CERT ` +
      'and METRICS_TLS_KEY, listen on 127.0.0.1, or say METRICS_OPEN_OUTSIDE=yes',
  );
}
