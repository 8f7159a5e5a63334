import { install } from './os/globals.ts';
import { runSeeds, scenarioFor } from './runs.ts';
import { simulate } from './simulate.ts';
import { formatScenario } from './scenario.ts';
install();
const [saga = 'move', from = '1', to = '50', verbose] = process.argv.slice(2);
if (verbose === 'v') {
  const s = scenarioFor(saga, Number(from));
  console.log(formatScenario(s));
  const r = await simulate(s, true);
  console.log(r.log.join('\n'));
  console.log(r.violations);
} else {
  const c0 = process.cpuUsage();
  const t = await runSeeds(
    saga,
    { from: Number(from), to: Number(to), step: 1 },
    { most: 1000, shrinks: false },
  );
  console.log('events a seed', (globalThis as any).EV / t.seeds);
  console.log(t.seeds, t.results, process.cpuUsage(c0).user / 1000 / t.seeds, 'ms');
  const by = new Map<string, number[]>();
  for (const f of t.failures) {
    const k = (f.violations[0] ?? '')
      .replace(/^\d+ ms: /, '')
      .replace(/v\d+/g, 'vN')
      .replace(/[a-z]+-mw\w+/, 'ID')
      .slice(0, 150);
    by.set(k, [...(by.get(k) ?? []), f.seed]);
  }
  for (const [k, v] of by) console.log(v.length, k, v.slice(0, 8).join(' '));
}
