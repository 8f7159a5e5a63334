import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { settingsSchema } from '../../config/settings.ts';
import { docsFiles, staleDocs } from '../../deploy/docs.ts';
import { commandsIn, fault, shellWords } from '../../deploy/docs/commands.ts';
import { diagram } from '../../deploy/docs/sagas-md.ts';
import { textAfter } from '../../deploy/package/man.ts';
import { wholeProgram } from '../../deploy/package/pages.ts';
import { temporary } from './temporary.ts';

const root = new URL('../../', import.meta.url).pathname;
const program = await wholeProgram();
const made = await docsFiles();
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
].filter((page) => existsSync(join(root, page)));
const text = (page: string) => readFileSync(join(root, page), 'utf8');

describe('what is made from the programs', () => {
  test('is up to date: node deploy/docs.ts writes it', () => {
    expect(staleDocs(made)).toEqual([]);
  });

  test('a changed and a missing file are not up to date', () => {
    const directory = temporary('docs');
    mkdirSync(join(directory, 'docs'));
    for (const [file, content] of made) writeFileSync(join(directory, file), content);
    expect(staleDocs(made, directory)).toEqual([]);
    writeFileSync(join(directory, 'docs/verbs.md'), 'older');
    expect(staleDocs(made, directory)).toEqual(['docs/verbs.md']);
    expect(staleDocs(made, temporary('none')).length).toBe(made.size);
  });

  test('every verb, and what is below it, has its section', () => {
    const all = (command: Command): string[] =>
      command.commands
        .filter((one) => one.name() !== 'help')
        .flatMap((one) => [one.name(), ...all(one).map((below) => `${one.name()} ${below}`)]);
    const headings = (made.get('docs/verbs.md') ?? '')
      .match(/^#+ vs .*$/gm)
      ?.map((line) => line.replace(/^#+ vs /, ''));
    expect(headings?.toSorted()).toEqual(all(program).toSorted());
  });

  test('every key of vs-tools.conf is told in some page', () => {
    const rows = (made.get('docs/files.md') ?? '')
      .split('\n')
      .filter((line) => /^\| `[A-Z_]+` \|/.test(line));
    expect(rows).toHaveLength(Object.keys(settingsSchema.shape).length);
    expect(rows.filter((row) => row.endsWith('|  |'))).toEqual([]);
  });

  test('a diagram shows undo, point of no return and downtime', () => {
    const steps = [
      { name: 'lock', host: 'host1', undo: () => Promise.resolve() },
      { name: 'stop', host: 'host1', downtime: true },
      { name: 'give up', host: 'host1', downtime: true, pnr: true },
      { name: 'clean up', host: 'host2' },
    ];
    expect(diagram(steps).split('\n')).toEqual([
      'flowchart LR',
      '  s0["lock<br/><small>host1</small>"]:::back',
      '  subgraph down [not running]',
      '    direction LR',
      '    s1["stop<br/><small>host1</small>"]',
      '    s2{{"give up<br/><small>host1</small>"}}',
      '  end',
      '  s3["clean up<br/><small>host2</small>"]',
      '  s0 --> s1 --> s2 --> s3',
      '  classDef back stroke-dasharray: 4 3',
    ]);
  });
});

describe('commands in the documentation', () => {
  // in its tables these are ways of a move, and no lines
  const labels = new Set(['in the clear', 'crash-consistent']);

  test.each(pages)('%s: each line of vs is one that vs takes', (page) => {
    const faults = commandsIn(text(page))
      .filter((one) => !labels.has(one.text))
      .map((one) => ({ one, what: fault(program, one) }))
      .filter(({ what }) => what !== undefined)
      .map(({ one, what }) => `${page}:${one.line}: vs ${one.text}: ${what}`);
    expect(faults).toEqual([]);
  });

  test('so are the examples of every help', () => {
    const examples = (command: Command): string[] => [
      ...textAfter(command).split('\n'),
      ...command.commands.flatMap(examples),
    ];
    const lines = examples(program)
      .filter((line) => /^ {2}vs /.test(line))
      .join('\n');
    const found = commandsIn(`\`\`\`\n${lines}\n\`\`\``);
    expect(found.length).toBeGreaterThan(100);
    expect(found.map((one) => fault(program, one)).filter(Boolean)).toEqual([]);
  });

  test('there are many of them, and most are whole lines', () => {
    const all = pages.flatMap((page) => commandsIn(text(page)));
    expect(all.length).toBeGreaterThan(300);
    expect(all.filter((one) => one.whole).length).toBeGreaterThan(100);
  });

  test.each([
    ['moove web1 host2', 'no verb moove'],
    ['move web1', 'takes'],
    ['move web1 host2 host3', '3 words'],
    ['move web1 host2 --fast', 'no option --fast'],
    ['snapshot crate web1 x', 'no crate'],
    ['saga follow', 'takes'],
  ])('vs %s is found wrong', (line, why) => {
    expect(fault(program, { text: line, whole: true })).toContain(why);
  });

  test.each([
    'move web1 host2 --transport rsync --full   # by hand',
    'exec web1 -- ls --fast | grep x',
    `user add grafana --read 'vs/1/hosts/+/metrics' 'a b'`,
    'move --help',
  ])('vs %s is right', (line) => {
    expect(fault(program, { text: line, whole: true })).toBeUndefined();
  });

  test('a mention may leave out what a line needs, but no option may be wrong', () => {
    expect(fault(program, { text: 'move', whole: false })).toBeUndefined();
    expect(fault(program, { text: 'move NAME HOST [--transport rsync]', whole: false })).toBeUndefined();
    expect(fault(program, { text: 'move --fast', whole: false })).toContain('--fast');
  });

  test('where what is printed stands too, only what is typed counts', () => {
    const block =
      '```\n$ vs scan\n  vs evacuate moves vservers away\n```\nsee `vs top`\n```json\nvs nothing\n```';
    expect(commandsIn(block)).toEqual([
      { line: 2, text: 'scan', whole: true },
      { line: 5, text: 'top', whole: false },
    ]);
    expect(
      commandsIn('```\neval "$(./vs lab env)"; sudo vs scan | head\n```').map((one) => one.text),
    ).toEqual(['lab env)"; sudo vs scan | head', 'scan | head']);
  });

  test('words as a shell has them', () => {
    expect(shellWords(`a "b c" 'd;e' f\\ g x="y z" # h`)).toEqual(['a', 'b c', 'd;e', 'f g', 'x=y z']);
    expect(shellWords('lab env)"; x')).toEqual(['lab', 'env']);
    expect(shellWords('scan > out')).toEqual(['scan']);
  });
});

test.each(pages)('%s: what it links to is there', (page) => {
  const links = [
    ...text(page)
      .replaceAll(/`[^`]*`/g, '')
      .matchAll(/\]\((?!https?:|#)([^)#\s]+)/g),
  ].map(([, to = '']) => to);
  expect(links.filter((to) => !existsSync(join(root, dirname(page), to)))).toEqual([]);
});
