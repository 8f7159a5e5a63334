import { size } from './text.ts';

/** What a vserver needs on its next host. Memory (bytes) is its limit, else what it uses; 0 when it does not run. */
export interface Need {
  name: string;
  network: string;
  /** Further networks that it is in. */
  also?: string[];
  memory: number;
  disk: number;
  /** What its snapshots take besides, on a host that they go along to. */
  along?: number;
}
/** What a host has: bytes, the names of its networks and of what is there already. */
export interface Room {
  host: string;
  memory: { free: number; total: number };
  disk: { free: number; total: number };
  /** Snapshots go along to it (btrfs). */
  sends?: boolean;
  networks: string[];
  vservers: string[];
}
/** Where it goes, or why nowhere. */
export type Place = { to: string } | { why: string };

/** A tree needs a little more than its files, and a full disk helps nobody. */
const MARGIN = 1.05;

/** Bytes that it needs on the disk of a host. */
const diskOn = (room: Room, need: Need): number =>
  (need.disk + (room.sends ? (need.along ?? 0) : 0)) * MARGIN;

/** The share of the scarcer of memory and disk that stays free on a host which takes it. */
const left = (room: Room, need: Need): number =>
  Math.min(
    (room.memory.free - need.memory) / Math.max(1, room.memory.total),
    (room.disk.free - diskOn(room, need)) / Math.max(1, room.disk.total),
  );
const most = (rooms: Room[], of: (room: Room) => number): string => {
  const best = rooms.toSorted((a, b) => of(b) - of(a))[0];
  return best ? `${best.host} has most, ${size(Math.max(0, of(best)))}` : 'there is no host';
};

/** The reason why none of the hosts can take it; undefined when one can. */
function reason(need: Need, rooms: Room[]): string | undefined {
  const hosts = rooms.map((room) => room.host).join(', ');
  if (rooms.length === 0) return 'there is no other host that is online and may be chosen';
  const networks = [need.network, ...(need.also ?? [])];
  const connected = rooms.filter((room) => networks.every((one) => room.networks.includes(one)));
  if (connected.length === 0)
    return `none of ${hosts} has ${networks.length > 1 ? 'networks' : 'network'} ${networks.join(' and ')}`;
  const unnamed = connected.filter((room) => !room.vservers.includes(need.name));
  if (unnamed.length === 0)
    return `${connected.map((room) => room.host).join(', ')} has a vserver ${need.name} already`;
  const spacious = unnamed.filter((room) => room.disk.free >= diskOn(room, need));
  if (spacious.length === 0)
    return `it needs ${size(Math.min(...unnamed.map((room) => diskOn(room, need))))} of disk; ${most(unnamed, (room) => room.disk.free)}`;
  if (!spacious.some((room) => room.memory.free >= need.memory))
    return `it needs ${size(need.memory)} of memory; ${most(spacious, (room) => room.memory.free)}`;
  return undefined;
}

/**
 * Where each of these goes: the large ones are placed first, each to the host that keeps the largest share free of what is
 * scarcer there, memory or disk. What was placed counts for those after it.
 */
export function placeAll(needs: Need[], rooms: Room[]): Map<string, Place> {
  const now = structuredClone(rooms);
  const places = new Map<string, Place>();
  const whole = ({ disk, along = 0 }: Need) => disk + along;
  for (const need of needs.toSorted(
    (a, b) => b.memory - a.memory || whole(b) - whole(a) || a.name.localeCompare(b.name),
  )) {
    const why = reason(need, now);
    const fit = now.filter((room) => reason(need, [room]) === undefined);
    const best = fit.toSorted((a, b) => left(b, need) - left(a, need) || a.host.localeCompare(b.host))[0];
    if (!best) {
      places.set(need.name, { why: why ?? 'no host can take it' });
      continue;
    }
    best.memory.free -= need.memory;
    best.disk.free -= diskOn(best, need);
    best.vservers.push(need.name);
    places.set(need.name, { to: best.host });
  }
  return places;
}
