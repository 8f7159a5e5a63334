import { firstOf } from './addresses.ts';
import type { ScanRow } from './contract/orchestrator.ts';
import type { VserverState } from './contract/vserver.ts';

/** The row of `vs scan` for a vserver, from what its host said of it last. */
export const scanRowOf = (one: VserverState, isOnline: boolean): ScanRow => ({
  host: one.host,
  vserver: one.name,
  state: isOnline ? one.state : 'unknown',
  enabled: one.enabled,
  address: firstOf(one),
  ...(one.address6 ? { address6: one.address6 } : {}),
  network: one.network,
  ...(one.more ? { more: one.more } : {}),
  epoch: one.epoch,
});
