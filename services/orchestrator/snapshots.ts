import type { VserverState } from '../../shared/contract/vserver.ts';
import type { Context } from '../../shared/service.ts';
import { namesText, snapshotsText } from '../../shared/kept.ts';

type Leaving = Pick<VserverState, 'host' | 'snapshots'>;

/** What becomes of kept snapshots in a move, for people: they are of the source's disk, and go with the old copy. */
export const behind = ({ host, snapshots = 0 }: Leaving, names: string[] = []): string =>
  snapshots === 0
    ? ''
    : `; ${snapshotsText(snapshots)}${names.length > 0 ? ` (${namesText(names)})` : ''} ${snapshots === 1 ? 'stays' : 'stay'} on ${host} and ${snapshots === 1 ? 'goes' : 'go'} with the old copy`;

/** The same for all that leave a host. */
export function allBehind(leaving: Leaving[]): string {
  const count = leaving.reduce((sum, one) => sum + (one.snapshots ?? 0), 0);
  const [first] = leaving;
  return first ? behind({ host: first.host, snapshots: count }).replace('; its', '; their') : '';
}

/** The names of those that stay, the newest first, protected ones before all others; none, where the host does not tell. */
export async function namesBehind(
  { bus }: Pick<Context, 'bus'>,
  { name, host, snapshots = 0 }: Leaving & { name: string },
): Promise<string[]> {
  if (snapshots === 0) return [];
  const found = await bus.request(host, 'snapshot.kept', { name }).catch(() => ({ snapshots: [] }));
  return found.snapshots
    .toSorted((a, b) => Number(b.protected) - Number(a.protected) || b.taken - a.taken)
    .map((one) => one.snapshot);
}
