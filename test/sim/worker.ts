import { parentPort, workerData } from 'node:worker_threads';
import { install } from './os/globals.ts';
import { runSeeds, scenarioFor } from './runs.ts';
import { parseScenario } from './parse.ts';
import { formatScenario } from './scenario.ts';
import { simulate } from './simulate.ts';
import type { Job } from './threads.ts';

// A thread that simulates: it does one job, and says what came of it.
const job = (workerData as { job: Job }).job;
install();
/** To the thread that asked. */
const answer = (result: object): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is of windows
  parentPort?.postMessage(result);
};
if (job.what === 'seeds') answer(await runSeeds(job.saga, job.range, job.options));
else {
  const scenario = job.what === 'seed' ? scenarioFor(job.saga, job.seed) : parseScenario(job.text);
  answer({ ...(await simulate(scenario, true)), text: formatScenario(scenario) });
}
