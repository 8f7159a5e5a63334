import { appendFileSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openJournals } from '../../services/orchestrator/journal.ts';

const fresh = () => mkdtempSync(join(tmpdir(), 'vs-journal-'));

test('a torn last line is cut off, and the journal goes on after it', () => {
  const directory = fresh();
  const journals = openJournals(directory);
  journals.append('a', { kind: 'begin' });
  const file = join(directory, 'a.jsonl');
  appendFileSync(file, '{"ts":1,"kind":"sta');
  expect(journals.read('a').map((line) => line.kind)).toEqual(['begin']);
  journals.append('a', { kind: 'started', step: 'lock' });
  expect(journals.read('a').map((line) => line.kind)).toEqual(['begin', 'started']);
  expect(readFileSync(file, 'utf8').endsWith('\n')).toBe(true);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('damage in the middle is named by file and line', () => {
  const directory = fresh();
  const journals = openJournals(directory);
  writeFileSync(join(directory, 'b.jsonl'), '{"ts":1,"kind":"begin"}\nnonsense\n{"ts":2,"kind":"end"}\n');
  expect(() => journals.read('b')).toThrow(/b\.jsonl:2 is damaged/);
});
