import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { realLab } from './lab-kit.ts';

const lab = realLab('cl');
/** A command of 2007, in a pipe; its lines. */
function classic(name: string, args: string[], code = 0): string[] {
  const file = new URL(`../../classic/${name}`, import.meta.url).pathname;
  const done = spawnSync(file, args, { encoding: 'utf8', env: lab.environment, timeout: 180_000 });
  expect(done.status, `${name} ${args.join(' ')}: ${done.stdout}${done.stderr}`).toBe(code);
  return done.stdout.split('\n').filter(Boolean);
}

beforeAll(() => lab.up());
afterAll(() => lab.down());

test('each name once, as a person of 2007 would', () => {
  expect(classic('vs-scan', [])).toEqual(['host1:EMPTY', 'host2:EMPTY']);
  const made = classic('vs-create', [
    '--name',
    'web1',
    '--interface',
    'eth0:10.60.10.5/24',
    '--template',
    'busybox',
    '--host',
    'host1',
    '--rss',
    '64',
    '--proc',
    '50',
    '--cpu',
    '8/10',
    '--context',
    '10005',
    '--enable',
    '--assume_yes',
  ]);
  expect(made.at(-1)).toBe('host1:web1:enabled:stopped');
  expect(classic('vs-control', ['--name', 'web1', '--start'])).toEqual(['host1:web1:enabled:running']);
  expect(classic('vs-control', ['--all', '--disable'])).toEqual(['host1:web1:disabled:running']);
  expect(classic('vs-limit', ['--name', 'web1', '--rss', '128'])).toContainEqual(
    expect.stringMatching(/^rss:[\d.]+\/128$/),
  );
  expect(classic('vs-limit', ['--name', 'web1'])).toContainEqual(expect.stringMatching(/^proc:\d+\/50$/));
  const moved = classic('vs-move', [
    '--name',
    'web1',
    '--src_host',
    'host1',
    '--dst_host',
    'host2',
    '--1pass',
  ]);
  expect(moved[0]).toBe('host2:web1:disabled:running');
  expect(moved[1]).toMatch(/^total:\d+\.\d\d$/);
  expect(moved[2]).toMatch(/^stopped:\d+\.\d\d$/);
  expect(classic('vs-net', ['--name', 'web1', '--check'])).toEqual(['host2:web1:up:up:up:down:down']);
  expect(classic('vs-net', ['--name', 'web1', '--fw', 'up'])).toEqual(['host2:web1:up:up:up:up:up']);
  expect(classic('vs-net', ['--all'])).toEqual(['host2:web1:up:up:up:up:up']);
  expect(classic('vs-net', ['--name', 'web1', '--vlan', 'up'])).toEqual(['host2:web1:up:up:up:up:up']);
  expect(classic('vs-net', ['--all', '--fw', 'down'])).toEqual(['host2:web1:up:up:up:down:down']);
  classic('vs-net', ['--name', 'web1', '--fw', 'sideways'], 2);
  classic('vs-net', ['--name', 'web1', '--vlan', 'down'], 1); // it runs there
  const stats = classic('vs-stats', ['--name', 'web1']);
  expect(stats).toEqual(
    expect.arrayContaining(['host:host2', 'vserver:web1', 'state:running', 'address:10.60.10.5']),
  );
  expect(classic('vs-stats', ['--host', 'host2'])[0]).toBe('host:host2');
  expect(classic('vs-get', ['--name', 'web1'])).toEqual(['master:web1:disabled:stopped']);
  classic('vs-remove', ['--name', 'web1', '--assume_yes'], 1); // it runs
  expect(classic('vs-control', ['--name', 'web1', '--stop'])).toEqual(['host2:web1:disabled:stopped']);
  classic('vs-remove', ['--name', 'web1', '--host', 'host2', '--assume_yes']);
  expect(classic('vs-put', ['--name', 'web1', '--host', 'host1'])).toEqual(['host1:web1:disabled:stopped']);
  expect(classic('vs-functions', ['host1', 'network.show', '{"network":"blue"}']).join('')).toContain(
    '"vsbr10"',
  );
  expect(classic('vs-functions', ['--list']).join('\n')).toContain('host-agent.start');
  classic('vs-pkg', ['--name', 'web1'], 1); // it is stopped
});

test('what is wrong is a sentence and a code of today', () => {
  classic('vs-control', [], 2);
  classic('vs-move', ['--name', 'web1'], 2);
  classic('vs-move', ['--name', 'web1', '--src_host', 'host2', '--dst_host', 'host1'], 1);
  classic('vs-scan', ['--nonsense'], 2);
  classic('vs-monitor', [], 2);
  classic('vs-backup', [], 1); // no backup.conf
  expect(classic('vs-create', ['--help'])[0]).toBe('vs-create: create a vserver');
});
