import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadCreate, parseCreate } from '../../config/create.ts';
import { VsError } from '../../shared/errors.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-create-conf-'));
afterAll(() => rmSync(directory, { recursive: true }));
const fault = (text: string): VsError => {
  try {
    parseCreate(text, 'create.conf');
  } catch (error) {
    if (error instanceof VsError) return error;
    throw error;
  }
  throw new Error(`this was taken: ${text}`);
};

test('the lines of the classic: shell words, comments, blank lines, quotes of both kinds', () => {
  const text = `# defaults of vs-create
DEVICE=eth0
DOMAIN="example.org"
NAMESERVER='10.60.10.2'
PREFIX=24
VLAN=10
MTU=1496            # bad NICs
CONTEXT_METHOD=dec

LIMIT_RSS=512m
SUITE="bookworm"
  MIRROR=http://deb.debian.org/debian
TEMPLATE=
`;
  expect(parseCreate(text, 'create.conf')).toEqual({
    DEVICE: 'eth0',
    DOMAIN: 'example.org',
    NAMESERVER: '10.60.10.2',
    PREFIX: '24',
    VLAN: '10',
    MTU: '1496',
    CONTEXT_METHOD: 'dec',
    LIMIT_RSS: '512m',
    SUITE: 'bookworm',
    MIRROR: 'http://deb.debian.org/debian',
    TEMPLATE: '',
  });
});

test.each([
  ['no text', '', {}],
  ['comments alone', '# a\n  # b\n', {}],
  ['no line end at the last line', 'A=1\nB=2', { A: '1', B: '2' }],
  ['line ends of DOS', 'A=1\r\nB="2"\r\n', { A: '1', B: '2' }],
  ['blanks around =', 'A = 1\n', { A: '1' }],
  ['= in a value', 'OPTS=a=b=c\n', { OPTS: 'a=b=c' }],
  ['blanks in quotes', 'A=" x y "\n', { A: ' x y ' }],
  ['quotes of the other kind inside', `A="it's"\n`, { A: "it's" }],
  ['# inside quotes', 'A="a # b"\n', { A: 'a # b' }],
  ['# inside a word', 'MIRROR=http://mirror/debian#main\n', { MIRROR: 'http://mirror/debian#main' }],
  ['nothing is run', 'A=$(touch /tmp/x)\nB=`id`\n', { A: '$(touch /tmp/x)', B: '`id`' }],
])('%s', (_, text, expected) => {
  expect(parseCreate(text, 'create.conf')).toEqual(expected);
});

test('every fault is named by file and line, all at once, and nothing is taken', () => {
  const error = fault(`# comment
SUITE=bookworm
suite=trixie

SUITE=trixie
export VLAN=10
just words
=value
2ND=x
MY-KEY=x
GOOD=1
SUITE=again
`);
  expect(error.code).toBe('usage');
  expect(error.message.split('\n')).toEqual([
    'create.conf:3: expected KEY=value, found "suite=trixie"',
    'create.conf:5: SUITE is set already',
    'create.conf:6: expected KEY=value, found "export VLAN=10"',
    'create.conf:7: expected KEY=value, found "just words"',
    'create.conf:8: expected KEY=value, found "=value"',
    'create.conf:9: expected KEY=value, found "2ND=x"',
    'create.conf:10: expected KEY=value, found "MY-KEY=x"',
    'create.conf:12: SUITE is set already',
  ]);
});

test('a quote that is not closed is a fault, as it is for the shell that read the classic file', () => {
  expect(fault('A=1\nB="open\nC=\'open\n').message).toMatch(/create\.conf:2: [^]*create\.conf:3: /);
});

test('a long line is quoted in part only', () => {
  const { message } = fault(`${'x'.repeat(5000)}\n`);
  expect(message.length).toBeLessThan(120);
});

test('the file of a configuration directory; none is no fault, one that cannot be read is', async () => {
  expect(await loadCreate({ CONFIG_DIR: directory })).toEqual({});
  writeFileSync(join(directory, 'create.conf'), 'SUITE=bookworm\n');
  expect(await loadCreate({ CONFIG_DIR: directory })).toEqual({ SUITE: 'bookworm' });
  writeFileSync(join(directory, 'create.conf'), 'SUITE\n');
  await expect(loadCreate({ CONFIG_DIR: directory })).rejects.toThrow(`${directory}/create.conf:1: expected`);
  await expect(loadCreate({ CONFIG_DIR: join(directory, 'create.conf') })).rejects.toThrow(/ENOTDIR/);
});

test('the sample is taken', async () => {
  const samples = new URL('../../config/samples', import.meta.url).pathname;
  expect(await loadCreate({ CONFIG_DIR: samples })).toBeTypeOf('object');
});
