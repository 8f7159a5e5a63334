import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { countsScript } from '../../deploy/crash/leftovers.ts';
import { realLab } from './lab-kit.ts';

const MOVES = 10;
/** A process may settle in its first moves; after them it may not grow by more than this (bytes). */
const GROWTH = 40e6;

describe.each(['btrfs', 'dir'] as const)(`${MOVES} moves in a row on %s`, (storage) => {
  const lab = realLab(`row${storage}`);
  beforeAll(() => {
    lab.up('--storage', storage);
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
  });
  afterAll(() => lab.down());

  test('all are done, nothing is left behind, the processes do not grow', async () => {
    const processes = [
      ['master', 'broker'],
      ['master', 'master'],
      ['host1', 'agent'],
      ['host2', 'agent'],
    ] as const;
    const pids = processes.map(([node, name]) => lab.pidOf(node, name));
    const memory = () =>
      pids.map(
        (pid) => 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]),
      );
    const round = () => {
      lab.vs(['move', 'web1', 'host2']);
      lab.vs(['move', 'web1', 'host1']);
    };
    round();
    round();
    const before = {
      memory: memory(),
      counts: [lab.on('host1', countsScript), lab.on('host2', countsScript)],
    };
    for (let moves = 4; moves < MOVES; moves += 2) round();
    await lab.settled('host1');
    expect([lab.on('host1', countsScript), lab.on('host2', countsScript)]).toEqual(before.counts);
    expect(lab.leftovers()).toEqual([]);
    for (const [index, now] of memory().entries())
      expect(now - (before.memory[index] ?? 0), String(processes[index])).toBeLessThan(GROWTH);
    expect(pids).toEqual(processes.map(([node, name]) => lab.pidOf(node, name))); // nothing restarted
    const sagas = JSON.parse(lab.vs(['saga', 'list', '--json']).stdout) as { kind: string; result: string }[];
    expect(sagas.filter((saga) => saga.kind === 'move').map((saga) => saga.result)).toEqual(
      Array.from({ length: MOVES }, () => 'done'),
    );
    const trash =
      lab.on('host1', 'ls /var/lib/vservers/.trash') + lab.on('host2', 'ls /var/lib/vservers/.trash');
    expect(trash.split('\n').filter((line) => line.endsWith('.json')).length).toBeLessThanOrEqual(2);
  });
});
