import { type WantedAddress, furtherOf } from '../../../config/further.ts';
import type { FurtherAddress, VserverConfig } from '../../../shared/contract/vserver.ts';
import { requireUnused } from './address.ts';
import { networkOfAddress } from './choose.ts';
import type { Deciding } from './planned.ts';

/** The further addresses of a new vserver, once they may be used and nobody of the pool has them. Throws 'refused'. */
export async function furtherIn(
  deciding: Pick<Deciding, 'context' | 'pool'>,
  hosts: string[],
  place: Pick<VserverConfig, 'name' | 'network' | 'address'> & { address6?: string },
  wanted: WantedAddress[] = [],
): Promise<{ more?: FurtherAddress[] }> {
  const more: FurtherAddress[] = [];
  for (const one of wanted) {
    const network = await networkOfAddress(deciding, hosts, one.address ?? one.address6 ?? '');
    more.push(furtherOf(network, one, { ...place, more }));
    requireUnused(deciding.pool.all(), [one.address, one.address6]);
  }
  return more.length > 0 ? { more } : {};
}
