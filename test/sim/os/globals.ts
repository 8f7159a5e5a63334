import { currentLife, nodeNow, theWorld } from '../current.ts';
import { type Timer, currentRun } from '../loop.ts';

/**
 * Intervals that only look again for what nobody announced (each second in the agents) are so long (ms): what a
 * simulation checks comes by commands.
 */
const STRETCHED_MS = 10_000;

/** Who looks again after so short a time (ms) only waits for something; it is seen all the same when that takes longer. */
const slower = (ms: number): number => (ms > 200 ? ms : ms > 10 ? ms * 4 : ms * 40);

const realDate = Date;
const real = { setTimeout, clearTimeout, setInterval, clearInterval, random: Math.random };

class VirtualDate extends realDate {
  constructor(...args: unknown[]) {
    super(...((args.length === 0 ? [VirtualDate.now()] : args) as [number]));
  }
  static override now(): number {
    return nodeNow() ?? realDate.now();
  }
  /** The names of months cost more than the rest of a saga. */
  override toLocaleDateString(): string {
    return this.toISOString().slice(0, 10);
  }
}

interface VirtualTimer {
  unref(): VirtualTimer;
  ref(): VirtualTimer;
  current: Timer;
}
function virtualTimer(current: Timer): VirtualTimer {
  const timer: VirtualTimer = { current, unref: () => timer, ref: () => timer };
  return timer;
}
const isVirtual = (timer: unknown): timer is VirtualTimer =>
  typeof timer === 'object' && timer !== null && 'current' in timer;

function clear(timer: unknown): void {
  if (isVirtual(timer)) timer.current.cancelled = true;
  else real.clearTimeout(timer as NodeJS.Timeout);
}
function once(act: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): unknown {
  if (!currentRun()) return real.setTimeout(act, ms, ...args);
  return virtualTimer(theWorld().loop.after(slower(ms), currentLife(), () => act(...args)));
}
function again(act: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): unknown {
  if (!currentRun()) return real.setInterval(act, ms, ...args);
  const { loop } = theWorld();
  const life = currentLife();
  const next = () => loop.after(Math.max(ms, STRETCHED_MS), life, tick);
  const timer = virtualTimer(next());
  function tick(): void {
    timer.current = next();
    act(...args);
  }
  return timer;
}
/** Plain data only, as all that is published is; the runtime's own is ten times slower. */
function clone<T>(value: T): T {
  if (Array.isArray(value)) return value.map(clone) as T;
  if (typeof value !== 'object' || value === null) return value;
  const copy: Record<string, unknown> = {};
  for (const key in value) copy[key] = clone(value[key]);
  return copy as T;
}

/** Time, chance and copies of a thread become those of the simulated process whose code runs. */
export function install(): void {
  Object.assign(globalThis, {
    Date: VirtualDate,
    setTimeout: once,
    clearTimeout: clear,
    setInterval: again,
    clearInterval: clear,
    structuredClone: clone,
  });
  // never a signal to a real process: the numbers of simulated ones are those of others here
  process.kill = (pid: number): true => {
    theWorld().guests.kill(currentLife().node, pid);
    return true;
  };
  const steady = performance.now.bind(performance);
  performance.now = () => (currentRun() ? theWorld().loop.now() : steady());
  Math.random = () => (currentRun() ? theWorld().random.next() : real.random());
}

/** node:timers/promises. */
export const pause = (ms: number, value?: unknown): Promise<unknown> =>
  new Promise((resolve) => {
    once(() => resolve(value), ms);
  });
