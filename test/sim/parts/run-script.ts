// services/host-agent/run-script.ts, as the simulated processes see it: takes a while, and fails now and then
import { later, theWorld } from '../current.ts';
import type { World } from '../world.ts';

const PIECES = 10;
/** Scripts that were begun, by their vserver and lock. */
const begun = new WeakMap<World, Map<string, string>>();

export async function runScript(
  _at: object,
  { name, script }: { name: string; script: string },
): Promise<{ code: number; tail: string }> {
  const world = theWorld();
  const mine = begun.get(world) ?? new Map<string, string>();
  begun.set(world, mine);
  // a script of this text is one of one create alone
  if (mine.has(name)) throw new Error(`the script of ${name} runs twice`);
  mine.set(name, script);
  // its output comes in pieces: a fault may hit between them
  for (let piece = 0; piece < PIECES; piece++)
    await later('lxc-attach', world.random.between(2, 90), () => undefined);
  return { code: script === 'false' ? 1 : 0, tail: script };
}
