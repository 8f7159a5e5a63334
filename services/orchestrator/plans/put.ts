import type { Args } from '../../../shared/contract/commands.ts';
import type { CopyInfo } from '../../../shared/contract/snapshot.ts';
import { VsError } from '../../../shared/errors.ts';
import { addressesOf, networksOf } from '../../../shared/interfaces.ts';
import { nextEpoch } from '../epochs.ts';
import { shown } from '../estimate.ts';
import { isOutdated } from '../outdated.ts';
import type { Addresses } from '../silence.ts';
import type { Pool } from '../pool.ts';
import { groups, moment, size } from '../text.ts';
import { carriageText, chooseTransport } from '../transport.ts';
import { requireNetworks, requireUnused } from './address.ts';
import { masterInfo } from './master.ts';
import type { Deciding, Planned } from './planned.ts';
import { ready, wire } from './wire.ts';

/** The copy of a vserver that the master keeps. Throws 'not-found' when there is none. */
export async function copyOf({ context }: Deciding, name: string): Promise<CopyInfo> {
  const { copies } = await context.bus.request('master', 'snapshot.copies', { name });
  if (!copies[0])
    throw new VsError('not-found', `the master has no copy of ${name}; "vs copies list" shows those it has`);
  return copies[0];
}

/** Refuses what cannot come to be on a host besides what is in the pool: another one that has the address, or no network. */
export function requirePlace(
  pool: Pool,
  host: string,
  copy: { name: string; uuid: string } & Addresses,
): void {
  requireNetworks({ ...pool.requireHost(host), host }, networksOf(copy));
  const others = pool.all().filter((one) => one.uuid !== copy.uuid);
  requireUnused(others, addressesOf(copy), ` of ${copy.name}`);
}

/** Refuses while a vserver of this name or uuid lives anywhere; where its host is offline, that says what to do. */
function refuseLiving(deciding: Deciding, copy: CopyInfo): void {
  const { pool } = deciding;
  const { name, uuid } = copy;
  const living = pool
    .all()
    .filter((one) => (one.uuid === uuid ? !isOutdated(deciding, one) : one.name === name))
    .sort((a, b) => b.epoch - a.epoch)[0];
  if (!living) return;
  const { host, epoch } = living;
  const where = living.name === name ? `${name} is on ${host}` : `it lives as ${living.name} on ${host}`;
  if (!pool.isOnline(host))
    throw new VsError(
      'conflict',
      `${where}, which is offline. If that host is dead for good: vs recover ${living.name} --host HOST`,
    );
  throw new VsError(
    'conflict',
    epoch > 0
      ? `${where} already; remove it there first`
      : `${host} has an old copy of ${name}, which it does not own; remove that first: vs remove ${name} --host ${host}`,
  );
}

/** Decides a put; refuses with a sentence before anything is journaled or changed. */
export async function planPut(deciding: Deciding, args: Args<'orchestrator.put'>): Promise<Planned> {
  const { context, pool } = deciding;
  const { name, host } = args;
  const copy = await copyOf(deciding, name);
  const target = pool.requireHost(host);
  refuseLiving(deciding, copy);
  requirePlace(pool, host, copy);
  const master = await masterInfo(deciding);
  const { bytes, files, nested } = await context.bus.request(
    'master',
    'snapshot.usage',
    { name },
    { timeoutMs: 600_000 },
  );
  const { wish, ...wired } = await wire(deciding, 'master', host);
  const carriage = chooseTransport(undefined, wish, master, target, nested);
  await ready(deciding, carriage, 'master', host);
  const { network, address, address6, more, uuid, taken } = copy;
  const plan = {
    name,
    source: 'master',
    target: host,
    sourceAddress: master.address,
    ...carriage,
    bytes,
    files,
    uuid,
    epoch: await nextEpoch(deciding, copy, copy.epoch),
    network,
    ...(address ? { address } : {}),
    ...(address6 ? { address6 } : {}),
    ...(more ? { more } : {}),
    taken,
    ...wired,
  };
  const way = carriageText(carriage);
  return {
    kind: 'put',
    plan,
    vserver: name,
    onto: host,
    shows: shown({ ...plan, way }, deciding.past?.() ?? []),
    title: `${name}: master -> ${host}, as of ${moment(taken)}, ${size(bytes)} in ${groups(files)} files, ${way}`,
  };
}
