import { appendFileSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert, integer, nat, pre, property } from 'fast-check';
import { expect, test } from 'vitest';
import type { VsError } from '../../shared/errors.ts';
import { openJournals, parseJournal } from '../../services/orchestrator/journal.ts';
import { temporary } from './temporary.ts';

/** A journal of three lines: its directory, file and text. */
function three() {
  const directory = temporary('journal');
  const journals = openJournals(directory);
  journals.append('a', { kind: 'begin', plan: { kind: 'move' } });
  journals.append('a', { kind: 'started', step: 'lock' });
  journals.append('a', { kind: 'succeeded', step: 'lock', output: { epoch: 3 } });
  const file = join(directory, 'a.jsonl');
  return { directory, journals, file, text: readFileSync(file) };
}
const kinds = (journals: { read(id: string): { kind: string }[] }) =>
  journals.read('a').map((line) => line.kind);
const all = ['begin', 'started', 'succeeded'];

test('people and programs can read a line; its checksum is the last member', () => {
  const { text, file } = three();
  const lines = text.toString().trimEnd().split('\n');
  expect(JSON.parse(lines[1] ?? '')).toMatchObject({ kind: 'started', step: 'lock' });
  expect(lines[0]).toMatch(/^\{"ts":\d+,"kind":"begin","version":2,.*,"crc":"[0-9a-f]{8}"\}$/);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test.each([
  ['the first bytes of a line', '{"ts":1,"kind":"sta'],
  ['zeros', '\0'.repeat(4096)],
  ['bytes of anything without an end', '\u0001\u00ff{}}}'],
  ['a line with zeros in its middle', '{"ts":1,"kind":"started",\0\0\0\0\0\0"crc":"00000000"}\n'],
  ['a line of zeros with an end', '\0\0\0\0\n'],
])('what a power cut leaves of the last line is cut off: %s', (_name, rest) => {
  const { directory, file, text } = three();
  appendFileSync(file, rest);
  const next = openJournals(directory);
  expect(kinds(next)).toEqual(all);
  expect(readFileSync(file)).toEqual(text);
  next.append('a', { kind: 'end' });
  expect(kinds(openJournals(directory))).toEqual([...all, 'end']);
});

test('a journal cut at any byte has its first lines, and goes on after them', () => {
  const { text } = three();
  const ends = [...text.toString().matchAll(/\n/g)].map(({ index }) => index);
  for (let size = 0; size <= text.length; size++) {
    const directory = temporary('journal');
    writeFileSync(join(directory, 'a.jsonl'), text.subarray(0, size));
    const journals = openJournals(directory);
    const whole = ends.filter((end) => size >= end).length; // without its newline a line is whole, too
    expect([size, kinds(journals)]).toEqual([size, all.slice(0, whole)]);
    journals.append('a', { kind: 'abort' });
    expect(kinds(openJournals(directory))).toEqual([...all.slice(0, whole), 'abort']);
  }
});

const broken = (file: string, content: Buffer | string): VsError => {
  try {
    parseJournal(Buffer.from(content), file);
  } catch (error) {
    return error as VsError;
  }
  throw new Error('it was taken as whole');
};

test('other damage is named by file and line: a changed, missing, doubled or exchanged line', () => {
  const { text } = three();
  const [one = '', two = '', last = ''] = text.toString().split('\n');
  const join3 = (...lines: string[]) => `${lines.join('\n')}\n`;
  const changed = last.replace('"epoch":3', '"epoch":4');
  expect(broken('/j/a.jsonl', join3(one, two, changed)).message).toMatch(
    /^\/j\/a\.jsonl:3 is damaged: .*vs scan.*move the file away$/,
  );
  expect(broken('a', join3(one, last)).message).toMatch(/^a:2 is damaged/);
  expect(broken('a', join3(one, two, two, last)).message).toMatch(/^a:3 is damaged/);
  expect(broken('a', join3(one, last, two)).message).toMatch(/^a:2 is damaged/);
  expect(broken('a', join3(two, last)).message).toMatch(/^a:1 is damaged/);
  expect(broken('a', join3(one, '\0\0', last)).message).toMatch(/^a:2 is damaged/); // no power cut: something follows
  expect(broken('a', join3(one, two, last.replace(/,"crc.*/, '}'))).message).toMatch(/^a:3 is damaged/);
  expect(broken('a', join3(one, two, changed)).details).toMatchObject({ line: 3, first: { kind: 'begin' } });
});

test('any other byte in the place of one is found, wherever it is', () => {
  const { text } = three();
  const newlines = new Set([...text.keys()].filter((at) => text[at] === 0x0a));
  assert(
    property(nat(text.length - 1), integer({ min: 1, max: 255 }), (at, value) => {
      pre(!newlines.has(at) && text[at] !== value);
      const content = Buffer.from(text);
      content[at] = value;
      expect(broken('a', content).message).toMatch(/^a:\d is damaged/);
    }),
    { numRuns: 2000 },
  );
});

test('an append that fails leaves the file as it was', () => {
  const { directory, journals, file, text } = three();
  const cyclic: Record<string, unknown> = {};
  cyclic['self'] = cyclic;
  expect(() => journals.append('a', { kind: 'started', cyclic })).toThrow(/circular/i);
  expect(() => journals.append('b', { kind: 'begin', cyclic })).toThrow(/circular/i);
  expect(readFileSync(file)).toEqual(text);
  expect(readdirSync(directory)).toEqual(['a.jsonl', 'reserve']);
});

test('a journal of before there were checksums is read, and goes on as it was', () => {
  const directory = temporary('journal');
  const file = join(directory, 'a.jsonl');
  const plan = { config: { version: 1 } };
  writeFileSync(
    file,
    `${JSON.stringify({ ts: 1, kind: 'begin', plan })}\n{"ts":2,"kind":"started"}\n{"ts":3,"ki`,
  );
  const journals = openJournals(directory);
  journals.append('a', { kind: 'succeeded' });
  expect(kinds(openJournals(directory))).toEqual(all);
  expect(readFileSync(file, 'utf8')).not.toContain('"crc"');
  writeFileSync(file, '{"ts":1,"kind":"begin"}\nnonsense\n{"ts":2,"kind":"end"}\n');
  expect(() => openJournals(directory).read('a')).toThrow(/a\.jsonl:2 is damaged/);
});

test('a journal of a newer version is left alone', () => {
  const text = '{"ts":1,"kind":"begin","version":3';
  expect(() => parseJournal(three().text, 'a')).not.toThrow();
  expect(broken('a', `${text},"crc":"00000000"}\n{"ts":2}\n`).message).toMatch(
    /a:1 is damaged|newer version/,
  );
});
