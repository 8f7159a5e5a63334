import type { BackupRecord } from '../../../shared/contract/backup.ts';
import type { Args, Data } from '../../../shared/contract/commands.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Route } from '../passes.ts';
import { moment } from '../text.ts';
import { carriageText, channels } from '../transport.ts';
import { requireRepository } from './backup.ts';
import { masterInfo } from './master.ts';
import type { Deciding } from './planned.ts';
import { ready, wire } from './wire.ts';

/** What a saga carries out that reads a backup (restore, test); `name`: what becomes of it. */
export interface FromBackup extends Route {
  /** The vserver of which it is a backup. */
  of: string;
  backup: { repository: string; id: string };
  /** Its tree does not lie where it is sent from: it has to be brought there first. */
  fetch?: boolean;
  files: number;
  /** The moment its data is of. */
  taken: number;
}
/** A backup that was chosen, and what its repository has of it. */
export interface Chosen {
  chosen: BackupRecord;
  offer: Data<'repository.offer'>;
}
type Wanted = Pick<Args<'orchestrator.backup-restore'>, 'name' | 'repository' | 'id' | 'at'>;

/**
 * The backup that is meant: of an id, or the newest (until `at`) in which no fault was found; the newest first. Throws 'not-found',
 * or 'refused' when faults are known of all.
 */
export function chooseBackup(backups: BackupRecord[], { name, id, at }: Wanted): BackupRecord {
  const some = backups.filter((one) =>
    id === undefined ? at === undefined || one.taken <= at : one.id === id,
  );
  const which = id === undefined ? (at === undefined ? '' : ` of ${moment(at)} or before`) : ` ${id}`;
  if (some.length === 0)
    throw new VsError('not-found', `there is no backup${which} of ${name}; see: vs backup list ${name}`);
  const first = some[0];
  if (id !== undefined && first) return first;
  const good = some.find((one) => (one.faults ?? []).length === 0);
  if (good) return good;
  throw new VsError(
    'refused',
    `every backup${which} of ${name} has faults (vs backup show ${name}); name one with --id to take it all the same`,
  );
}

/** The backup that somebody means, as its repository has it. Throws when there is none. */
export async function choose(deciding: Deciding, args: Wanted): Promise<Chosen> {
  const { bus } = deciding.context;
  const { name, repository } = args;
  if (repository !== undefined) await requireRepository(deciding, repository);
  const asked = { vserver: name, ...(repository === undefined ? {} : { repository }) };
  const { backups } = await bus.request('master', 'repository.list', asked, { timeoutMs: 60_000 });
  const chosen = chooseBackup(backups, args);
  const one = { repository: chosen.repository, vserver: name, id: chosen.id };
  const offer = await bus.request('master', 'repository.offer', one, { timeoutMs: 60_000 });
  return { chosen, offer };
}

/** How it comes to a host as `name`. */
export async function comeTo(
  deciding: Deciding,
  { name, host }: { name: string; host: string },
  { chosen, offer }: Chosen,
): Promise<{ plan: FromBackup; way: string }> {
  const from = offer.host === undefined ? await masterInfo(deciding) : deciding.pool.requireHost(offer.host);
  const { wish, ...wired } = await wire(deciding, from.host, host);
  const carriage = { copy: 'rsync' as const, channel: channels[wish] };
  await ready(deciding, carriage, from.host, host);
  const { repository, id, bytes, files, taken, vserver } = chosen;
  const plan: FromBackup = {
    name,
    of: vserver,
    source: from.host,
    target: host,
    sourceAddress: from.address,
    ...carriage,
    bytes,
    files,
    backup: { repository, id },
    taken,
    ...(offer.tree === undefined ? { fetch: true } : {}),
    ...wired,
  };
  return { plan, way: carriageText(carriage) };
}
