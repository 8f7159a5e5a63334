import { drainMicrotasks } from './microtasks.ts';
import type { Disk } from './disk.ts';

/** A machine of the simulated pool. */
export interface Node {
  name: string;
  disk: Disk;
  /** Its clock is so far from the true one (ms). */
  skew: number;
  /** System calls that its processes made; a fault may hit at one of them. */
  calls: number;
  /** Changes at every power cut. */
  boot: number;
  powered: boolean;
  /** No file can grow on it. */
  full: boolean;
  /** So many writes fail from now on. */
  eio: number;
}

/** One run of a process, from its start to its end. */
export interface Life {
  node: Node;
  process: string;
  /** Killed: nothing that it waits for ever comes, and nothing that it still does has an effect. */
  dead: boolean;
}

/** What the code of a dead life gets from a system call; it has no effect any more, whatever it does with this. */
export class Killed extends Error {
  constructor() {
    super('this process was killed');
  }
}

/** A moment in November, so that days and times in sentences look real (epoch ms). */
export const EPOCH = Date.UTC(2026, 10, 26);

/** Numbers by chance from a seed (mulberry32): the same seed, the same numbers. */
export function createRandom(seed: number) {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let one = Math.imul(state ^ (state >>> 15), 1 | state);
    one = (one + Math.imul(one ^ (one >>> 7), 61 | one)) ^ one;
    return ((one ^ (one >>> 14)) >>> 0) / 4_294_967_296;
  };
  return {
    next,
    /** A whole number from `low` to `high`, both included. */
    between: (low: number, high: number): number => low + Math.floor(next() * (high - low + 1)),
    chance: (share: number): boolean => next() < share,
    hex(bytes: number): string {
      let text = '';
      while (text.length < bytes * 2)
        text += Math.floor(next() * 65_536)
          .toString(16)
          .padStart(4, '0');
      return text.slice(0, bytes * 2);
    },
  };
}
export type Random = ReturnType<typeof createRandom>;

export interface Timer {
  cancelled: boolean;
}
interface Event extends Timer {
  at: number;
  order: number;
  life: Life | undefined;
  act: () => void;
}

/** Whose code runs: of one life only from one event to the next, also in all that it awaits there. */
let current: Life | undefined;
export const currentRun = (): Life | undefined => current;

/** Runs something as the code of a life, which has its own clock and disk: all that comes before the next event is its own. */
export function runAs<T>(life: Life, act: () => T): T {
  if (current !== undefined && current !== life)
    throw new Error(`${life.process} of ${life.node.name} runs in the time of ${current.node.name}`);
  current = life;
  return act();
}

/** The virtual event loop: what happens at which time, one after the other; the microtasks of one before the next. */
export function createLoop() {
  const heap: Event[] = [];
  let order = 0;
  let now = 0;

  const before = (a: Event, b: Event) => a.at < b.at || (a.at === b.at && a.order < b.order);
  function push(event: Event): void {
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent] as Event;
      if (!before(event, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = event;
  }
  function pop(): Event | undefined {
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Event, heap[child] as Event)) child++;
      if (!before(heap[child] as Event, last)) break;
      heap[index] = heap[child] as Event;
      index = child;
    }
    heap[index] = last;
    return first;
  }

  return {
    /** Virtual milliseconds since the beginning. */
    now: () => now,
    /** In `ms`; for a life, as its own code and only while it lives. */
    after(ms: number, life: Life | undefined, act: () => void): Timer {
      const event = { at: now + Math.max(0, ms), order: order++, life, act, cancelled: false };
      push(event);
      return event;
    },
    /** Runs events until `done` says so after one of them, or none is left before `end` (ms). */
    run(end: number, done: () => boolean): Promise<void> {
      function all(): void {
        for (;;) {
          const event = pop();
          if (!event) return;
          if (event.at > end) return push(event);
          if (event.cancelled || event.life?.dead) continue;
          now = event.at;
          current = event.life;
          try {
            event.act();
          } catch (error) {
            if (!(error instanceof Killed)) throw error;
          }
          drainMicrotasks();
          current = undefined;
          if (done()) return;
        }
      }
      return new Promise((resolve, reject) => {
        // microtasks can only be carried out by who is none of them
        setImmediate(() => {
          try {
            all();
            resolve();
          } catch (error) {
            reject(error as Error);
          } finally {
            current = undefined;
          }
        });
      });
    },
  };
}
export type Loop = ReturnType<typeof createLoop>;
