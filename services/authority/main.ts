import { usersIn } from '../../broker/users-file.ts';
import { infoOf, readIdentity } from '../../shared/identity.ts';
import { VsError } from '../../shared/errors.ts';
import { openRevoked } from '../../shared/revoked.ts';
import type { Context, Service } from '../../shared/service.ts';
import { createTurns } from '../../shared/turns.ts';
import { authorityIn, openAuthority } from './ca.ts';
import { admit } from './join.ts';
import { joinListener } from './listener.ts';
import { valid } from './names.ts';
import { removeHost } from './remove.ts';
import { createRenewals } from './renew.ts';
import { makeToken } from './token.ts';
import { openTokens } from './tokens.ts';

/** The authority: who belongs to the pool, by which certificate, and from when to when. */
export function service(context: Context): Service {
  const { settings, log } = context;
  const directory = authorityIn(settings.STATE_DIR);
  const tokens = openTokens(directory);
  const inTurn = createTurns();
  /** Who joins, is removed, or gets a certificate: one after the other. */
  const exclusively = <T>(work: () => Promise<T>) => inTurn('members', work);
  const listener = joinListener(settings.JOIN_LISTEN, {
    log,
    answer: (request, from) => exclusively(() => admit(context, tokens, request, from)),
  });
  const renewals = createRenewals(context, exclusively, () => void listen().catch(() => undefined));

  /** Listens as long as a token is valid. */
  async function listen(): Promise<void> {
    const own = readIdentity(settings.TLS_DIR);
    if (!own)
      throw new VsError('failed', 'this master has no certificate yet: run "vs master init" on it, as root');
    const ends = (await tokens.valid()).map((one) => one.ends);
    await listener.keep(Math.max(0, ...ends), own);
  }

  return {
    name: 'authority',
    handlers: {
      'authority.token': async (args, call) => {
        const made = await makeToken(context, tokens, args, call.issuer);
        await listen();
        return made;
      },
      'authority.list': async () => {
        const authority = await openAuthority(settings.STATE_DIR);
        const revoked = openRevoked(`${directory}/revoked.json`);
        // people and programs may have certificates of this authority, too
        const users = new Map(
          (await usersIn(settings.BROKER_USERS).list()).map((one) => [one.name, one.role]),
        );
        const newest = new Map(
          valid(await authority.issued(), revoked)
            .filter((one) => users.get(one.name) === 'agent')
            .map((one) => [one.name, infoOf(one.certificate)]),
        );
        const hosts = [...newest].map(([host, certificate]) => ({ host, certificate }));
        return { hosts, tokens: await tokens.valid() };
      },
      'authority.renew': async ({ host }) => ({ certificate: await renewals.host(host) }),
      'authority.remove': async (args, call) => {
        const done = await exclusively(() => removeHost(context, tokens, args, call.issuer));
        await listen().catch(() => undefined); // its token may have been the last
        return done;
      },
    },
    async start() {
      await renewals.start();
      if ((await tokens.valid()).length > 0) await listen();
    },
    async stop() {
      listener.close();
      renewals.stop();
    },
  };
}
