import { setTimeout as sleep } from 'node:timers/promises';
import { usersIn } from '../../broker/users-file.ts';
import type { Args, Data } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import { openRevoked } from '../../shared/revoked.ts';
import type { Context } from '../../shared/service.ts';
import { openAuthority } from './ca.ts';
import { valid } from './names.ts';
import type { Tokens } from './tokens.ts';

/** So long the broker may take to end the connections of the host, ms; its last will comes then. */
const ENDED_MS = 5000;

/** The retained topics of a host, as the broker has them now. */
async function retainedOf({ bus }: Context, host: string) {
  const topics = new Map<string, unknown>();
  const { status, info, vserverState, alert } = bus.topics;
  const filters = [status(host), info(host), vserverState(host, '+'), alert(host, '+', '+')];
  const ends = await Promise.all(
    filters.map((filter) =>
      bus.subscribe(filter, (topic, payload) => {
        if (payload === null) topics.delete(topic);
        else topics.set(topic, payload);
      }),
    ),
  );
  await sleep(300); // retained ones come right behind the answer to the subscription
  return { topics, stop: () => Promise.all(ends.map((end) => end())) };
}

/** Takes a host out of the pool; repeated after a crash it does what was left to do. */
export async function removeHost(
  context: Context,
  tokens: Tokens,
  { host, force = false }: Args<'authority.remove'>,
  issuer: string,
): Promise<Data<'authority.remove'>> {
  const { settings, bus } = context;
  const authority = await openAuthority(settings.STATE_DIR);
  const users = usersIn(settings.BROKER_USERS);
  const user = (await users.list()).find((one) => one.name === host);
  const revokedFile = openRevoked(`${authority.directory}/revoked.json`);
  const issued = valid(await authority.issued(), revokedFile).filter((one) => one.name === host);
  const token = (await tokens.valid()).find((one) => one.host === host);
  const { topics, stop } = await retainedOf(context, host);
  try {
    if (issued.length === 0 && user?.role !== 'agent' && topics.size === 0 && !token)
      throw new VsError('not-found', `there is no host ${host}; "vs host list" shows the hosts`);
    const there = [...topics.keys()].map((topic) => /\/vservers\/([^/]+)\/state$/.exec(topic)?.[1]);
    const vservers = there.filter((name) => name !== undefined).sort();
    if (vservers.length > 0 && !force)
      throw new VsError(
        'refused',
        `${host} has ${vservers.length === 1 ? 'the vserver' : 'vservers'} ${vservers.join(', ')}: move or remove ${vservers.length === 1 ? 'it' : 'them'} first, or say --force when the host is lost`,
      );
    await tokens.drop(host);
    const revoked = await authority.revoke(host, `${host} was removed by ${issuer}`);
    if (user?.role === 'agent') await users.remove(host);
    const state = () => (topics.get(bus.topics.status(host)) as { state?: string } | undefined)?.state;
    for (const end = performance.now() + ENDED_MS; state() === 'online' && performance.now() < end;)
      await sleep(50);
    const cleared = [...topics.keys()];
    for (const topic of cleared) await bus.publish(topic, null, { retain: true });
    bus.event('authority', 'removed', `${host} was removed from the pool by ${issuer}`, { host });
    return { revoked, cleared: cleared.length, vservers };
  } finally {
    await stop();
  }
}
