import type { Wish } from '../../config/slaves.ts';
import type { HostInfo } from '../../shared/contract/host.ts';
import type { Channel, CopyWay, Transport } from '../../shared/contract/transfer.ts';
import { VsError } from '../../shared/errors.ts';

/** What copies, and what it goes through. */
export interface Carriage {
  copy: CopyWay;
  channel: Channel;
}

export const channels: Record<Wish, Channel> = { 'rsyncd-tls': 'tls', ssh: 'ssh', rsyncd: 'plain' };

/**
 * btrfs-send where both sides can and no subvolume lies inside the vserver (it would be left out); else rsync. Through what
 * slaves.conf wants for the two hosts, or what a person asked for; in the clear only where slaves.conf says so.
 */
export function chooseTransport(
  asked: Transport | undefined,
  wish: Wish,
  source: HostInfo,
  target: HostInfo,
  nested: boolean,
): Carriage {
  const can = source.storage.capabilities.send && target.storage.capabilities.send && !nested;
  if (asked === 'btrfs-send' && !can) {
    throw new VsError(
      'refused',
      nested
        ? 'btrfs-send would leave out the subvolumes inside this vserver; use --transport rsyncd-tls'
        : `btrfs-send needs btrfs on both sides (${source.host}: ${source.storage.storage}, ${target.host}: ${target.storage.storage}); use --transport rsyncd-tls`,
    );
  }
  if (asked === 'rsyncd' && wish !== 'rsyncd')
    throw new VsError(
      'refused',
      `rsyncd copies in the clear, and for ${source.host} and ${target.host} slaves.conf of the master wants ${wish}; use --transport rsyncd-tls, or write ${target.host}:transport=rsyncd there`,
    );
  if (asked === 'rsync') return { copy: 'rsync', channel: channels[wish] };
  if (asked !== undefined && asked !== 'btrfs-send') return { copy: 'rsync', channel: channels[asked] };
  return { copy: can ? 'btrfs-send' : 'rsync', channel: channels[wish] };
}

/** As people read it: "btrfs-send over TLS". */
export function carriageText({ copy, channel }: Carriage): string {
  if (channel === 'ssh') return `${copy} over ssh`;
  const what = copy === 'rsync' ? 'rsyncd' : copy;
  return channel === 'tls' ? `${what} over TLS` : `${what}, not encrypted`;
}
