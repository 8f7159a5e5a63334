import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';

const root = new URL('../..', import.meta.url).pathname;
const demo = [process.execPath, `${root}deploy/demo.ts`] as const;
const left = () => ({
  data: existsSync('/var/lib/vslab-demo'),
  run: existsSync('/run/vslab-demo'),
  mounts: readFileSync('/proc/mounts', 'utf8').includes('vslab-demo'),
  namespaces: spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout.includes('vslab-demo'),
});
const nothing = { data: false, run: false, mounts: false, namespaces: false };

afterAll(() => void spawnSync(`${root}vs`, ['lab', 'down', '--name', 'demo']));

test('the demo is killed by SIGKILL in its middle; the next one works, sums up, and leaves nothing', async () => {
  const first = spawn(demo[0], [demo[1]], { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  await new Promise<void>((resolve) => {
    first.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('vs move')) resolve();
    });
    first.once('close', () => resolve());
  });
  expect(text).toContain('$ vs move web1 host2');
  first.kill('SIGKILL');

  const { status, stdout, stderr } = spawnSync(demo[0], [demo[1]], {
    encoding: 'utf8',
    timeout: 600_000,
    env: { ...process.env, NO_COLOR: '1' },
  });
  expect(status, stdout.slice(-2000) + stderr).toBe(0);
  expect(stdout).toMatch(/web1 runs on host2: \d/);
  const seen = /as the prober outside saw it +(\d+\.\d+) s/.exec(stdout)?.[1];
  const said = /as the saga reports it +(\d+\.\d+) s/.exec(stdout)?.[1];
  expect(Number(seen)).toBeGreaterThan(0);
  expect(Number(said)).toBeGreaterThan(0);
  for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(130);
  expect(left()).toEqual(nothing);
}, 900_000);

test('SIGTERM in its middle takes the lab down', async () => {
  const one = spawn(demo[0], [demo[1]], { stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise<void>((resolve) => {
    one.stdout.on('data', (chunk: Buffer) => chunk.toString().includes('vs create') && resolve());
    one.once('close', () => resolve());
  });
  one.kill('SIGTERM');
  expect(await new Promise((resolve) => one.once('close', resolve))).toBe(1);
  expect(left()).toEqual(nothing);
});
