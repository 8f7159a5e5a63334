import type { Storage } from './report.ts';

export const sources = ['busybox', 'bookworm', 'trixie'] as const;
export type Source = (typeof sources)[number];

/** The ways to move a container that `bench move` knows; docs/bench.md says what each does. */
export const allWays = [
  'floor',
  'vs',
  'vs in the clear',
  'vs crash-consistent',
  'stop, rsync, start',
  'rsync, stop, rsync, start',
  'rsync, rsync, stop, rsync, start',
  'send, send, stop, send, start',
  'send by TLS, send, stop, send, start',
  'LXD stop, move, start',
  'LXD copy, refresh, stop, refresh, start',
] as const;
export type Way = (typeof allWays)[number];

/** The way of another program, only on demand. */
export const isPeer = (way: string): boolean => way.startsWith('LXD ');
/** A way of vs itself. */
export const isOurs = (way: string): boolean => way.startsWith('vs');
/** A script of plain tools: what the times of the others are compared with. */
export const isScript = (way: string): boolean => way !== 'floor' && !isOurs(way) && !isPeer(way);

/** btrfs send needs btrfs. */
export const fits = (way: Way, storage: Storage): boolean => storage === 'btrfs' || !way.startsWith('send');
