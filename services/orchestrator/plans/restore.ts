import { randomUUID } from 'node:crypto';
import { randomMac } from '../../../config/further.ts';
import type { Args } from '../../../shared/contract/commands.ts';
import type { TrashEntry } from '../../../shared/contract/snapshot.ts';
import { VsError } from '../../../shared/errors.ts';
import { addressesOf } from '../../../shared/interfaces.ts';
import { snapshotsText } from '../../../shared/kept.ts';
import { nextEpoch } from '../epochs.ts';
import { estimate } from '../estimate.ts';
import { isOutdated } from '../outdated.ts';
import { day, size } from '../text.ts';
import { trashOf } from '../trash.ts';
import { checkAddresses, placeIn, requireFirst, requireFree, requireUnused } from './address.ts';
import type { Deciding, Planned } from './planned.ts';

type Entry = TrashEntry & { host: string };

/** The entry that is meant: the one that was named, else the newest copy. Throws when that is not one vserver. */
export function choose(
  entries: Entry[],
  args: { name: string; host?: string | undefined; entry?: string | undefined },
  away: string[] = [],
): Entry {
  const some = entries.filter(
    (one) =>
      one.name === args.name &&
      (args.host === undefined || one.host === args.host) &&
      (args.entry === undefined || one.entry === args.entry),
  );
  const newest = some.toSorted((a, b) => (b.epoch ?? 0) - (a.epoch ?? 0) || b.ts - a.ts)[0];
  if (!newest)
    throw new VsError(
      'not-found',
      `the trash of ${args.host ?? 'the pool'} has no ${args.name}${args.entry ? ` with entry ${args.entry}` : ''}${away.length > 0 ? ` (${away.join(', ')} did not answer)` : ''}; see: vs trash list`,
    );
  const other = some.find((one) => one.uuid !== newest.uuid);
  if (other)
    throw new VsError(
      'conflict',
      `the trash has more than one vserver that was called ${args.name}; name one: ${some.map((one) => `--entry ${one.entry} (${one.host}, ${day(one.ts)})`).join(', ')}`,
    );
  return newest;
}

/** Decides a restore from the trash; refuses with a sentence before anything is journaled or changed. */
export async function planRestore(deciding: Deciding, args: Args<'orchestrator.restore'>): Promise<Planned> {
  const { context, pool } = deciding;
  if (args.host) pool.requireHost(args.host);
  const { entries, away } = await trashOf(deciding, {});
  const { name: of, entry, host, ts, bytes, snapshots } = choose(entries, args, away);
  const name = args.as ?? of;
  const found = await context.bus.request(host, 'snapshot.trashed', { name: of, entry });
  const was = found.entries[0]?.config;
  if (!was) throw new VsError('failed', `entry ${entry} of ${of} on ${host} has no vserver.json (any more)`);
  const known = pool.all().filter((one) => one.uuid !== was.uuid || !isOutdated(deciding, one));
  const others = { all: () => known, isOnline: pool.isOnline };
  requireFree(
    others,
    name,
    args.as ? '' : `; bring it back by another name: vs trash restore ${of} --as NAME --address ADDRESS`,
  );
  const living = known.find((one) => one.uuid === was.uuid);
  if (living && !args.as)
    throw new VsError(
      'conflict',
      `${of} is called ${living.name} now, on ${living.host}; bring it back by another name: --as NAME --address ADDRESS`,
    );
  const isOther = args.address !== undefined || args.address6 !== undefined;
  const address = isOther ? args.address : was.address;
  const given = isOther ? args.address6 : was.address6;
  const { network } = await context.bus.request(host, 'network.match', {
    address: requireFirst({ address, address6: given }),
  });
  const address6 = checkAddresses(others, network, { address, address6: given });
  const { address: _four, prefix: _bits, address6: _six, prefix6: _bits6, more, ...rest } = was;
  if (more && !isOther) requireUnused(known, addressesOf({ address, more }), ` of ${name}`);
  const config = {
    ...rest,
    name,
    ...placeIn(network, address, address6, isOther ? undefined : was.prefix),
    ...(more && !isOther ? { more } : {}), // who gives it another address wants another one
    ...(living ? { uuid: randomUUID(), mac: randomMac(), created: Date.now() } : {}),
  };
  const seen = entries.filter((one) => one.uuid === was.uuid).map((one) => one.epoch ?? 0);
  const work = {
    bytes: 0,
    files: 0,
    way: 'restore',
    source: host,
    target: host,
    restarts: args.start === true,
  };
  return {
    kind: 'restore',
    plan: {
      name,
      host,
      of,
      entry,
      epoch: living ? 1 : await nextEpoch(deciding, was, ...seen),
      config,
      was,
      fresh: living !== undefined,
      start: args.start ?? false,
    },
    vserver: name,
    onto: host,
    ...(of === name ? {} : { also: [of] }),
    shows: { estimateMs: estimate(work, []) },
    title: `${name}: back from the trash of ${host}${of === name ? '' : ` (it was ${of})`}, of ${day(ts)}${bytes === undefined ? '' : `, ${size(bytes)}`}, ${address}${snapshots ? `, with ${snapshotsText(snapshots)}` : ''}`,
  };
}
