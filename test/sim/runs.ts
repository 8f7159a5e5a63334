import * as fc from 'fast-check';
import { scenarioOf } from './generate.ts';
import { kinds } from './kinds/all.ts';
import { type Scenario, formatScenario } from './scenario.ts';
import { simulate } from './simulate.ts';

export interface Failure {
  saga: string;
  seed: number;
  violations: string[];
  /** The shortest scenario that was found to fail. */
  scenario: string;
}
export interface Tally {
  seeds: number;
  /** By result of the sagas, such as "move done". */
  results: Record<string, number>;
  failures: Failure[];
}

const arbitraries = new Map<string, fc.Arbitrary<Scenario>>();
function arbitraryOf(saga: string): fc.Arbitrary<Scenario> {
  const kind = kinds[saga];
  if (!kind) throw new Error(`no saga ${saga} is simulated; there are ${Object.keys(kinds).join(', ')}`);
  let one = arbitraries.get(saga);
  if (!one) arbitraries.set(saga, (one = scenarioOf(kind)));
  return one;
}

/** The scenario of a seed: the same for ever, while test/sim/generate.ts is. */
export function scenarioFor(saga: string, seed: number): Scenario {
  const [scenario] = fc.sample(arbitraryOf(saga), { seed, numRuns: 1 });
  if (!scenario) throw new Error(`seed ${seed} makes no scenario`);
  return scenario;
}

/** A failing seed with as few faults as still fail. */
export async function shrink(saga: string, seed: number): Promise<Failure> {
  const found = await fc.check(
    fc.asyncProperty(
      arbitraryOf(saga),
      async (scenario) => (await simulate(scenario)).violations.length === 0,
    ),
    { seed, numRuns: 1, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: false },
  );
  const scenario = found.counterexample?.[0] ?? scenarioFor(saga, seed);
  const { violations } = await simulate(scenario);
  return { saga, seed, violations, scenario: formatScenario(scenario) };
}

/** Runs seeds from..to (exclusive) in steps; stops at so many failures. */
export async function runSeeds(
  saga: string,
  range: { from: number; to: number; step: number },
  options: { most: number; shrinks: boolean },
): Promise<Tally> {
  const tally: Tally = { seeds: 0, results: {}, failures: [] };
  for (let seed = range.from; seed < range.to; seed += range.step) {
    const scenario = scenarioFor(saga, seed);
    const { violations, sagas } = await simulate(scenario);
    tally.seeds++;
    for (const { kind, result } of sagas) {
      const key = `${kind} ${result}`;
      tally.results[key] = (tally.results[key] ?? 0) + 1;
    }
    if (violations.length === 0) continue;
    tally.failures.push(
      options.shrinks
        ? await shrink(saga, seed)
        : { saga, seed, violations, scenario: formatScenario(scenario) },
    );
    if (tally.failures.length >= options.most) break;
  }
  return tally;
}
