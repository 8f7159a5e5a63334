import { parentPort, workerData } from 'node:worker_threads';
import { install } from './os/globals.ts';
import { runSeeds } from './runs.ts';
import { formatScenario, parseScenario } from './scenario.ts';
import { scenarioFor } from './runs.ts';
import { simulate } from './simulate.ts';
import type { Job } from './threads.ts';

// A thread that simulates: it does one job, and says what came of it.
const job = (workerData as { job: Job }).job;
install();
if (job.what === 'seeds') parentPort?.postMessage(await runSeeds(job.saga, job.range, job.options));
else {
  const scenario = job.what === 'seed' ? scenarioFor(job.saga, job.seed) : parseScenario(job.text);
  parentPort?.postMessage({ ...(await simulate(scenario, true)), text: formatScenario(scenario) });
}
