import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { countsScript } from '../../deploy/crash/leftovers.ts';
import { realLab } from './lab-kit.ts';

const MOVES = 10;
/** After so many what is open is counted. */
const SETTLED = 4;
/** What keeps a file keeps one for each way to and fro at least; fewer are something that has begun meanwhile. */
const KEPT = (MOVES - SETTLED) / 2;
/** A connection or a child of the moment may be open when it is looked; what a move leaves open stays. */
const CLOSED_MS = 10_000;

describe.each(['btrfs', 'dir'] as const)(`${MOVES} moves in a row on %s`, (storage) => {
  const lab = realLab(`row${storage}`);
  beforeAll(() => {
    lab.up('--storage', storage);
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
  });
  afterAll(() => lab.down());

  test('all are done, nothing is left behind, the processes keep no file open', async () => {
    const processes = [
      ['master', 'broker'],
      ['master', 'master'],
      ['host1', 'agent'],
      ['host2', 'agent'],
    ] as const;
    const pids = processes.map(([node, name]) => lab.pidOf(node, name));
    const files = () => pids.map((pid) => readdirSync(`/proc/${pid}/fd`).length);
    const round = () => {
      lab.vs(['move', 'web1', 'host2']);
      lab.vs(['move', 'web1', 'host1']);
    };
    round();
    round();
    // the history's thread, which else begins with its first batch; before the first sample nobody knows web1
    await expect
      .poll(() => lab.vs(['stats', 'web1', '--since', '1h'], null).code, { timeout: 30_000, interval: 500 })
      .toBe(0);
    const counts = () => [lab.on('host1', countsScript), lab.on('host2', countsScript)];
    const before = { files: files(), counts: counts() };
    for (let moves = SETTLED; moves < MOVES; moves += 2) round();
    await lab.settled('host1');
    await expect.poll(counts, { timeout: CLOSED_MS, interval: 500 }).toEqual(before.counts);
    expect(lab.leftovers()).toEqual([]);
    const more = () =>
      files().flatMap((now, index) => {
        const was = before.files[index] ?? 0;
        return now - was >= KEPT ? [`${String(processes[index])}: ${was} open files, then ${now}`] : [];
      });
    const end = Date.now() + CLOSED_MS;
    while (more().length > 0 && Date.now() < end) await sleep(100);
    expect(more()).toEqual([]); // memory: npm run bench -- row
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
