import { readFileSync } from 'node:fs';

/** Fails when a test was skipped that must run on every machine where CI runs; see test/must-run.txt, or the list that is named. */
interface Report {
  testResults: { name: string; assertionResults: { fullName: string; status: string }[] }[];
}
const [, , file, list = new URL('../test/must-run.txt', import.meta.url)] = process.argv;
if (!file) {
  console.error('usage: no-skips.ts VITEST_JSON_REPORT [LIST]');
  process.exit(2);
}
const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
const must = readFileSync(list, 'utf8')
  .split('\n')
  .map((line) => line.trim())
  .filter((line) => line && !line.startsWith('#'));
const results = report.testResults.flatMap((result) => result.assertionResults);
/** Did all tests that a line names pass, and was there one? */
function passed(name: string): boolean {
  const meant = results.filter((test) =>
    name.endsWith('*') ? test.fullName.startsWith(name.slice(0, -1)) : test.fullName === name,
  );
  return meant.length > 0 && meant.every((test) => test.status === 'passed');
}
const missing = must.filter((name) => !passed(name));
for (const name of missing) console.error(`must not be skipped, but did not pass: ${name}`);
if (missing.length > 0) process.exit(1);
console.log(`${must.length} tests that must not be skipped ran and passed`);
