import type { CertificateInfo } from '../../shared/contract/authority.ts';
import { hostInfo, status } from '../../shared/contract/host.ts';
import { VsError } from '../../shared/errors.ts';
import { infoOf, installIdentity, forgetKey, nextKey, readIdentity } from '../../shared/identity.ts';
import { makeRequest } from '../../shared/openssl.ts';
import { X509Certificate } from 'node:crypto';
import { openRevoked } from '../../shared/revoked.ts';
import type { Context } from '../../shared/service.ts';
import { createTurns } from '../../shared/turns.ts';
import { type Authority, altNamesOf, openAuthority } from './ca.ts';
import { hostNames, namesOf, valid } from './names.ts';

/** Is less than this part of its life left? */
const left = ({ from, ends }: CertificateInfo, part: number): boolean =>
  ends - Date.now() < (ends - from) * part;

/** Renews certificates before their end: those of hosts over the bus, that of the master here. */
export function createRenewals(
  context: Context,
  exclusively: <T>(work: () => Promise<T>) => Promise<T>,
  onMaster: () => void,
) {
  const { settings, bus, log } = context;
  const inTurn = createTurns();
  const online = new Set<string>();
  const shown = new Map<string, CertificateInfo>();
  let timer: NodeJS.Timeout | undefined;

  /** Those that may be renewed: hosts that joined and were not removed since. */
  async function members(authority: Authority) {
    const revoked = openRevoked(`${authority.directory}/revoked.json`);
    const issued = (await authority.issued()).filter((one) => revoked.why(one.serial) === undefined);
    return { issued: valid(issued, revoked), has: (host: string) => issued.some((one) => one.name === host) };
  }
  async function renewHost(host: string): Promise<CertificateInfo> {
    const authority = await openAuthority(settings.STATE_DIR);
    if (!(await members(authority)).has(host))
      throw new VsError('not-found', `${host} never joined this pool, or was removed: vs host token ${host}`);
    const { request, address } = await bus.request(host, 'host-agent.renew', {}, { timeoutMs: 30_000 });
    // No removal comes between: what it does not know of it does not revoke.
    const certificate = await exclusively(async () => {
      const { issued, has } = await members(authority);
      if (!has(host)) throw new VsError('refused', `${host} was removed meanwhile`);
      const names = hostNames(host, address, issued);
      return authority.issue({ request, name: host, names, days: settings.CERTIFICATE_DAYS });
    });
    const answer = await bus.request(host, 'host-agent.certificate', { certificate }, { timeoutMs: 30_000 });
    shown.set(host, answer.certificate);
    bus.alert(host, 'certificate', null);
    const until = new Date(answer.certificate.ends).toISOString();
    bus.event('authority', 'renewed', `${host} has a new certificate, good until ${until}`, { host });
    return answer.certificate;
  }
  const host = (name: string) => inTurn(name, () => renewHost(name));

  /** The master's own, with the names that it had; broker and clients take it from TLS_DIR by themselves. */
  async function renewMaster(authority: Authority): Promise<void> {
    const own = readIdentity(settings.TLS_DIR);
    if (own?.authority !== authority.pem || !left(infoOf(own.x509), 1 / 3)) return;
    const { file, key } = await nextKey(settings.TLS_DIR, 'renewing');
    const certificate = await authority.issue({
      request: await makeRequest(file, 'master'),
      name: 'master',
      names: altNamesOf(namesOf(own.x509)),
      days: settings.CERTIFICATE_DAYS,
    });
    await installIdentity(settings.TLS_DIR, { authority: authority.pem, certificate, key });
    await forgetKey(settings.TLS_DIR, 'renewing');
    const ends = new X509Certificate(certificate).validToDate.toISOString();
    bus.event('authority', 'renewed', `the master has a new certificate, good until ${ends}`);
    bus.reconnect();
    onMaster();
  }

  async function checkHost(name: string): Promise<void> {
    const now = shown.get(name);
    if (!now || !left(now, 1 / 3) || !online.has(name)) return;
    await host(name).catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      log.warn({ host: name, error: why }, 'a certificate was not renewed');
      if (left(now, 1 / 6))
        bus.alert(name, 'certificate', {
          ts: Date.now(),
          severity: 'warning',
          message: `the certificate of ${name} ends at ${new Date(now.ends).toISOString()} and could not be renewed: ${why}`,
        });
    });
  }
  async function checkAll(): Promise<void> {
    const authority = await openAuthority(settings.STATE_DIR).catch(() => undefined);
    if (!authority) return; // certificates come from elsewhere
    await inTurn('master', () => renewMaster(authority));
    for (const name of shown.keys()) await checkHost(name);
    await authority.prune();
  }
  const quietly = (work: Promise<unknown>) =>
    void work.catch((error: unknown) => log.error({ err: error }, 'renewal of certificates'));
  const nameIn = (topic: string) => topic.split('/').at(-2) ?? '';

  return {
    /** A new key and certificate for a host, now. */
    host,
    async start(): Promise<void> {
      await bus.subscribe(bus.topics.all.hostInfo, (topic, payload) => {
        const name = nameIn(topic);
        const known = shown.has(name);
        const { certificate } = hostInfo.safeParse(payload).data ?? {};
        if (certificate) shown.set(name, certificate);
        else shown.delete(name);
        if (!known) quietly(checkHost(name));
      });
      await bus.subscribe(bus.topics.all.hostStatus, (topic, payload) => {
        const name = nameIn(topic);
        const was = online.has(name);
        if (status.safeParse(payload).data?.state === 'online') online.add(name);
        else online.delete(name);
        if (!was) quietly(checkHost(name));
      });
      quietly(checkAll());
      timer = setInterval(() => quietly(checkAll()), settings.CERTIFICATE_CHECK_SECONDS * 1000);
    },
    stop: () => clearInterval(timer),
  };
}
