import { X509Certificate, createPrivateKey, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { lstat, mkdir, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { CertificateInfo } from './contract/authority.ts';
import { VsError } from './errors.ts';
import { newKey } from './openssl.ts';
import { syncDirectory, writeFileDurable } from './store.ts';

// TLS_DIR of a machine. host.pem, host.key and ca.pem are links through `current` into one folder, so that a new key, its
// certificate and their authority come into place at once: a crash leaves the old three or the new three.

/** What a machine shows to others, and by what it knows them; PEM. */
export interface Identity {
  /** Of the authority. */
  authority: string;
  certificate: string;
  key: string;
}
const files = { authority: 'ca.pem', certificate: 'host.pem', key: 'host.key' } as const;

/** Throws VsError 'refused' unless key, certificate and authority belong together and the certificate is that of `name`. */
export function checkIdentity({ authority, certificate, key }: Identity, name: string): X509Certificate {
  const refused = (why: string, cause?: unknown) =>
    new VsError('refused', `the certificate for ${name} is not taken: ${why}`, { cause });
  let own: X509Certificate;
  let root: X509Certificate;
  try {
    own = new X509Certificate(certificate);
    root = new X509Certificate(authority);
  } catch (error) {
    throw refused('it, or that of its authority, is no certificate', error);
  }
  if (!root.ca || !own.checkIssued(root) || !own.verify(root.publicKey))
    throw refused('it is of another authority');
  if (own.subject !== `CN=${name}`)
    throw refused(`it belongs to "${own.subject.replaceAll('\n', ', ').slice(0, 80)}"`);
  if (!own.checkPrivateKey(createPrivateKey(key))) throw refused('it belongs to another key');
  if (own.validToDate.getTime() < Date.now()) throw refused(`it ended at ${own.validTo}`);
  return own;
}

/** What lies in TLS_DIR; undefined when this machine has no certificate. Throws VsError when it cannot be used. */
export function readIdentity(directory: string): (Identity & { x509: X509Certificate }) | undefined {
  if (!existsSync(join(directory, files.certificate))) return undefined;
  try {
    const [authority, certificate, key] = [files.authority, files.certificate, files.key].map((file) =>
      readFileSync(join(directory, file), 'utf8'),
    ) as [string, string, string];
    return { authority, certificate, key, x509: new X509Certificate(certificate) };
  } catch (error) {
    throw new VsError(
      'failed',
      `the certificate in ${directory} cannot be used: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

async function link(target: string, path: string): Promise<void> {
  const there = await readlink(path).catch(() => undefined);
  if (there === target) return;
  const fresh = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  await symlink(target, fresh);
  await rename(fresh, path);
}

/** Puts a new identity in the place of the old one, all of it or nothing, durably; then the old one goes. */
export async function installIdentity(directory: string, identity: Identity): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const fresh = `pair-${Date.now().toString(36)}-${randomBytes(4).toString('hex')}`;
  for (const [part, file] of Object.entries(files))
    await writeFileDurable(
      join(directory, fresh, file),
      identity[part as keyof Identity],
      part === 'key' ? 0o600 : 0o644,
    );
  await syncDirectory(directory);
  await link(fresh, join(directory, 'current'));
  for (const file of Object.values(files)) await link(`current/${file}`, join(directory, file));
  await syncDirectory(directory);
  for (const entry of await readdir(directory))
    if (/^(current|ca\.pem|host\.(pem|key))\.[0-9a-f]{8}\.tmp$/.test(entry))
      await rm(join(directory, entry), { force: true });
    else if (
      entry.startsWith('pair-') &&
      entry !== fresh &&
      (await lstat(join(directory, entry))).isDirectory()
    )
      await rm(join(directory, entry), { recursive: true, force: true });
}

/** The key that this machine will have next, in a file that only it can read: made once, until it is used or forgotten. */
export async function nextKey(
  directory: string,
  purpose: 'joining' | 'renewing',
): Promise<{ file: string; key: string }> {
  const file = join(directory, purpose, files.key);
  if (!existsSync(file)) await writeFileDurable(file, newKey());
  return { file, key: readFileSync(file, 'utf8') };
}
/** Removes that key, once it is in place. */
export const forgetKey = (directory: string, purpose: 'joining' | 'renewing'): Promise<void> =>
  rm(join(directory, purpose), { recursive: true, force: true });

/** A certificate as others are told of it. */
export const infoOf = (certificate: X509Certificate): CertificateInfo => ({
  serial: certificate.serialNumber,
  from: certificate.validFromDate.getTime(),
  ends: certificate.validToDate.getTime(),
});
