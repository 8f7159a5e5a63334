import { createInterface } from 'node:readline';
import { jobs } from './jobs.ts';

/**
 * A load generator in a process of its own: `swarm.ts JOB OPTIONS`. It says {"ready":true} once its clients are in, works when
 * it reads a line, and says {"done":RESULT} at the end.
 */
const [, , name = '', options = '{}'] = process.argv;
const say = (what: object) => process.stdout.write(`${JSON.stringify(what)}\n`);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const job = jobs[name as keyof typeof jobs];
if (!job) throw new Error(`there is no job ${name}`);

const work = await job(JSON.parse(options) as never);
say({ ready: true });
const line = await lines.next();
if (line.done) process.exit(1); // the bench went away
const result = await work();
const { user, system } = process.cpuUsage();
say({ done: { ...result, cpu: (user + system) / 1e6 } });
process.exit(0);
