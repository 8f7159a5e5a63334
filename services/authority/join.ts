import { createHash, createPublicKey } from 'node:crypto';
import { usersIn } from '../../broker/users-file.ts';
import type { JoinAnswer, JoinRequest } from '../../shared/contract/authority.ts';
import { VsError } from '../../shared/errors.ts';
import { publicKeyOf } from '../../shared/openssl.ts';
import { openRevoked } from '../../shared/revoked.ts';
import type { Context } from '../../shared/service.ts';
import { type Issued, openAuthority } from './ca.ts';
import { hostNames, valid } from './names.ts';
import type { Tokens } from './tokens.ts';

/** SHA-256 of a public key (DER), 64 hexadecimal digits. */
const markOf = (key: Buffer): string => createHash('sha256').update(key).digest('hex');
const markOfIssued = (one: Issued): string =>
  markOf(one.certificate.publicKey.export({ format: 'der', type: 'spki' }));

/** BROKER_URL for a host that knows the master by a name or address of its own: `{master}` stands for it. */
function brokerFor({ BROKER_TLS_LISTEN: [listen], BROKER_URL: url }: Context['settings']): string {
  if (listen) return `mqtts://{master}:${listen.slice(listen.lastIndexOf(':') + 1)}`;
  if (/^mqtts?:\/\/(?!localhost|127\.|\[::1\])/.test(url)) return url; // an external broker
  throw new VsError(
    'failed',
    'the master has no broker that hosts can reach: set BROKER_TLS_LISTEN in its vs-tools.conf ("vs master init" does)',
  );
}

/**
 * Lets a host in: a token and a request become a certificate and a user of the broker. Each step is durable before the
 * next and can be repeated, and the token is bound to the key first: whoever was cut off comes again with the same key.
 */
export async function admit(
  context: Context,
  tokens: Tokens,
  { name, secret, request, address }: JoinRequest,
  from: string,
): Promise<Extract<JoinAnswer, { ok: true }>> {
  const { settings, bus } = context;
  const authority = await openAuthority(settings.STATE_DIR);
  const broker = brokerFor(settings);
  const pem = await publicKeyOf(request);
  const key = markOf(createPublicKey(pem).export({ format: 'der', type: 'spki' }));
  const revoked = openRevoked(`${authority.directory}/revoked.json`);
  let issued = valid(await authority.issued(), revoked);
  const names = hostNames(name, address, issued); // before the token is used up
  const token = await tokens.use(name, secret, key).catch((error: unknown) => {
    const { wrong, void: ended } = ((error as VsError).details ?? {}) as { wrong?: number; void?: boolean };
    if (ended)
      bus.event('authority', 'token-void', `the token for ${name} is void after ${wrong} wrong secrets`);
    throw error;
  });
  const users = usersIn(settings.BROKER_USERS);
  const isOurs = (one: Issued) => one.name === name && markOfIssued(one) === key;
  const before = issued.filter((one) => one.name === name && !isOurs(one));
  if (before.length > 0 && !token.again)
    throw new VsError(
      'conflict',
      `${name} is a host of the pool already; if this is its new installation, make a token with: vs host token ${name} --again`,
    );
  const had = issued.findLast(isOurs);
  const certificate =
    had?.certificate.toString() ??
    (await authority.issue({ request, name, names, days: settings.CERTIFICATE_DAYS }));
  if (before.length > 0) await authority.revoke(name, 'the host joined again', isOurs);
  await users.certify(name, { role: 'agent' });
  if (!had)
    bus.event('authority', 'joined', `${name} joined, with address ${address}, from ${from}`, {
      host: name,
      from,
    });
  return { ok: true, certificate, authority: authority.pem, broker, base: settings.BASE_TOPIC };
}
