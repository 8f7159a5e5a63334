import { type Wish, agreed, loadSlaves } from '../../../config/slaves.ts';
import type { Carriage } from '../transport.ts';
import type { Deciding } from './planned.ts';

/** How slaves.conf wants copies between two hosts: the lower limit, compression when one asks for it, the more private way. */
export async function wire(
  { context }: Deciding,
  ...hosts: string[]
): Promise<{ wish: Wish; bwlimit?: number; compress?: boolean }> {
  const slaves = (await loadSlaves(context.settings)).filter((one) => hosts.includes(one.host));
  const limits = slaves.flatMap((one) => one.bwlimit ?? []);
  return {
    wish: agreed(slaves),
    ...(limits.length > 0 ? { bwlimit: Math.min(...limits) } : {}),
    ...(slaves.some((one) => one.compress) ? { compress: true } : {}),
  };
}

/** Both hosts say whether they can copy so, before anything is touched. */
export async function ready(
  { context }: Deciding,
  { channel }: Carriage,
  source: string,
  target: string,
): Promise<void> {
  if (channel === 'plain') return;
  await context.bus.request(source, 'transfer.check', { channel, role: 'source' });
  await context.bus.request(target, 'transfer.check', { channel, role: 'target' });
}
