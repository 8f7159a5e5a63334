import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { describeFailure } from '../../cli/exit.ts';
import { closing, leaving, sagaExit, stepLine } from '../../cli/follow.ts';
import { wrap } from '../../cli/help.ts';
import { checkName, parseAddress } from '../../cli/names.ts';
import { size, span } from '../../cli/table.ts';
import { startLines } from '../../cli/units.ts';
import { rowsOf } from '../../cli/verbs/scan.ts';
import { agentFlags } from '../../shared/agent-flags.ts';
import { VsError } from '../../shared/errors.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-cli-'));
afterAll(() => rmSync(directory, { recursive: true }));
const shim = new URL('../../vs', import.meta.url).pathname;
const vs = (args: string[], file = shim) =>
  spawnSync(file, args, {
    encoding: 'utf8',
    env: { ...process.env, VS_CONFIG_DIR: directory, VS_BROKER_URL: `unix://${directory}/none.sock` },
  });

test('vs starts the agent with the flags that keep it small', () => {
  expect(readFileSync(shim, 'utf8')).toContain(`small="${agentFlags.join(' ')}"`);
});

describe('exit codes', () => {
  test.each([
    [['scna'], 2],
    [['help', 'scna'], 2],
    [['move', 'web1'], 2],
    [['move', 'Web_1', 'host2'], 2],
    [['create', 'web1', '10.0.0.999', 'busybox'], 2],
    [['create', 'web1', '10.0.0.9', 'busybox', '--ssh-key', '/nosuch'], 2],
    [['create', 'web1', '10.0.0.9', 'busybox', '--ssh-key', '/etc/passwd'], 2],
    [['create', 'web1', '10.0.0.9', 'busybox', '--post-install', '/etc'], 2],
    [['template', 'update'], 2],
    [['template', 'update', 'bookworm', '--all'], 2],
    [['remove', 'web1'], 2],
    [['start'], 2],
    [['call', 'host1', 'x.y', '[1]'], 2],
    [['service', 'broker', 'network'], 2],
    [['scan'], 4],
    [['start', 'web1'], 4],
    [['version'], 0],
    [['call', '--list'], 0],
    [['move', '--help'], 0],
    [['help', 'saga'], 0],
  ])('vs %j ends with %i and no stack trace', (args, code) => {
    const result = vs(args);
    expect([result.status, result.stderr]).toEqual([code, expect.not.stringContaining('    at ')]);
  });

  test.each([
    [['scna'], /Did you mean scan\?/],
    [['help', 'scna'], /Did you mean scan\?/],
    [['snapshot', 'crate', 'web1'], /Did you mean create\?/],
    [['move', 'web1', 'host2', '--transprot', 'x'], /Did you mean --transport\?/],
  ])('vs %j names what was meant, and --help', (args, meant) => {
    const { stderr } = vs(args);
    expect(stderr).toMatch(meant);
    expect(stderr).toContain('--help');
  });

  test('no broker: the sentence names the address and what to do', () => {
    const { stderr } = vs(['scan']);
    expect(stderr).toContain(`unix://${directory}/none.sock`);
    expect(stderr).toContain('./vs lab env');
  });

  test('stuck is 3, a fault of ours 1', () => {
    expect(describeFailure(new VsError('stuck', 'x')).code).toBe(3);
    expect(describeFailure(new Error('x')).code).toBe(1);
  });
});

test('the shim works through a symlink', () => {
  const link = join(directory, 'vs');
  symlinkSync(shim, link);
  expect(vs(['version'], link).stdout).toMatch(/^vs-tools /);
});

test('names and addresses', () => {
  expect(checkName('web1')).toBe('web1');
  for (const bad of ['', '-a', 'a-', 'A', 'a_b', 'a'.repeat(33), '../x'])
    expect(() => checkName(bad)).toThrow(VsError);
  expect(parseAddress('10.0.0.5/24,fd60::5')).toEqual({
    address: '10.0.0.5',
    prefix: 24,
    address6: 'fd60::5',
  });
  for (const bad of ['', '10.0.0', '10.0.0.5/33', '10.0.0.5/', '10.0.0.5,10.0.0.6', '10.0.0.5/24/1'])
    expect(() => parseAddress(bad)).toThrow(VsError);
});

test('sizes and spans', () => {
  expect([size(12_000), size(640e6), size(1.24e9), size(999_700)]).toEqual([
    '12 kB',
    '640 MB',
    '1.2 GB',
    '1.0 MB',
  ]);
  expect([span(580), span(9200), span(125_000)]).toEqual(['0.58 s', '9.2 s', '2 min 5 s']);
});

