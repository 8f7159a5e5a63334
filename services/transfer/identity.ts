import type { TlsOptions } from 'node:tls';
import { constants } from 'node:crypto';
import { VsError } from '../../shared/errors.ts';
import { type Identity, checkIdentity, readIdentity } from '../../shared/identity.ts';

/** What this host shows to others, as it lies in TLS_DIR now: read for each transfer, so that a renewed one is taken. */
export function ownIdentity(directory: string, host: string): Identity {
  const mend = `run "vs join" on ${host} again, or let its copies go in the clear: ${host}:transport=rsyncd in slaves.conf of the master`;
  try {
    const own = readIdentity(directory);
    if (!own) throw new VsError('refused', `${directory}/host.pem is missing`);
    checkIdentity(own, host);
    return own;
  } catch (error) {
    const why = (error as Error).message;
    throw new VsError(
      'refused',
      `${host} has no certificate with which a copy could be private (${why}): ${mend}`,
      { cause: error },
    );
  }
}

/** AES-128-GCM first: it costs least (docs/copying.md); of TLS 1.2 only what has forward secrecy and authenticates what it encrypts. */
const ciphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
].join(':');

/** What both ends say about TLS. No session is resumed: each connection shows its certificates anew. */
export const tlsOptions = ({ authority, certificate, key }: Identity) =>
  ({
    ca: authority,
    cert: certificate,
    key,
    ciphers,
    minVersion: 'TLSv1.2',
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  }) satisfies TlsOptions;

/** What OpenSSL says about a certificate, for people. */
export function wrongWith(code: string): string {
  if (code === 'CERT_HAS_EXPIRED') return 'it has expired';
  if (code === 'CERT_NOT_YET_VALID') return 'it is not valid yet: are the clocks right?';
  if (code === 'INVALID_PURPOSE') return 'it is not made for this side of a connection';
  if (/^(DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|CERT_|INVALID_CA)/.test(code))
    return 'it is of another authority';
  return code;
}

/** The name in a certificate's subject, which must be its whole subject, as text for people. */
export const nameIn = (subject: string | undefined): string =>
  /^CN=([a-z0-9-]{1,64})$/.exec(subject ?? '')?.[1] ??
  `"${(subject ?? '').replaceAll('\n', ', ').slice(0, 80)}"`;
