import { EPOCH, Killed, type Life, currentRun, runAs } from './loop.ts';
import type { World } from './world.ts';

/** The simulation that runs in this thread; one at a time. */
let world: World | undefined;

export function setWorld(next: World | undefined): void {
  world = next;
}
export function theWorld(): World {
  if (!world) throw new Error('no simulation runs in this thread');
  return world;
}
/** Whose code runs now. */
export function currentLife(): Life {
  const life = currentRun();
  if (!life) throw new Error('this is not the code of a simulated process');
  return life;
}
/** Every system call begins with this: it counts, and a fault may hit here. Throws Killed for a dead life. */
export function enter(_call: string): Life {
  const life = currentLife();
  if (!life.dead) {
    life.node.calls++;
    theWorld().triggers.onCall(life);
  }
  if (life.dead) throw new Killed();
  return life;
}
const never = new Promise<never>(() => undefined);
/** What who waits for a system call gets when that threw. */
function failed(reason: unknown): Promise<never> {
  return reason instanceof Killed ? never : Promise.reject(reason as Error);
}
/** A system call that is waited for, as a function of its arguments (asyncCall). */
export const asyncCallOf =
  <A extends unknown[], T>(call: string, act: (...args: A) => T) =>
  (...args: A): Promise<T> => {
    try {
      enter(call);
      return Promise.resolve(act(...args));
    } catch (error) {
      return failed(error);
    }
  };
/** A system call that is waited for; its effect is at once, so that a crash falls between two of them. */
export function asyncCall<T>(call: string, act: (life: Life) => T): Promise<T> {
  try {
    return Promise.resolve(act(enter(call)));
  } catch (error) {
    return failed(error);
  }
}
/** Something takes time: its effect comes after `ms` also when its process is dead by then, but not after a power cut. */
export function later<T>(call: string, ms: number, act: (life: Life) => T): Promise<T> {
  let life: Life;
  try {
    life = enter(call);
  } catch {
    return never;
  }
  const { node } = life;
  const boot = node.boot;
  return new Promise<T>((resolve, reject) => {
    theWorld().loop.after(ms, undefined, () => {
      if (node.boot !== boot || !node.powered) return;
      let settle: () => void;
      try {
        const value = runAs(life, () => act(life));
        settle = () => resolve(value);
      } catch (error) {
        settle = () => reject(error as Error);
      }
      if (!life.dead) settle();
    });
  });
}
/** The clock of the node whose code runs (epoch ms); undefined outside of the simulation. */
export function nodeNow(): number | undefined {
  const life = currentRun();
  return life && world ? EPOCH + Math.floor(world.loop.now()) + life.node.skew : undefined;
}

/** The management address of a machine of the simulation. */
export const managementOf = (host: string): string =>
  `10.0.0.${host === 'master' ? 100 : Number(host.slice(4))}`;
