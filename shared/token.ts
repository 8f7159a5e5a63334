import { VsError } from './errors.ts';

/** What a join token carries: the host's name, the SHA-256 of the authority's certificate (64 hex digits), the secret. */
export interface JoinToken {
  name: string;
  fingerprint: string;
  secret: string;
}

/** `NAME.FINGERPRINT.SECRET`, one word without anything that a shell would change. */
export const writeToken = ({ name, fingerprint, secret }: JoinToken): string =>
  `${name}.${Buffer.from(fingerprint, 'hex').toString('base64url')}.${secret}`;

/** Reads a token. Throws VsError 'usage'. */
export function readToken(text: string): JoinToken {
  const match = /^([a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{22,64})$/.exec(
    text.trim(),
  );
  if (!match)
    throw new VsError(
      'usage',
      'This is no join token: it is NAME.FINGERPRINT.SECRET, as "vs host token NAME" prints it. Was it cut?',
    );
  const [, name = '', fingerprint = '', secret = ''] = match;
  return { name, fingerprint: Buffer.from(fingerprint, 'base64url').toString('hex'), secret };
}
