import { parentPort } from 'node:worker_threads';
import { install } from './os/globals.ts';
import { runSeeds, scenarioFor } from './runs.ts';
import { parseScenario } from './parse.ts';
import { formatScenario } from './scenario.ts';
import { simulate } from './simulate.ts';
import type { Job } from './threads.ts';

// A thread that simulates: it does one job after the other, and says what came of each.
install();
/** To the thread that asked. */
const answer = (result: object): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is of windows
  parentPort?.postMessage(result);
};
async function carryOut(job: Job): Promise<object> {
  if (job.what === 'seeds') return runSeeds(job.saga, job.range, job.options);
  const scenario = job.what === 'seed' ? scenarioFor(job.saga, job.seed) : parseScenario(job.text);
  return { ...(await simulate(scenario, true)), text: formatScenario(scenario) };
}
parentPort?.on('message', (job: Job) => void carryOut(job).then(answer));
