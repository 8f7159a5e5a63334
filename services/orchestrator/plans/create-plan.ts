import type { CopyWay } from '../../../shared/contract/transfer.ts';
import type { VserverConfig } from '../../../shared/contract/vserver.ts';
import type { Route } from '../passes.ts';

/**
 * How the files of the original come into staging: `fork`, a writable snapshot on the same host; `btrfs-send` of a snapshot;
 * `rsync` from a snapshot, or of the live tree in two passes where there are none. The same host is a target like others.
 */
export type CloneWay = 'fork' | CopyWay;

/** What a create does, and a copy. */
export interface CreatePlan {
  name: string;
  host: string;
  hostAddress: string;
  source: string;
  config: VserverConfig;
  start: boolean;
  /** Public keys for its root. */
  sshKeys?: string[];
  /** A script that runs in it once, after its first start. */
  postInstall?: string;
  /** A failure of that script is no reason to undo it. */
  keep?: boolean;
  /** The vserver that it is a copy of. */
  clone?: {
    of: string;
    host: string;
    address: string;
    bytes: number;
    /** A snapshot of it can be made, which holds all of it. */
    snapshot: boolean;
    way?: CloneWay;
    /** This kept snapshot of it, and not what it is now. */
    kept?: string;
  } & Pick<Route, 'channel' | 'bwlimit' | 'compress'>;
}
