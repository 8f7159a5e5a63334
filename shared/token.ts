import { VsError } from './errors.ts';

/** What a join token carries: the host's name, the SHA-256 of the authority's certificate (64 hex digits), the secret. */
export interface JoinToken {
  name: string;
  fingerprint: string;
  secret: string;
  /** Until when it counts, epoch ms, whole seconds; for the sentence when nobody answers. The master knows it by itself. */
  ends: number;
}

/** `NAME.FINGERPRINT.SECRET.END`, one word without anything that a shell would change. */
export const writeToken = ({ name, fingerprint, secret, ends }: JoinToken): string =>
  [
    name,
    Buffer.from(fingerprint, 'hex').toString('base64url'),
    secret,
    Math.floor(ends / 1000).toString(36),
  ].join('.');

/** Reads a token. Throws VsError 'usage'. */
export function readToken(text: string): JoinToken {
  const match =
    /^([a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{22,64})\.([0-9a-z]{6,8})$/.exec(
      text.trim(),
    );
  if (!match)
    throw new VsError(
      'usage',
      'This is no join token: it is NAME.FINGERPRINT.SECRET.END, as "vs host token NAME" prints it. Was it cut?',
    );
  const [, name = '', fingerprint = '', secret = '', ends = ''] = match;
  return {
    name,
    fingerprint: Buffer.from(fingerprint, 'base64url').toString('hex'),
    secret,
    ends: parseInt(ends, 36) * 1000,
  };
}
