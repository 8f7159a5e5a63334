import { expect, test } from 'vitest';
import { packagesOf } from '../../deploy/bench/lxd-package.ts';
import { plotOf } from '../../deploy/bench/plot.ts';
import { type Figures, summary, tableOf } from '../../deploy/bench/report.ts';
import { growthOf } from '../../deploy/bench/row.ts';
import { wordsOf } from '../../deploy/bench/words.ts';

const own = wordsOf(['move']).ways;

test('the ways of a peer come with it, and only with it', () => {
  expect(own).toContain('vs');
  expect(own.some((way) => way.startsWith('LXD'))).toBe(false);
  const lxd = ['LXD stop, move, start', 'LXD copy, refresh, stop, refresh, start'];
  expect(wordsOf(['move', '--peer', 'lxd']).ways).toEqual([...own, ...lxd]);
  expect(wordsOf(['move', '--peer', 'lxd', '--ways', 'floor;vs']).ways).toEqual(['floor', 'vs', ...lxd]);
  const one = 'vs; LXD stop, move, start';
  expect(wordsOf(['move', '--peer', 'lxd', '--ways', one]).ways).toEqual(['vs', lxd[0]]);
  expect(() => wordsOf(['move', '--ways', one])).toThrow(/need --peer lxd/);
});

test.each([
  [['move', '--peer', 'incus'], /lxd is the only one/],
  [['cli', '--peer', 'lxd'], /--peer is for move/],
  [['move', '--sets', 'S,X'], /sets are S,M,L/],
  [['move', '--ways', 'by hand'], /ways of a move: floor; vs/],
  [['move', '--rounds', '0'], /1 to 1000/],
  [['cli', '--files', '1000'], /--files is for transfer/],
  [['move', '--repository', 'btrfs'], /--repository is for backup/],
  [['backup', '--repository', 'zfs'], /links or btrfs/],
  [['row', '--rounds', '2'], /3 or more/],
  [['dance'], /none of its words/],
  [[], /cli, move, backup, transfer, fair, broker, monitor or row/],
])('what the bench does not know is refused: %j', (argv, message) => {
  expect(() => wordsOf(argv)).toThrow(message);
});

test('lxcfs is not among the packages of LXD: its hooks are those of every container of a machine', () => {
  const simulated = `The following NEW packages will be installed:
  libdqlite0 libfuse3-3 lxcfs lxd lxd-client
Inst libdqlite0 (1.11.1-1 Debian:12.15/oldstable [amd64])
Inst libfuse3-3 (3.14.0-4 Debian:12.15/oldstable [amd64])
Inst lxcfs (5.0.3-1+deb12u1 Debian:12.15/oldstable [amd64])
Inst lxd-client (5.0.2-5+deb12u6 Debian:12.15/oldstable [amd64])
Inst lxd (5.0.2-5+deb12u6 Debian:12.15/oldstable [amd64])
Conf libdqlite0 (1.11.1-1 Debian:12.15/oldstable [amd64])
`;
  expect(packagesOf(simulated)).toEqual(['libdqlite0', 'lxd-client', 'lxd']);
  expect(packagesOf('lxd is already the newest version (5.0.2-5).\n')).toEqual([]);
});

const took = (downtimeMs: number, totalMs: number): Figures => ({
  downtimeMs,
  pingMs: downtimeMs - 100,
  totalMs,
  bytes: 300e6,
  steps: { stop: 200, final: 50 },
});
const medians = summary({
  'btrfs S': {
    floor: [took(500, 700)],
    vs: [took(650, 11_000), took(560, 9000), took(600, 10_000)],
    'rsync, stop, rsync, start': [took(1600, 8000)],
    'LXD stop, move, start': [took(8200, 2000)],
    'LXD copy, refresh, stop, refresh, start': [took(6800, 12_000)],
  },
});

test('medians beside the floor, and beside the fastest script, which is none of a peer', () => {
  const ways = medians['btrfs S'];
  expect(ways?.['vs']).toMatchObject({
    downtimeMs: 600,
    aboveFloorMs: 100,
    totalMs: 10_000,
    totalRatio: 1.25,
  });
  expect(ways?.['LXD stop, move, start']).toMatchObject({ aboveFloorMs: 7700, totalRatio: 0.25 });
});

test('the table names the peer, and its columns stand below one another', () => {
  const lines = tableOf({ source: 'bookworm', rounds: 3, peer: 'LXD 5.0.2' }, medians).split('\n');
  expect(lines[0]).toBe('a bookworm container between two hosts, medians of 3 rounds, in turn; LXD 5.0.2');
  const rows = lines.filter((line) => line.endsWith(' MB'));
  expect(rows).toHaveLength(5);
  expect(new Set(rows.map((line) => line.length)).size).toBe(1);
  expect(rows.at(-1)).toMatch(
    /^ {2}LXD copy, refresh, stop, refresh, start +6\.80 s +6\.30 s +6\.70 s +12\.00 s +300 MB$/,
  );
  expect(tableOf({ source: 'busybox', rounds: 1 }, medians)).not.toContain('LXD 5');
});

test('the plot has a bar for each way, that of a peer in a colour of its own', () => {
  const plot = plotOf({ source: 'bookworm', rounds: 3, peer: 'LXD 5.0.2' }, medians);
  expect(plot.match(/<rect x=/g)).toHaveLength(5);
  expect(plot.match(/#a142f4/g)).toHaveLength(2);
  expect(plot).toContain('; LXD 5.0.2 (logarithmic)');
});

test('a process that keeps something of each move has grown; one that collects late has not', () => {
  expect(growthOf([157, 191, 202, 202, 202, 150, 202, 202, 202])).toMatchObject({ ratio: 1 });
  expect(growthOf([157, 160, 162, 206, 202, 150, 202, 209, 202])).toMatchObject({ ratio: 1.015 });
  expect(growthOf([157, 202, 202, 210, 220, 230, 240, 250, 235])).toEqual({
    second: 230,
    last: 250,
    ratio: 1.087,
  });
  expect(growthOf([100, 100, 130])).toMatchObject({ ratio: 1.3 });
});
