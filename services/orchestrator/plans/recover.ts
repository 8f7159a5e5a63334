import type { Args } from '../../../shared/contract/commands.ts';
import type { SagaState } from '../../../shared/contract/saga.ts';
import type { VserverState } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import { nextEpoch } from '../epochs.ts';
import type { Pool } from '../pool.ts';
import { shown } from '../estimate.ts';
import { stillThere } from '../still-there.ts';
import { pickSource, sourceText, sourcesOf } from '../sources.ts';
import { size } from '../text.ts';
import { carriageText, channels, chooseTransport } from '../transport.ts';
import { masterInfo } from './master.ts';
import type { Deciding, Planned } from './planned.ts';
import { requirePlace } from './put.ts';
import { ready, wire } from './wire.ts';

/** What the pool last heard of a vserver whose host is gone. Throws while an online host has it. */
export function lost(pool: Pool, name: string): VserverState {
  const all = pool.of(name).sort((a, b) => b.epoch - a.epoch);
  const last = all[0];
  if (!last)
    throw new VsError(
      'not-found',
      `there is no vserver ${name} in the pool. If the master has a copy of it: vs put ${name} HOST`,
    );
  const alive = all.find((one) => pool.isOnline(one.host) && (one.epoch > 0 || one === last));
  if (!alive) return last;
  const { host, epoch } = alive;
  throw new VsError(
    'refused',
    epoch > 0
      ? `${name} is on ${host}, which is online, so nothing is recovered: vs move ${name} HOST brings it to another host`
      : `the copy of ${name} on ${host}, which is online, is owned by nobody; look at it, then: vs remove ${name} --host ${host}`,
  );
}

/** Did it run, as far as was heard last: also when a saga, such as a move, had just stopped or frozen it for a moment. */
export function shouldRun(
  { state, saga }: Pick<VserverState, 'state' | 'saga'>,
  sagas: SagaState[],
): boolean {
  if (state === 'running' || state === 'starting') return true;
  const held = sagas.find((one) => one.id === saga);
  const had = held?.steps.filter((row) => ['stop', 'freeze'].includes(row.step)) ?? [];
  return had.some((row) => row.state !== 'waiting');
}

/** A person confirms that its host is dead, by the name of the vserver; a dry run needs no word. */
export function requireConfirmed({ name, confirm, dryRun }: Args<'orchestrator.recover'>): void {
  if (dryRun !== true && confirm !== name)
    throw new VsError('usage', `confirm must be ${name}: a person confirms that its host is dead`);
}

/** Decides a recover; refuses with a sentence before anything is journaled or changed. */
export async function planRecover(deciding: Deciding, args: Args<'orchestrator.recover'>): Promise<Planned> {
  const { context, pool } = deciding;
  const { name, host } = args;
  requireConfirmed(args);
  const dead = lost(pool, name);
  const target = pool.requireHost(host);
  if (await stillThere(deciding, { name, host }))
    throw new VsError(
      'conflict',
      `${host} has an old copy of ${name}, which it does not own; look at it, then: vs remove ${name} --host ${host}`,
    );
  requirePlace(pool, host, dead);
  const source = pickSource(await sourcesOf(deciding, dead), name, args.from);
  const { from, entry } = source;
  const here = from === host;
  const copyPlace = from === 'master' ? await masterInfo(deciding) : pool.requireHost(from);
  const { wish, ...wired } = await wire(deciding, from, host);
  let [bytes, files, nested] = [0, 0, true];
  if (from === 'master')
    ({ bytes, files, nested } = await context.bus.request(
      from,
      'snapshot.usage',
      { name },
      { timeoutMs: 600_000 },
    ));
  else if (!here && entry) {
    const { entries } = await context.bus.request(from, 'snapshot.trashed', { name, entry });
    bytes = entries[0]?.bytes ?? 0;
    files = entries[0]?.files ?? 0;
  }
  const carriage =
    entry === undefined
      ? chooseTransport(undefined, wish, copyPlace, target, nested)
      : { copy: 'rsync' as const, channel: channels[wish] };
  if (!here) await ready(deciding, carriage, from, host);
  const { network, address, address6, more, uuid, mac } = dead;
  const plan = {
    name,
    source: from,
    target: host,
    sourceAddress: copyPlace.address,
    ...carriage,
    bytes,
    files,
    uuid,
    epoch: await nextEpoch(deciding, dead, source.epoch),
    network,
    ...(address ? { address } : {}),
    ...(address6 ? { address6 } : {}),
    ...(more ? { more } : {}),
    mac,
    taken: source.taken,
    ...wired,
    ...(entry === undefined ? {} : { trash: entry }),
    ...(here && entry !== undefined ? { recall: entry } : {}),
    dead: dead.host,
    start: args.start ?? shouldRun(dead, deciding.past?.() ?? []),
    enabled: dead.enabled,
    what: sourceText(source),
  };
  const way = here ? 'which is on that host' : carriageText(carriage);
  return {
    kind: 'recover',
    plan,
    vserver: name,
    onto: host,
    ...(bytes > 0 ? { shows: shown({ ...plan, way, restarts: plan.start }, deciding.past?.() ?? []) } : {}),
    title: `${name}: recover on ${host} from ${plan.what}, ${bytes > 0 ? `${size(bytes)}, ` : ''}${way}; ${dead.host} is offline`,
  };
}
