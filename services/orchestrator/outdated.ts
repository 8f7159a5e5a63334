import type { VserverState } from '../../shared/contract/vserver.ts';
import type { Deciding } from './plans/planned.ts';

/**
 * Whether this is what a host that is away had of a vserver which others have owned since (it was recovered, and removed then):
 * that host gives way when it comes back, so its copy keeps nobody from bringing the vserver back elsewhere.
 */
export const isOutdated = ({ pool, epochs }: Pick<Deciding, 'pool' | 'epochs'>, one: VserverState): boolean =>
  !pool.isOnline(one.host) && one.epoch < epochs.of(one.uuid);
