import { install } from './os/globals.ts';
import { parseScenario } from './scenario.ts';
import { simulate } from './simulate.ts';
install();
const sc = parseScenario(`seed 17
hosts host1${process.argv[2] ?? ''} host2${process.argv[2] ?? ''}
vserver web1 host1 running enabled
at 0 move web1 host2`);
const t0 = performance.now();
const r = await simulate(sc, true);
console.log(r.log.join('\n')); console.log(r.violations, r.sagas, r.ms, performance.now() - t0);
const N = 200; const t = performance.now();
for (let i = 0; i < N; i++) { sc.seed = i; await simulate(sc); }
console.log((performance.now() - t) / N, 'ms a seed');
