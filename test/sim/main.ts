import { readFile, readdir, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { kinds } from './kinds/all.ts';
import { mutations } from './mutations.ts';
import type { Failure } from './runs.ts';
import { type Replay, openThread, replayScenario, replaySeed, simulateSeeds } from './threads.ts';

const usage = `npm run test:sim -- [--seeds N] [--saga NAME]     N seeds of every saga, or of one (300)
npm run test:sim -- --seed N --saga NAME          one seed with its whole log
npm run test:sim -- --scenario FILE [--update]    a scenario with its log; writes FILE's .expected
npm run test:sim -- --mutations [--seeds N]       in which seed each mutation is found (100), or the one that is named
    --mutation NAME   puts a fault into the code first      --threads N   (2)
sagas: ${Object.keys(kinds).join(', ')}`;
const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string' },
    seed: { type: 'string' },
    saga: { type: 'string' },
    scenario: { type: 'string' },
    update: { type: 'boolean' },
    mutation: { type: 'string' },
    mutations: { type: 'boolean' },
    threads: { type: 'string', default: '2' },
    help: { type: 'boolean', short: 'h' },
  },
});
const threads = Number(values.threads);
const { mutation, saga } = values;

function show(replay: Replay): void {
  console.log(`${replay.text}\n${replay.log.join('\n')}`);
  for (const text of replay.violations) console.log(`VIOLATED ${text}`);
  if (replay.violations.length > 0) process.exitCode = 1;
}
function showFailure({ saga: kind, seed, violations, scenario }: Failure): void {
  console.log(
    `\nVIOLATED ${violations.join('\nVIOLATED ') || 'in the whole scenario, not in the shortest one'}`,
  );
  console.log(
    `replay: npm run test:sim -- --seed ${seed} --saga ${kind}${mutation ? ` --mutation ${mutation}` : ''}`,
  );
  console.log(`shortest scenario that was found:\n${scenario}`);
}
/** The scenarios that lie here, or the one that is named. */
async function scenarios(): Promise<string[]> {
  if (values.scenario !== undefined && values.scenario !== 'all') return [values.scenario];
  const directory = new URL('./scenarios/', import.meta.url);
  return (await readdir(directory))
    .filter((file) => file.endsWith('.txt'))
    .map((file) => new URL(file, directory).pathname);
}

if (values.help) console.log(usage);
else if (values.scenario !== undefined)
  for (const file of await scenarios()) {
    const replay = await replayScenario(await readFile(file, 'utf8'), undefined, mutation);
    show(replay);
    if (values.update) await writeFile(file.replace(/\.txt$/, '.expected'), `${replay.log.join('\n')}\n`);
  }
else if (values.seed !== undefined) show(await replaySeed(saga ?? 'move', Number(values.seed), mutation));
else if (values.mutations) {
  const seeds = Number(values.seeds ?? 100);
  for (const { name, saga: kind } of mutations.filter((one) => !mutation || one.name === mutation)) {
    const { failures } = await simulateSeeds(kind, seeds, {
      threads,
      most: 1,
      shrinks: false,
      mutation: name,
    });
    const [first] = failures;
    console.log(
      `${first ? `seed ${String(first.seed).padStart(4)}` : 'NOT FOUND'}  ${name}: ${first?.violations[0] ?? ''}`,
    );
    if (!first) process.exitCode = 1;
  }
} else {
  const seeds = Number(values.seeds ?? 300);
  const all = saga === undefined ? Object.keys(kinds) : [saga];
  const open = Array.from({ length: threads }, () => openThread(mutation));
  const whole = performance.now();
  let failed = 0;
  for (const kind of all) {
    const began = performance.now();
    const from = Number(values.from ?? 1);
    const { results, failures } = await simulateSeeds(kind, seeds, { threads: open, from });
    const took = performance.now() - began;
    const ends = Object.entries(results)
      .sort()
      .map(([key, number]) => `${number} ${key}`)
      .join(', ');
    console.log(
      `${kind}: ${seeds} seeds in ${(took / 1000).toFixed(1)} s (${(took / seeds).toFixed(1)} ms a seed): ${ends}`,
    );
    for (const failure of failures) showFailure(failure);
    failed += failures.length;
  }
  await Promise.all(open.map((thread) => thread.end()));
  const took = (performance.now() - whole) / 1000;
  console.log(
    `${all.length} sagas, ${seeds} seeds of each, in ${took.toFixed(0)} s on ${threads} threads (${(process.cpuUsage().user / 1e6).toFixed(0)} s of processor time): ${failed > 0 ? `${failed} violated what must hold` : 'no violation'}`,
  );
  if (failed > 0) process.exitCode = 1;
}
