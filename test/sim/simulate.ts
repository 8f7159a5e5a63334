import type { SagaState } from '../../shared/contract/saga.ts';
import { setWorld } from './current.ts';
import { checkEnd } from './end.ts';
import { setUp } from './place.ts';
import { begin } from './process.ts';
import type { Scenario } from './scenario.ts';
import { createWatch } from './watch.ts';
import { type World, createWorld } from './world.ts';

/** The pool settles before anything happens (ms). */
const SETTLE_MS = 1500;
/** After the last saga ended and all is mended, so long nothing more may happen (ms). */
const QUIET_MS = 4000;
/** With faults that the broker or a host hears of late, longer. */
const LONG_QUIET_MS = 25_000;
/** A saga that has no end by then has none (ms). */
const END_MS = 1_800_000;
const LOOK_MS = 1000;
const LASTING = ['power', 'cut', 'kill', 'olddisk', 'hand'];

export interface Outcome {
  violations: string[];
  log: string[];
  /** By kind and result, such as "move done". */
  sagas: { kind: string; result: string }[];
  /** Virtual milliseconds. */
  ms: number;
}

/** The sagas as the broker holds them. */
function sagasOf(world: World): SagaState[] {
  const all: SagaState[] = [];
  for (const text of world.broker.sagas.values()) all.push(JSON.parse(text) as SagaState);
  return all;
}
function holds(world: World, part: string): boolean {
  for (const text of world.broker.sagas.values()) if (text.includes(part)) return true;
  return false;
}

/** Runs a scenario to its end, and says what was violated. */
export async function simulate(scenario: Scenario, verbose = false): Promise<Outcome> {
  const log: string[] = [];
  Error.stackTraceLimit = verbose ? 10 : 0; // most errors of a simulation are read by nobody
  const world = createWorld(scenario, begin, verbose ? (line) => void log.push(line) : undefined);
  setWorld(world);
  setUp(world);
  const watch = createWatch(world);
  watch.check();
  world.boot();
  const quietMs = scenario.faults.some(({ deed }) => LASTING.includes(deed.what)) ? LONG_QUIET_MS : QUIET_MS;
  let quietSince = 0;
  let resumed = false;
  let ended = false;
  const isMended = () =>
    world.loop.now() > world.deeds.busyUntil &&
    !world.hasCuts() &&
    [...world.machines.values()].every((one) => one.powered);
  /** Stuck sagas are resumed once, when all is mended. */
  function lookAgain(): void {
    const now = world.loop.now();
    if (!isMended() || holds(world, '"result":"running"')) quietSince = now;
    else if (now - quietSince > quietMs) {
      if (!resumed && holds(world, '"result":"stuck"')) {
        resumed = true;
        quietSince = now;
        const sagas = sagasOf(world);
        checkEnd(world, watch, sagas);
        for (const { id } of sagas.filter((one) => one.result === 'stuck'))
          world.deeds.ask('master', 'orchestrator.resume', { id });
      } else ended = true;
    }
    if (!ended) world.loop.after(LOOK_MS, undefined, lookAgain);
  }
  world.loop.after(SETTLE_MS, undefined, () => {
    world.triggers.expect(scenario.faults);
    quietSince = world.loop.now();
    world.loop.after(LOOK_MS, undefined, lookAgain);
  });
  await world.loop.run(END_MS, () => {
    watch.check();
    return ended || world.violations.length > 0;
  });
  const sagas = sagasOf(world);
  if (world.violations.length === 0) {
    checkEnd(world, watch, sagas);
    // what stays in the way by a person's hand, or does not start, is mended by a person
    const isTouched = world.deeds.handled || scenario.faults.some(({ deed }) => deed.what === 'nostart');
    for (const { id, result, message } of sagas)
      if (result === 'stuck' && !isTouched)
        world.violate(`all is mended, and saga ${id} is stuck still: ${message}`);
  }
  for (const { id, result, message } of sagas) world.say('master', `${id}: ${result}: ${message}`);
  setWorld(undefined);
  return {
    violations: world.violations,
    log,
    sagas: sagas.map(({ kind, result }) => ({ kind, result })),
    ms: world.loop.now(),
  };
}
