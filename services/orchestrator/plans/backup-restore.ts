import { randomUUID } from 'node:crypto';
import { randomMac } from '../../../config/further.ts';
import type { BackupRecord } from '../../../shared/contract/backup.ts';
import type { Args, Data } from '../../../shared/contract/commands.ts';
import type { VserverConfig, VserverState } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import { nextEpoch } from '../epochs.ts';
import { shown } from '../estimate.ts';
import { isOutdated } from '../outdated.ts';
import { stillThere } from '../still-there.ts';
import { groups, moment, size } from '../text.ts';
import { checkAddresses, placeIn, requireFirst, requireFree } from './address.ts';
import { type FromBackup, choose, comeTo } from './backup-chosen.ts';
import { candidates, chooseHost } from './choose.ts';
import type { Deciding, Planned } from './planned.ts';
import { requirePlace } from './put.ts';

/** What the saga carries out. */
export interface BackupRestorePlan extends FromBackup {
  config: VserverConfig;
  /** It becomes another vserver. */
  fresh: boolean;
  /** Above every one that any host has seen of this uuid. */
  epoch: number;
  start: boolean;
  /** In the place of the one that the target has and owns with this epoch. */
  over?: { epoch: number; running: boolean };
}

type Wanted = Args<'orchestrator.backup-restore'>;

/** What lives of it, or in its place. Throws when that forbids the restore. */
function replaced(deciding: Deciding, args: Wanted, backup: BackupRecord): VserverState | undefined {
  const { pool } = deciding;
  const { name, over } = args;
  const living = pool
    .all()
    .filter((one) => (one.uuid === backup.uuid ? !isOutdated(deciding, one) : one.name === name))
    .sort((a, b) => b.epoch - a.epoch)[0];
  if (!living) {
    if (over)
      throw new VsError(
        'not-found',
        `there is no ${name} in the pool whose place it could take: leave out --over`,
      );
    return undefined;
  }
  const where =
    living.name === name ? `${name} is on ${living.host}` : `it lives as ${living.name} on ${living.host}`;
  if (!pool.isOnline(living.host))
    throw new VsError(
      'conflict',
      `${where}, which is offline. If that host is dead for good: vs recover ${living.name} --host HOST; or beside it: --as NAME --address ADDRESS`,
    );
  if (!over)
    throw new VsError(
      'conflict',
      `${where}; restore beside it with --as NAME --address ADDRESS, or in its place with --over`,
    );
  if (living.name !== name || living.uuid !== backup.uuid)
    throw new VsError(
      'conflict',
      `${where}, and is another one than the backup has; rename or remove it first`,
    );
  if (living.epoch < 1)
    throw new VsError(
      'refused',
      `${living.host} does not own its copy of ${name}; look at it, then remove it`,
    );
  if (!['running', 'stopped'].includes(living.state))
    throw new VsError('refused', `${name} is ${living.state}; stop it first`);
  if (args.host !== undefined && args.host !== living.host)
    throw new VsError(
      'refused',
      `${where}: it is restored in its place there; move it after that, or remove it first`,
    );
  return living;
}

/** The host on which it comes to be: the one named, the one that it was on, else one with room. */
async function hostFor(
  deciding: Deciding,
  args: Wanted,
  { backup, config }: Data<'repository.offer'>,
): Promise<string> {
  if (args.host !== undefined) return args.host;
  if (args.as === undefined && (await candidates(deciding)).includes(backup.host)) return backup.host;
  return chooseHost(deciding, config.network, { limits: config.limits, disk: backup.bytes });
}

/** Another vserver, from the files of the backup: its own uuid, MAC and address. */
async function configAs(
  deciding: Deciding,
  args: Wanted,
  host: string,
  was: Data<'repository.offer'>['config'],
) {
  const { context, pool } = deciding;
  const name = args.as ?? args.name;
  requireFree(pool, name);
  const isOther = args.address !== undefined || args.address6 !== undefined;
  const address = isOther ? args.address : was.address;
  const given = isOther ? args.address6 : was.address6;
  const { network } = await context.bus.request(host, 'network.match', {
    address: requireFirst({ address, address6: given }),
  });
  const address6 = checkAddresses(pool, network, { address, address6: given });
  const { address: _four, prefix: _bits, address6: _old, prefix6: _prefix, more: _more, ...rest } = was;
  return {
    ...rest,
    name,
    ...placeIn(network, address, address6, isOther ? undefined : was.prefix),
    uuid: randomUUID(),
    mac: randomMac(),
    enabled: false,
    created: Date.now(),
  };
}

/** Decides a restore from a backup; refuses with a sentence before anything is journaled or changed. */
export async function planBackupRestore(deciding: Deciding, args: Wanted): Promise<Planned> {
  const { pool } = deciding;
  if (args.as === undefined && (args.address !== undefined || args.address6 !== undefined))
    throw new VsError('usage', 'another address is for another vserver: give --as NAME, too');
  if (args.host !== undefined) pool.requireHost(args.host);
  const backup = await choose(deciding, args);
  const { chosen, offer } = backup;
  const living = args.as === undefined ? replaced(deciding, args, chosen) : undefined;
  const host = living?.host ?? (await hostFor(deciding, args, offer));
  const target = pool.requireHost(host);
  const name = args.as ?? args.name;
  const config =
    args.as === undefined
      ? { ...offer.config, enabled: chosen.enabled }
      : await configAs(deciding, args, host, offer.config);
  if (!living && (await stillThere(deciding, { name, host })))
    throw new VsError(
      'conflict',
      `${host} has an old copy of ${name}, which it does not own; look at it, then: vs remove ${name} --host ${host}`,
    );
  requirePlace(pool, host, config);
  const { plan: coming, way } = await comeTo(deciding, { name, host }, backup);
  const plan: BackupRestorePlan = {
    ...coming,
    config,
    fresh: args.as !== undefined,
    epoch: args.as === undefined ? await nextEpoch(deciding, chosen, chosen.epoch) : 1,
    start: args.start ?? (args.as === undefined && (living ? living.state === 'running' : chosen.running)),
    ...(living ? { over: { epoch: living.epoch, running: living.state === 'running' } } : {}),
  };
  const { repository, id, bytes, files, taken } = chosen;
  const faulty = (chosen.faults ?? []).length > 0 ? ', in which faults were found' : '';
  return {
    kind: 'backup-restore',
    plan,
    vserver: name,
    ...(target.host === living?.host ? {} : { onto: host }),
    shows: shown({ ...plan, way, restarts: plan.start }, deciding.past?.() ?? []),
    title: `${name}: from backup ${id} of ${args.name} in ${repository}${faulty}, as of ${moment(taken)}, -> ${host}${living ? ', in the place of the one there' : ''}, ${size(bytes)} in ${groups(files)} files, ${way}`,
  };
}
