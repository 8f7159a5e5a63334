import { X509Certificate, createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { VsError } from '../../shared/errors.ts';
import { type AltName, makeAuthority, newKey, sign } from '../../shared/openssl.ts';
import { revokeIn } from '../../shared/revoked.ts';
import { removeFileDurable, syncDirectory, writeFileDurable } from '../../shared/store.ts';

const DAY = 86_400_000;
const AUTHORITY_DAYS = 20 * 365;
/** Clocks of hosts may be behind the master's. */
const EARLIER_MS = 3_600_000;

/** A certificate that this authority gave out. */
export interface Issued {
  name: string;
  serial: string;
  certificate: X509Certificate;
}

/** The folder of the authority below STATE_DIR: ca.key, ca.pem, issued/SERIAL.pem, tokens.json, revoked.json. */
export const authorityIn = (stateDir: string): string => join(stateDir, 'ca');

/**
 * Makes the authority of a pool, unless there is one: key and certificate come into place by one rename of their folder,
 * which fails when there is a folder already. So there is never a second one over a first. True: it was made now.
 */
export async function createAuthority(stateDir: string): Promise<boolean> {
  const directory = authorityIn(stateDir);
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  for (const entry of await readdir(stateDir)) {
    if (!/^ca\.[0-9a-f]{12}\.new$/.test(entry)) continue; // of one that was killed
    const age = Date.now() - (await stat(join(stateDir, entry))).mtimeMs;
    if (age > 60_000) await rm(join(stateDir, entry), { recursive: true, force: true });
  }
  if (existsSync(join(directory, 'ca.pem'))) return false;
  const fresh = `${directory}.${randomBytes(6).toString('hex')}.new`;
  try {
    await writeFileDurable(join(fresh, 'ca.key'), newKey());
    const name = `vs-tools CA ${randomBytes(4).toString('hex')}`;
    const certificate = await makeAuthority(join(fresh, 'ca.key'), name, AUTHORITY_DAYS);
    await writeFileDurable(join(fresh, 'ca.pem'), certificate, 0o644);
    await rename(fresh, directory);
    await syncDirectory(stateDir);
    return true;
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    if (existsSync(join(directory, 'ca.pem'))) return false; // another was first
    throw error;
  }
}

/** SHA-256 of a certificate (DER), 64 hexadecimal digits. */
export const fingerprintOf = (certificate: X509Certificate): string =>
  createHash('sha256').update(certificate.raw).digest('hex');

/** The authority of this pool. Throws VsError 'failed' when there is none. */
export async function openAuthority(stateDir: string) {
  const directory = authorityIn(stateDir);
  const file = join(directory, 'ca.pem');
  const keyFile = join(directory, 'ca.key');
  let pem: string;
  try {
    pem = await readFile(file, 'utf8');
    if (!new X509Certificate(pem).ca) throw new Error('it is no authority');
  } catch (error) {
    const why =
      (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is none' : (error as Error).message;
    throw new VsError(
      'failed',
      `the authority of this pool (${file}) cannot be used: ${why}. "vs master init" makes it, a backup of the master has it`,
      { cause: error },
    );
  }
  const issuedIn = join(directory, 'issued');

  async function issued(): Promise<Issued[]> {
    const found: Issued[] = [];
    for (const entry of await readdir(issuedIn).catch(() => [] as string[])) {
      if (!/^[0-9A-F]{32}\.pem$/.test(entry)) continue;
      const certificate = new X509Certificate(await readFile(join(issuedIn, entry)));
      const name = certificate.subject.replace(/^CN=/, '');
      found.push({ name, serial: entry.slice(0, 32), certificate });
    }
    return found.sort(
      (a, b) => a.certificate.validFromDate.getTime() - b.certificate.validFromDate.getTime(),
    );
  }

  return {
    directory,
    /** PEM of the authority's own certificate. */
    pem,
    fingerprint: fingerprintOf(new X509Certificate(pem)),
    issued,
    /** Signs the key of a request for this name, and keeps the certificate before it is given out. */
    async issue(wanted: {
      request: string;
      name: string;
      names: AltName[];
      clientOnly?: boolean;
      days: number;
    }): Promise<string> {
      const serial = `7${randomBytes(16).toString('hex').slice(1)}`.toUpperCase(); // positive, of 16 bytes
      const now = Date.now();
      const from = new Date(now - Math.min(EARLIER_MS, (wanted.days * DAY) / 10));
      const to = new Date(now + wanted.days * DAY);
      const authority = { keyFile, file };
      const certificate = await sign({ ...wanted, authority, serial, from, to });
      await writeFileDurable(join(issuedIn, `${serial}.pem`), certificate, 0o644);
      return certificate;
    },
    /** From now on the certificates of this name do not count, but for those of `except`; how many that are. */
    async revoke(
      name: string,
      reason: string,
      except: (one: Issued) => boolean = () => false,
    ): Promise<number> {
      const all = (await issued()).filter((one) => one.name === name && !except(one));
      await revokeIn(
        join(directory, 'revoked.json'),
        all.map(({ serial, certificate }) => ({
          serial,
          name,
          reason,
          at: Date.now(),
          ends: certificate.validToDate.getTime(),
        })),
      );
      return all.length;
    },
    /** Removes the copies of certificates that ended long ago. */
    async prune(): Promise<void> {
      for (const { serial, certificate } of await issued())
        if (certificate.validToDate.getTime() < Date.now() - 30 * DAY)
          await removeFileDurable(join(issuedIn, `${serial}.pem`));
    },
  };
}
export type Authority = Awaited<ReturnType<typeof openAuthority>>;

/** The names of a certificate as openssl takes them: addresses of `names` are IP, all else DNS. */
export const altNamesOf = (names: string[]): AltName[] =>
  [...new Set(names)].map((value) => ({ kind: isIP(value) ? 'IP' : 'DNS', value }));
