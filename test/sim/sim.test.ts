import { readFileSync, readdirSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { kinds } from './kinds/all.ts';
import { mutations } from './mutations.ts';
import { parseScenario } from './parse.ts';
import { formatScenario } from './scenario.ts';
import { openThread, replayScenario, replaySeed, simulateSeeds } from './threads.ts';

/** VS_TEST_FULL=1: as many as the check wants, 10 000, and every mutation. */
const full = process.env['VS_TEST_FULL'] === '1';
const seeds = full ? 10_000 : 100;
const threads = 2;
/** Of the code as it is; their start takes longer than most of what they do. */
const open = Array.from({ length: threads }, () => openThread());
afterAll(() => Promise.all(open.map((thread) => thread.end())));
/** A mutation is found within so many seeds. */
const FOUND_WITHIN = 100;
const some = [
  'start-before-give-up',
  'start-without-ownership',
  'undo-after-the-point-of-no-return',
  'removed-and-forgotten',
];

const folder = new URL('./scenarios/', import.meta.url);
const files = readdirSync(folder).filter((file) => file.endsWith('.txt'));
const textOf = (file: string) => readFileSync(new URL(file, folder), 'utf8');

describe('a scenario', () => {
  test.each(files)('%s goes as it is written', async (file) => {
    const { log, violations } = await replayScenario(textOf(file), open[0]);
    expect(violations).toEqual([]);
    // a change that is meant: npm run test:sim -- --scenario FILE --update
    expect(`${log.join('\n')}\n`).toBe(textOf(file.replace('.txt', '.expected')));
  });

  test('is written as it is read', () => {
    for (const file of files) {
      const scenario = parseScenario(textOf(file));
      expect(parseScenario(formatScenario(scenario)), file).toEqual(scenario);
    }
  });

  test('with a fault is named by its line', () => {
    expect(() => parseScenario('seed 1\nat 5 explode host1 3\n')).toThrow('line 2, "at 5 explode host1 3"');
  });
});

describe('seeds', () => {
  test.each(Object.keys(kinds))(`of %s violate nothing`, async (saga) => {
    const { failures, seeds: ran, results } = await simulateSeeds(saga, seeds, { threads: open });
    expect(failures.map(({ seed, violations, scenario }) => ({ seed, violations, scenario }))).toEqual([]);
    expect(ran).toBe(seeds);
    expect(results[`${kinds[saga]?.of ?? saga} done`] ?? 0).toBeGreaterThan(seeds / 4);
  });

  test('are the same each time', async () => {
    const [one, two] = await Promise.all([replaySeed('move', 14), replaySeed('move', 14)]);
    expect(one.log.length).toBeGreaterThan(20);
    expect(two.log).toEqual(one.log);
  });
});

describe('a mutation', () => {
  test('changes the code as it is now', () => {
    for (const { name, edits } of mutations)
      for (const { file, from, to } of edits) {
        const source = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
        expect(source.replace(from, to), `${name} in ${file}`).not.toBe(source);
      }
  });
  const tried = mutations.filter(({ name }) => full || some.includes(name));
  test.each(tried)(`$name is found within ${FOUND_WITHIN} seeds`, async ({ name, saga }) => {
    const options = { threads, most: 1, shrinks: false, mutation: name };
    const { failures } = await simulateSeeds(saga, FOUND_WITHIN, options);
    expect(failures.length).toBeGreaterThan(0);
  });
});
