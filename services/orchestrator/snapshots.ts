import type { VserverState } from '../../shared/contract/vserver.ts';
import { snapshotsText } from '../../shared/kept.ts';

/** What becomes of kept snapshots in a move, for people: they are of the source's disk, and go with the old copy. */
export const behind = ({ host, snapshots = 0 }: Pick<VserverState, 'host' | 'snapshots'>): string =>
  snapshots === 0
    ? ''
    : `; ${snapshotsText(snapshots)} ${snapshots === 1 ? 'stays' : 'stay'} on ${host} and ${snapshots === 1 ? 'goes' : 'go'} with the old copy`;

/** The same for all that leave a host. */
export function allBehind(leaving: Pick<VserverState, 'host' | 'snapshots'>[]): string {
  const count = leaving.reduce((sum, one) => sum + (one.snapshots ?? 0), 0);
  const [first] = leaving;
  return first ? behind({ host: first.host, snapshots: count }).replace('; its', '; their') : '';
}
