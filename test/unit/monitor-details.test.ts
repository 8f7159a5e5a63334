import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { detailsOf as mailText } from '../../services/alerter/heard.ts';
import { boundedText, treeOrder } from '../../services/monitor/checks/details.ts';
import { type TreeProcess, treeProcess, treeText } from '../../services/monitor/checks/tree.ts';

const status = `Name:	nginx
Umask:	0022
State:	S (sleeping)
Tgid:	4711
Ngid:	0
Pid:	4711
PPid:	4700
TracerPid:	0
Uid:	100033	100033	100033	100033
NStgid:	4711	23
NSpid:	4711	23
VmPeak:	   11500 kB
VmRSS:	    5300 kB
Threads:	1
`;
const stat =
  '4711 (nginx) S 4700 4711 4711 0 -1 4194624 412 0 0 0 1234 766 0 0 20 0 1 0 1000 11776000 1325 18446744073709551615 1 1 0 0 0 0 0';

describe('a process', () => {
  test('its pid on the host and inside, memory, time; of its words the first alone', () => {
    expect(treeProcess(status, stat, 'nginx: worker process\0')).toEqual({
      pid: 4711,
      parent: 4700,
      own: 23,
      title: 'nginx: worker process',
      bytes: 5300 * 1024,
      seconds: 20,
    });
    expect(treeProcess(status, stat, '/usr/bin/mysql\0--password=geheim\0')?.title).toBe('/usr/bin/mysql');
    expect(treeProcess(status, stat, '')?.title).toBe('[nginx]');
    expect(treeProcess(status.replace('S (sleeping)', 'Z (zombie)'), stat, '')?.title).toBe(
      'nginx (has ended)',
    );
    expect(treeProcess(status, '4711 (x) y) S 4700 1 1 0 -1 0 0 0 0 0 100 0 0', '')?.seconds).toBe(1);
    expect(treeProcess(status, stat, `\u001b[2J${'x'.repeat(5000)}`)?.title).toMatch(/^\?\[2Jx{96}$/);
    expect(treeProcess('', '', '')).toBeUndefined();
  });
});

const of = (pid: number, parent: number, title: string, bytes = 1e6, seconds = 0): TreeProcess => ({
  pid,
  parent,
  own: pid - 1000,
  title,
  bytes,
  seconds,
});
describe('the tree', () => {
  const some = [
    of(1001, 900, '/sbin/init', 4e6),
    of(1010, 1001, 'sshd', 2e6, 1),
    of(1020, 1001, 'nginx: master', 3e6),
    of(1021, 1020, 'nginx: worker', 40e6, 70),
    of(1022, 1020, 'nginx: worker', 45e6, 60),
    of(1030, 1001, 'postgres', 1.5e9, 3700),
    of(1040, 900, 'vs enter', 400),
  ];
  test('the biggest first, those that are alike in one line', () => {
    expect(treeText(some, 50, 'bytes')).toBe(`    pid   memory cpu time  process
      1     4 MB     0:00  /sbin/init
     30   1.5 GB    61:40  \\_ postgres
     20     3 MB     0:00  \\_ nginx: master
     21    85 MB     2:10    \\_ 2 x nginx: worker
     10     2 MB     0:01  \\_ sshd
     40     0 kB     0:00  vs enter`);
  });
  test('by time, and not more lines than wanted', () => {
    expect(treeText(some, 3, 'seconds').split('\n').slice(1)).toEqual([
      '      1     4 MB     0:00  /sbin/init',
      '     30   1.5 GB    61:40  \\_ postgres',
      '     20     3 MB     0:00  \\_ nginx: master',
      '... and 4 more processes',
    ]);
  });
  test('a fork bomb of thousands, deep or broad, is some lines', () => {
    const broad = Array.from({ length: 5000 }, (_, index) => of(2000 + index, 1001, 'bomb'));
    expect(treeText([of(1001, 0, 'init'), ...broad], 50, 'bytes').split('\n')).toHaveLength(3);
    const deep = Array.from({ length: 5000 }, (_, index) => of(1001 + index, 1000 + index, 'bomb'));
    const lines = treeText(deep, 50, 'bytes').split('\n');
    expect(lines).toHaveLength(52);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(72);
    expect(lines.at(-1)).toBe('... and 4950 more processes');
  });
  test('whatever the parents are, each is told once or counted, in 72 columns', () => {
    const one = fc.record({
      pid: fc.integer({ min: 1, max: 60 }),
      parent: fc.integer({ min: 0, max: 60 }),
      own: fc.nat(99_999),
      title: fc.string({ maxLength: 100 }),
      bytes: fc.nat(),
      seconds: fc.nat(),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(one, { selector: ({ pid }) => pid, maxLength: 60 }),
        fc.nat(70),
        (all, most) => {
          const lines = treeText(all, most, 'bytes').split('\n');
          expect(lines.length).toBeLessThanOrEqual(most + 2);
          for (const line of lines) expect(line.length).toBeLessThanOrEqual(72);
        },
      ),
    );
  });
});

describe('bounds', () => {
  test('lines and characters, and how many more', () => {
    expect(boundedText(['a', 'b', 'c'], 2)).toBe('a\nb\n... and 1 more');
    expect(boundedText(['a'.repeat(10), 'b'.repeat(10)], 9, 15)).toBe(`${'a'.repeat(10)}\n... and 1 more`);
    expect(boundedText([])).toBe('');
  });
  test('what helps with what', () => {
    expect(['memory', 'oom-kills', 'daemon-nginx', 'sockets'].map(treeOrder)).toEqual(Array(4).fill('bytes'));
    expect(['cpu', 'load-5', 'psi-cpu'].map(treeOrder)).toEqual(Array(3).fill('seconds'));
    expect(['disk', 'tmp', 'monitor', 'certificates'].map(treeOrder)).toEqual(Array(4).fill(undefined));
  });
  test('texts by their titles stand one after the other; what is none is left out', () => {
    const alert = { ts: 1, severity: 'warning' as const, message: 'm' };
    expect(mailText({ ...alert, details: { Processes: '1 init', 'Listening now': 'tcp', odd: 7 } })).toBe(
      'Processes:\n1 init\n\nListening now:\ntcp',
    );
    expect(mailText(alert)).toBe('');
  });
});
