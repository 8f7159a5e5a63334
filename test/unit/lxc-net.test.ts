import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { endLxcNet } from '../../cli/lxc-net.ts';

let place: string;
let stopped: number;
const stop = () => Promise.resolve(void stopped++);
const end = (how = stop) => endLxcNet(join(place, 'drop-in'), place, how);
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'vslab-lxcnet-'));
  stopped = 0;
});
afterEach(() => rmSync(place, { recursive: true }));
const bridge = (...ports: string[]) => {
  for (const port of ['.', ...ports])
    mkdirSync(join(place, 'class/net/lxcbr0/brif', port), { recursive: true });
};

test('the bridge that the installation of lxc has brought up is taken down', async () => {
  writeFileSync(join(place, 'drop-in'), '');
  expect(await end()).toEqual([]); // it does not run
  bridge();
  expect(await end()).toEqual([expect.stringMatching(/^Stopped lxc-net \(lxcbr0\)/)]);
  expect(stopped).toBe(1);
  expect(await end(() => Promise.reject(new Error('no')))).toEqual([
    expect.stringContaining('systemctl stop lxc-net'),
  ]);
});

test('it stays while a container is on it, and where the package is not installed', async () => {
  bridge('veth1');
  expect(await end()).toEqual([]);
  writeFileSync(join(place, 'drop-in'), '');
  expect(await end()).toEqual([expect.stringContaining('for veth1 is on it')]);
  expect(stopped).toBe(0);
});
