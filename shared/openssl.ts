import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VsError } from './errors.ts';
import { run } from './run.ts';

// The driver of openssl, which reads and makes requests and certificates (X.509, RFC 5280, RFC 2986). Keys are EC P-256.

/** A request is some 400 bytes; this is enough for any that we take. */
export const MAX_REQUEST = 4096;

/** A name in a subjectAltName as openssl writes it. */
export interface AltName {
  kind: 'DNS' | 'IP';
  value: string;
}
const altName = /^[A-Za-z0-9.:_*-]{1,253}$/;

/** A new private key, PEM (PKCS 8). */
export const newKey = (): string =>
  generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey.export({
    format: 'pem',
    type: 'pkcs8',
  }) as string;

async function inTemporary<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'vs-openssl-'));
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const requestSection =
  '[req]\ndistinguished_name=subject\nprompt=no\nstring_mask=utf8only\n[subject]\nCN=vs-tools\n';

/** A certificate request for the key in a file, PEM. */
export function makeRequest(keyFile: string, name: string): Promise<string> {
  return inTemporary(async (directory) => {
    const config = join(directory, 'req.cnf');
    await writeFile(config, requestSection);
    const { stdout } = await run(
      ['openssl', 'req', '-new', '-config', config, '-key', keyFile, '-subj', `/CN=${name}`],
      { timeoutMs: 20_000 },
    );
    return stdout;
  });
}

/** A certificate of the key in a file for itself: that of an authority, valid for so many days, PEM. */
export function makeAuthority(keyFile: string, name: string, days: number): Promise<string> {
  return inTemporary(async (directory) => {
    const config = join(directory, 'ca.cnf');
    const extensions =
      '[root]\nbasicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n';
    await writeFile(config, requestSection + extensions);
    const words = ['-new', '-x509', '-sha256', '-extensions', 'root', '-days', String(days)];
    const { stdout } = await run(
      ['openssl', 'req', ...words, '-config', config, '-key', keyFile, '-subj', `/CN=${name}`],
      { timeoutMs: 20_000 },
    );
    return stdout;
  });
}

/** Is this a request that its own key signed, of a kind of key that we take? Throws VsError 'refused'. The key, PEM. */
export async function publicKeyOf(request: string): Promise<string> {
  if (
    request.length > MAX_REQUEST ||
    !/^-----BEGIN CERTIFICATE REQUEST-----\n[A-Za-z0-9+/=\n]+\n-----END CERTIFICATE REQUEST-----\n?$/.test(
      request,
    )
  )
    throw new VsError('refused', `this is no certificate request in PEM of at most ${MAX_REQUEST} bytes`);
  const argv = ['openssl', 'req', '-verify', '-noout', '-pubkey'];
  const { code, stdout, stderr } = await run(argv, { input: request, timeoutMs: 20_000, okCodes: [0, 1] });
  // Its exit code is 0 also for a wrong signature. That it is right stands in stderr, with OpenSSL of Debian 13 in stdout.
  const [pem] = /-----BEGIN PUBLIC KEY-----\n[^-]+-----END PUBLIC KEY-----\n/.exec(stdout) ?? [];
  if (code !== 0 || !/\bverify OK\b/.test(stderr + stdout) || !pem)
    throw new VsError('refused', 'the signature of the certificate request is wrong, or it is no request');
  const key = createPublicKey(pem);
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new VsError('refused', 'the key of the certificate request must be one of EC P-256');
  return pem;
}

/** YYYYMMDDHHMMSSZ (UTC), as openssl takes a time. */
const timeOf = (at: Date): string => `${at.toISOString().replace(/\D/g, '').slice(0, 14)}Z`;

export interface Signing {
  request: string;
  authority: { keyFile: string; file: string };
  /** Of the new certificate, 32 hexadecimal digits. */
  serial: string;
  /** The common name; what the request says of its own is not taken over. */
  name: string;
  names: AltName[];
  /** A person or program is no server. */
  clientOnly?: boolean;
  from: Date;
  to: Date;
}

/** Signs the public key of a request, for a server and client unless told; nothing else of the request is taken. The certificate, PEM. */
export async function sign(wanted: Signing): Promise<string> {
  const { request, authority, serial, name, names, from, to } = wanted;
  await publicKeyOf(request);
  for (const { value } of names)
    if (!altName.test(value)) throw new VsError('usage', `"${value}" is no name or address of a machine`);
  return inTemporary(async (directory) => {
    const at = (file: string) => join(directory, file);
    await writeFile(at('request.pem'), request);
    await writeFile(at('serial'), `${serial}\n`);
    await writeFile(at('index.txt'), '');
    const config = `[ca]
default_ca=own
[own]
database=${at('index.txt')}
serial=${at('serial')}
new_certs_dir=${directory}
default_md=sha256
policy=policy
email_in_dn=no
copy_extensions=none
x509_extensions=extensions
[policy]
commonName=supplied
[extensions]
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=${wanted.clientOnly ? '' : 'serverAuth,'}clientAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
${names.length > 0 ? `subjectAltName=${names.map(({ kind, value }) => `${kind}:${value}`).join(',')}` : ''}
`;
    await writeFile(at('ca.cnf'), config);
    // prettier-ignore
    const argv = ['openssl', 'ca', '-config', at('ca.cnf'), '-batch', '-notext', '-in', at('request.pem'), '-subj', `/CN=${name}`,
      '-cert', authority.file, '-keyfile', authority.keyFile, '-startdate', timeOf(from), '-enddate', timeOf(to), '-out', at('certificate.pem')];
    const { stderr } = await run(argv, { timeoutMs: 20_000 });
    try {
      return await readFile(at('certificate.pem'), 'utf8');
    } catch (error) {
      // Its exit code is 0 also when it signs nothing.
      const why = stderr.trim().split('\n').slice(-2).join('; ').slice(0, 300);
      throw new VsError('failed', `openssl signed nothing: ${why}`, { cause: error });
    }
  });
}
