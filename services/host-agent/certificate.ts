import type { Settings } from '../../config/settings.ts';
import type { CertificateInfo } from '../../shared/contract/authority.ts';
import type { Data } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import {
  checkIdentity,
  forgetKey,
  infoOf,
  installIdentity,
  nextKey,
  readIdentity,
} from '../../shared/identity.ts';
import { makeRequest } from '../../shared/openssl.ts';
import type { Context } from '../../shared/service.ts';

/** How long the answer may take to leave before the connection is made anew, ms. */
const ANSWERED_MS = 300;

/** The certificate of this host, for others; undefined without one, or with one that cannot be read. */
export function shownCertificate({ TLS_DIR }: Pick<Settings, 'TLS_DIR'>): CertificateInfo | undefined {
  try {
    const own = readIdentity(TLS_DIR);
    return own && infoOf(own.x509);
  } catch {
    return undefined;
  }
}

/** Renews key and certificate of this host when the master asks for it; the key never leaves it. */
export function ownCertificate({ host, settings, bus }: Context, changed: () => void) {
  const directory = settings.TLS_DIR;
  function current() {
    const own = readIdentity(directory);
    if (!own)
      throw new VsError(
        'refused',
        `${host} has no certificate in ${directory}: it did not join by "vs join"`,
      );
    return own;
  }
  return {
    /** The next key is the same until its certificate came: an answer that was lost can be asked for again. */
    async request(): Promise<Data<'host-agent.renew'>> {
      const { key: inUse } = current();
      let next = await nextKey(directory, 'renewing');
      if (next.key === inUse) {
        await forgetKey(directory, 'renewing'); // it came into place, and a crash kept the copy
        next = await nextKey(directory, 'renewing');
      }
      return { request: await makeRequest(next.file, host), address: settings.MANAGEMENT_ADDRESS };
    },
    async install(certificate: string): Promise<Data<'host-agent.certificate'>> {
      const { authority } = current();
      const { key } = await nextKey(directory, 'renewing');
      const fresh = { authority, certificate, key };
      const x509 = checkIdentity(fresh, host);
      await installIdentity(directory, fresh);
      for (const purpose of ['renewing', 'joining'] as const) await forgetKey(directory, purpose);
      changed();
      setTimeout(() => bus.reconnect(), ANSWERED_MS).unref();
      return { certificate: infoOf(x509) };
    },
  };
}