test('a step fits into 80 columns; a live one has bar, rate and time left', () => {
  const done = stepLine({ step: 'check', state: 'done', ms: 100, message: 'x'.repeat(200), downtime: true });
  expect(done.length).toBeLessThanOrEqual(80);
  expect(done).toMatch(/0\.10 s {2}\|$/);
  const live = stepLine(
    { step: 'seed', state: 'running' },
    { id: 'a', step: 'seed', bytes: 640e6, total: 874e6, rate: 112e6, eta: 2000 },
  );
  expect(live).toMatch(/\[=+> *\] 640 MB {2}112 MB\/s {2}2 s left$/);
});

test('the end of a saga', () => {
  const state = {
    id: 's1',
    kind: 'move' as const,
    vserver: 'web1',
    args: {},
    title: 't',
    steps: [],
    started: 0,
    ended: 9200,
  };
  expect(sagaExit({ ...state, result: 'undone' })).toBe(1);
  expect(sagaExit({ ...state, result: 'stuck' })).toBe(3);
  expect(closing({ ...state, result: 'done', downtimeMs: 580 })).toContain('9.2 s in all, 0.58 s of it down');
});

test('scan from retained topics: vservers of an offline host are unknown', () => {
  const state = {
    host: 'host1',
    name: 'web1',
    state: 'running',
    enabled: true,
    address: '10.0.0.5',
    network: 'blue',
    epoch: 1,
  };
  const rows = rowsOf(
    new Map<string, unknown>([
      ['vs/1/hosts/host1/vservers/web1/state', state],
      ['vs/1/hosts/host1/status', { state: 'offline' }],
      ['vs/1/hosts/host2/status', { state: 'online' }],
      [
        'vs/1/hosts/host2/vservers/six/state',
        { ...state, host: 'host2', name: 'six', address: undefined, address6: 'fd60::5', more: [] },
      ],
    ]),
  );
  expect(rows.map((row) => [row.host, row.vserver, row.state])).toEqual([
    ['host1', null, 'offline'],
    ['host1', 'web1', 'unknown'],
    ['host2', 'six', 'running'],
  ]);
  expect(rows[2]).toMatchObject({ address: 'fd60::5', address6: 'fd60::5', more: [] });
});

test('the next step names the units where they are, else the services', () => {
  const hand = ['broker', 'orchestrator networks'];
  expect(startLines(['vs-broker', 'vs-master'], hand, () => true)).toEqual([
    'systemctl enable --now vs-broker vs-master',
  ]);
  expect(startLines(['vs-broker', 'vs-master'], hand, (unit) => unit === 'vs-broker')).toEqual([
    'vs service broker',
    'vs service orchestrator networks',
  ]);
});

describe('80 columns', () => {
  test('sentences are broken between words, what is indented stays to be copied', () => {
    const long =
      'It is refused while that vserver lives anywhere in the pool, and while its address answers.';
    const line = `  vs create web1 10.60.10.5 bookworm ${'--also 10.60.20.10 '.repeat(4)}`;
    const lines = wrap(`${long}\n\n${line}\n`).split('\n');
    expect(lines.slice(2)).toEqual(['', line, '']);
    expect(lines.slice(0, 2).join(' ')).toBe(long);
    expect(Math.max(...lines.slice(0, 2).map((one) => one.length))).toBeLessThanOrEqual(80);
    expect(wrap('x'.repeat(100))).toBe('x'.repeat(100));
  });

  test('a paragraph with a line that is too long is filled anew, and no other', () => {
    const words = 'all of it is said in words of some length '.repeat(4).trim();
    const text = `short\nlines stay\n\n${words.slice(0, 90)}\n${words.slice(91)}\n\nExamples:\n  vs scan\n`;
    const lines = wrap(text).split('\n');
    expect(lines.slice(0, 3)).toEqual(['short', 'lines stay', '']);
    expect(lines.slice(3, 6).join(' ')).toBe(words);
    expect(lines.slice(3, 5).every((line) => line.length > 70 && line.length <= 80)).toBe(true);
    expect(lines.slice(6)).toEqual(['', 'Examples:', '  vs scan', '']);
  });

  test.each([['snapshot'], ['stats'], ['recover']])('vs %s --help fits', (verb) => {
    const wide = vs([verb, '--help'])
      .stdout.split('\n')
      .filter((line) => line.length > 80 && !line.startsWith('  vs '));
    expect(wide).toEqual([]);
  });
});

test('who stops looking at a saga reads how to follow and how to abort it', () => {
  const text = leaving('move-x1', { kind: 'move', vserver: 'web1' });
  expect(text).toMatch(/^The move of web1 goes on/);
  expect(text).toContain('vs saga follow move-x1');
  expect(text).toContain('vs saga abort move-x1');
  expect(leaving('move-x1')).toContain('Saga move-x1 goes on');
});
