// services/snapshot/btrfs-along.ts, as the simulated processes see it: each snapshot has as much that the one before it has not
import { later } from '../current.ts';

export const along = (snapshots: string[]): Promise<number> =>
  later('btrfs', 20, () => 1_000_000 + 100_000 * snapshots.length);
