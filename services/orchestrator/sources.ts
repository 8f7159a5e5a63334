import { VsError } from '../../shared/errors.ts';
import type { Deciding } from './plans/planned.ts';
import { moment } from './text.ts';

/** A copy from which a vserver can be brought back. */
export interface Source {
  /** `master`, or the host in whose trash it lies. */
  from: string;
  /** In the trash: the saga that brought it there. */
  entry?: string;
  taken: number;
  epoch: number;
}

/** The copies of a vserver that can be reached now, the newest first. */
export async function sourcesOf(
  { context, pool }: Deciding,
  { name, uuid }: { name: string; uuid: string },
): Promise<Source[]> {
  const { bus, log } = context;
  const { copies } = await bus.request('master', 'snapshot.copies', { name });
  const kept = copies
    .filter((one) => one.uuid === uuid)
    .map(({ taken, epoch }) => ({ from: 'master', taken, epoch }));
  // the latest backup belongs here, beside the copies of the master, once there are backups
  const hosts = pool.hosts().filter((host) => pool.isOnline(host));
  const trashed = await Promise.all(
    hosts.map(async (host) => {
      try {
        const { entries } = await bus.request(host, 'snapshot.trashed', { name });
        return entries
          .filter((one) => one.uuid === uuid)
          .map(({ entry, ts, epoch = 0 }) => ({ from: host, entry, taken: ts, epoch }));
      } catch (error) {
        log.warn({ host, error: String(error) }, 'a host did not tell what is in its trash');
        return [];
      }
    }),
  );
  return [...kept, ...trashed.flat()].sort((a, b) => b.taken - a.taken);
}

/** The newest one, or the newest of where a person wants it from. Throws VsError 'refused' when there is none. */
export function pickSource(sources: Source[], name: string, from: string | undefined): Source {
  const source = sources.find((one) => from === undefined || one.from === from);
  if (source) return source;
  const others = sources.map(sourceText).join(', ');
  throw new VsError(
    'refused',
    `there is no copy of ${name} ${from === undefined ? 'on the master or in the trash of a host that is online' : from === 'master' ? 'on the master' : `in the trash of ${from}, or that host is offline`}${others ? `; there is ${others}` : ', so it cannot be recovered'}`,
  );
}

/** "the copy on the master of 2026-11-26 03:00". */
export const sourceText = ({ from, taken }: Source): string =>
  from === 'master'
    ? `the copy on the master of ${moment(taken)}`
    : `the old copy in the trash of ${from} of ${moment(taken)}`;
