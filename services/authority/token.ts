import { usersIn } from '../../broker/users-file.ts';
import type { Args, Data } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import { readIdentity } from '../../shared/identity.ts';
import { openRevoked } from '../../shared/revoked.ts';
import type { Context } from '../../shared/service.ts';
import { writeToken } from '../../shared/token.ts';
import { openAuthority } from './ca.ts';
import { namesOf, valid } from './names.ts';
import type { Tokens } from './tokens.ts';

const HOUR = 3_600_000;

/** How new hosts reach the join listener: the first name of the master's certificate, and the port unless it is the usual one. */
function masterFor({ TLS_DIR, JOIN_LISTEN: [listen = ''] }: Context['settings']): string {
  const own = readIdentity(TLS_DIR);
  const [name] = own ? namesOf(own.x509) : [];
  if (!name)
    throw new VsError('failed', 'this master has no certificate yet: run "vs master init" on it, as root');
  const port = listen.slice(listen.lastIndexOf(':') + 1);
  return `${name.includes(':') ? `[${name}]` : name}${port === '8443' ? '' : `:${port}`}`;
}

/** A token for a host that may join now, or again. Throws VsError 'conflict' when it joined already. */
export async function makeToken(
  { settings, bus }: Context,
  tokens: Tokens,
  { name, ttl = HOUR, again = false }: Args<'authority.token'>,
  issuer: string,
): Promise<Data<'authority.token'>> {
  const authority = await openAuthority(settings.STATE_DIR);
  const master = masterFor(settings);
  const user = (await usersIn(settings.BROKER_USERS).list()).find((one) => one.name === name);
  if (user && user.role !== 'agent')
    throw new VsError('conflict', `a host cannot be called ${name}: a user with role ${user.role} is`);
  const issued = valid(await authority.issued(), openRevoked(`${authority.directory}/revoked.json`));
  if (issued.some((one) => one.name === name) && !again)
    throw new VsError(
      'conflict',
      `${name} joined already. When it was installed anew: vs host token ${name} --again; its old certificate counts until it joins`,
    );
  const owner = issued.find((one) => one.name !== name && namesOf(one.certificate).includes(name));
  if (owner) throw new VsError('conflict', `a host cannot be called ${name}: ${owner.name} is called so`);
  const { secret, ends } = await tokens.create(name, ttl, again);
  bus.event(
    'authority',
    'token',
    `${issuer} made a token for ${name}, good until ${new Date(ends).toISOString()}`,
  );
  return { token: writeToken({ name, fingerprint: authority.fingerprint, secret, ends }), master, ends };
}
