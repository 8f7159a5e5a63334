import type { Wish } from '../../shared/contract/pressure.ts';
import { type Need, type Room, placeAll } from './placement.ts';

/** A host whose memory is short, and whom it could do without, the least important first. */
export interface Ask {
  host: string;
  wishes: Wish[];
}
/** A move that was begun for want of memory; `ended` (ms) is absent while it runs. */
export interface Relief {
  name: string;
  from: string;
  to: string;
  ended?: number | undefined;
  /** It arrived. */
  isDone: boolean;
}
/** What is known of a vserver on a host that asks. */
export interface Asked extends Omit<Need, 'disk'> {
  host: string;
  /** It runs there, is owned there, and no saga holds it. */
  isFree: boolean;
}
export interface Next {
  name: string;
  from: string;
  to: string;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** So long after such a move its two hosts are left alone: their figures have to show first what it did. */
export const REST_MS = 5 * MINUTE_MS;
/** So long one that was moved stays where it is, and so long its former host is given nothing: nothing goes back and forth. */
export const STAYS_MS = 6 * HOUR_MS;
/** What failed is not tried again there before. */
export const RETRY_MS = HOUR_MS;
/** A host gives so many away within an hour. */
export const PER_HOUR = 4;
/** This share of the memory of the target stays free, or it would be the next to ask. */
export const SPARE = 0.2;

/**
 * Which vserver goes where next, because the memory of its host is short; undefined: none, now. One at a time in the whole
 * pool, never to a host that asks itself or has given one away. Pure; `rooms`: the hosts that may take something.
 */
export function nextRelief(
  asks: readonly Ask[],
  vservers: ReadonlyMap<string, Asked>,
  rooms: readonly Room[],
  past: readonly Relief[],
  now: number,
): Next | undefined {
  if (past.some(({ ended }) => ended === undefined)) return undefined;
  const within = (ms: number) => past.filter(({ ended = now }) => Math.abs(now - ended) < ms);
  const resting = new Set(within(REST_MS).flatMap(({ from, to, isDone }) => (isDone ? [from, to] : [])));
  const stays = within(STAYS_MS).filter(({ isDone }) => isDone);
  const closed = new Set([...resting, ...asks.map(({ host }) => host), ...stays.map(({ from }) => from)]);
  const open = rooms
    .filter(({ host }) => !closed.has(host))
    .map((room) => ({
      ...room,
      memory: { ...room.memory, free: room.memory.free - SPARE * room.memory.total },
    }));
  const failed = within(RETRY_MS).filter(({ isDone }) => !isDone);
  for (const { host, wishes } of asks) {
    if (resting.has(host) || within(HOUR_MS).filter(({ from }) => from === host).length >= PER_HOUR) continue;
    for (const { name, memory } of wishes) {
      const one = vservers.get(name);
      if (one?.host !== host || !one.isFree || stays.some((other) => other.name === name)) continue;
      const tried = (to: string) => failed.some((other) => other.name === name && other.to === to);
      const need = { ...one, memory: Math.max(one.memory, memory), disk: 0 };
      const place = placeAll(
        [need],
        open.filter((room) => !tried(room.host)),
      ).get(name);
      if (place && 'to' in place) return { name, from: host, to: place.to };
    }
  }
  return undefined;
}
