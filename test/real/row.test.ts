import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realLab } from './lab-kit.ts';

const MOVES = 10;
/** A process may settle in its first moves; after them it may not grow by more than this (bytes). */
const GROWTH = 40e6;

/** What a host must have as much of after the moves as before. */
const counts = `echo mounts $(grep -c . /proc/self/mountinfo)
echo probes $(ls /run/netns 2>/dev/null | grep -c vsprobe)
echo links $(ip -o link | wc -l)
echo tables $(nft list tables | wc -l)
echo sockets $(ss -Htln | wc -l)
echo rules $(ls /var/lib/vs-tools/rules 2>/dev/null | wc -l)
echo run $(ls -A /run/vs | wc -l)`;

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
    const before = { memory: memory(), counts: [lab.on('host1', counts), lab.on('host2', counts)] };
    for (let moves = 4; moves < MOVES; moves += 2) round();
    await lab.settled('host1');
    expect([lab.on('host1', counts), lab.on('host2', counts)]).toEqual(before.counts);
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
