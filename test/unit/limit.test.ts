import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { addLimitFlags, limitChangesOf } from '../../cli/limits.ts';
import { parseRate, parseWeight } from '../../config/create.ts';
import { layoutOf, missingCgroups } from '../../services/host-agent/limits/capabilities.ts';
import { placesOf } from '../../services/host-agent/limits/cgroups.ts';
import type { Looked } from '../../services/host-agent/limits/look.ts';
import { type Facts, refusals } from '../../services/host-agent/limits/refuse.ts';
import { limitRows } from '../../services/host-agent/limits/rows.ts';
import { isTmpfs } from '../../services/host-agent/limits/tmp.ts';
import { shapeLine } from '../../services/network/shape.ts';
import { requireLimits } from '../../services/orchestrator/plans/limits.ts';
import { parseQgroup } from '../../services/snapshot/btrfs-quota.ts';
import { parseProject, whyNoProjects } from '../../services/snapshot/project-quota.ts';
import { limitChanges, limitRow, limits } from '../../shared/contract/limits.ts';
import { vserverConfig } from '../../shared/contract/vserver.ts';
import { limitTable, limitText, withChanges } from '../../shared/limits.ts';
import { mountOf } from '../../shared/mount.ts';

const MiB = 1024 ** 2;

describe('the schema', () => {
  test('every limit is in the table, can be changed and taken away', () => {
    const keys = Object.keys(limits.shape).sort();
    expect(limitTable.map(({ key }) => key).sort()).toEqual(keys);
    expect(Object.keys(limitChanges.shape).sort()).toEqual(keys);
    for (const key of keys) expect(limitChanges.parse({ [key]: null })).toEqual({ [key]: null });
  });

  test('an old vserver.json stays valid', () => {
    const config = {
      version: 1,
      uuid: '9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11',
      name: 'web1',
      network: 'blue',
      address: '10.60.10.5',
      prefix: 24,
      mac: '02:00:0a:3c:0a:05',
      enabled: true,
      created: 1,
    };
    expect(vserverConfig.parse(config).limits).toEqual({});
    const old = { memory_bytes: 1, procs: 1, cpu: 0.5 };
    expect(vserverConfig.parse({ ...config, limits: old }).limits).toEqual(old);
    expect(() => vserverConfig.parse({ ...config, limits: { memory: 1 } })).toThrow('memory');
    expect(() => vserverConfig.parse({ ...config, limits: { cpu: -1 } })).toThrow('cpu');
  });

  test.each([{ disk_bytes: 0 }, { cpu_weight: 0 }, { cpu_weight: 10_001 }, { io_read_rate: 5 }, { net: 1 }])(
    '%j is refused as a change',
    (change) => expect(limitChanges.safeParse(change).success).toBe(false),
  );

  test('changes: null takes one away, an absent one stays', () => {
    expect(withChanges({ procs: 5, cpu: 1 }, { procs: null, memory_bytes: 7 })).toEqual({
      cpu: 1,
      memory_bytes: 7,
    });
  });
});

describe('flags', () => {
  const parse = (...argv: string[]) => {
    const command = addLimitFlags(new Command('x'));
    command.parse(argv, { from: 'user' });
    return limitChangesOf(command.opts());
  };
  test('each limit has one, of the words that vs limit shows', () => {
    expect(
      parse(
        ...'--memory 512M --swap 0 --disk 2G --tmp none --procs 9 --cpu 8/10 --cpu-weight 50'.split(' '),
        ...'--io-read 10M --io-write 5M --net-in 100mbit --net-out none'.split(' '),
      ),
    ).toEqual({
      memory_bytes: 512 * MiB,
      swap_bytes: 0,
      disk_bytes: 2048 * MiB,
      tmp_bytes: null,
      procs: 9,
      cpu: 0.8,
      cpu_weight: 50,
      io_read_rate: 10 * MiB,
      io_write_rate: 5 * MiB,
      net_in_rate: 12_500_000,
      net_out_rate: null,
    });
    expect(parse()).toEqual({});
  });
  test('a wrong one is named', () => {
    expect(() => parse('--cpu', 'much')).toThrow(
      '--cpu: expected cores such as 0.8 or 8/10, found "much", or none.',
    );
    expect(() => parse('--net-in', '5')).toThrow('--net-in: expected a rate');
  });
  test.each([
    ['1mbit', 125_000],
    ['2.5Gbit', 312_500_000],
    ['8kbit', 1000],
    ['10M', 10 * MiB],
    ['10MiB/s', 10 * MiB],
    ['1500', 1500],
  ])('a rate of %s', (text, bytes) => expect(parseRate(text)).toBe(bytes));
  test.each(['', '1', 'bit', '1mbits', '-5M', '1e9'])('no rate: %j', (text) =>
    expect(() => parseRate(text)).toThrow('expected a rate'),
  );
  test.each(['0', '10001', '1.5', ''])('no weight: %j', (text) =>
    expect(() => parseWeight(text)).toThrow('weight'),
  );
});

test.each([
  ['bytes', 536_870_912, '512 MiB'],
  ['bytes', 1.5 * 1024 ** 3, '1.5 GiB'],
  ['bytes', 12_345, '12.1 KiB'],
  ['bytes', 0, '0 B'],
  ['bytes', 3000 * 1024 ** 3, '3000 GiB'],
  ['bytes/s', 12_500_000, '11.9 MiB/s'],
  ['cores', 0.4987, '0.5 cores'],
  ['weight', 100, '100'],
  ['processes', 7, '7'],
] as const)('people see %s %d as %s', (unit, value, text) => expect(limitText(unit, value)).toBe(text));

describe('what a host can', () => {
  const v1 = '9:name=systemd:/\n8:pids:/\n7:blkio:/\n4:memory:/x\n2:cpuacct:/\n1:cpu:/\n0::/\n';
  test('cgroup v1 beside an empty v2: all in v1', () => {
    const seen: string[] = [];
    const layout = layoutOf({
      own: v1,
      controllers: '',
      has: (controller, version, file) => seen.push(`${controller} ${version} ${file}`) > 0,
    });
    expect(layout.version).toEqual({ memory: 1, cpu: 1, pids: 1, io: 1 });
    expect(seen).toEqual([
      'memory 1 memory.memsw.limit_in_bytes',
      'cpu 1 cpu.cfs_quota_us',
      'io 1 blkio.throttle.read_bps_device',
    ]);
    expect(missingCgroups(layout, ['7:0'])).toEqual({});
  });
  test('hybrid: a controller that v1 has not is in v2', () => {
    const own = '3:cpu,cpuacct:/\n2:memory:/\n0::/user.slice\n';
    const layout = layoutOf({ own, controllers: 'io pids\n', has: () => true });
    expect(layout.version).toEqual({ memory: 1, cpu: 1, pids: 2, io: 2 });
  });
  test('cgroup v2, without swap and throttling: what is missing is said', () => {
    const layout = layoutOf({
      own: '0::/system.slice/vs-agent.service\n',
      controllers: 'cpu io memory\n',
      has: (_, version, file) => version === 2 && file === 'cpu.max',
    });
    expect(layout).toEqual({
      version: { memory: 2, cpu: 2, io: 2 },
      swap: false,
      quota: true,
      throttle: false,
    });
    const missing = missingCgroups(layout, ['8:0']);
    expect(Object.keys(missing).sort()).toEqual(['io_read_rate', 'io_write_rate', 'procs', 'swap_bytes']);
    expect(missing.swap_bytes).toMatch(/does not count swap/);
  });
  test('a file system on no block device cannot be slowed down', () => {
    const layout = layoutOf({ own: v1, controllers: '', has: () => true });
    expect(missingCgroups(layout, []).io_read_rate).toMatch(/no block device/);
  });
  test('nothing at all', () => {
    const layout = layoutOf({ own: '', controllers: '', has: () => true });
    expect(Object.keys(missingCgroups(layout, []))).toHaveLength(7);
  });
});

test('the cgroup of a vserver, from a process that sits deeper', () => {
  const text =
    '4:memory:/vslab/lxc.payload.web1/system.slice\n3:cpu,cpuacct:/lxc.payload.web1\n1:name=systemd:/lxc.payload.web1/init.scope\n0::/lxc.payload.web1\n';
  const at = placesOf(text, '/sys/fs/cgroup/unified');
  expect(at('memory', 1)).toBe('/sys/fs/cgroup/memory/vslab/lxc.payload.web1');
  expect(at('cpu', 1)).toBe('/sys/fs/cgroup/cpu,cpuacct/lxc.payload.web1');
  expect(at('cpuacct', 1)).toBe('/sys/fs/cgroup/cpu,cpuacct/lxc.payload.web1');
  expect(at('pids', 2)).toBe('/sys/fs/cgroup/unified/lxc.payload.web1');
  expect(at('io', 1)).toBeUndefined();
  expect(placesOf('5:blkio:/lxc.payload.b/c\n', '')('io', 1)).toBe('/sys/fs/cgroup/blkio/lxc.payload.b');
  expect(placesOf('0::/a/lxc.payload.b/c', '/sys/fs/cgroup')('io', 2)).toBe('/sys/fs/cgroup/a/lxc.payload.b');
});

describe('what is refused', () => {
  const facts: Facts = {
    host: 'host1',
    name: 'web1',
    missing: { disk_bytes: 'it has no quota' },
    has: { memory_bytes: 1024 * MiB, cpu: 2 },
    used: { memory_bytes: 100 * MiB, procs: 30 },
    swapNeedsMemory: true,
  };
  const judge = (changes: object, force = false) => refusals(changes, withChanges({}, changes), facts, force);
  test('below what is in use, above what the host has: each is named, and --force lets it pass', () => {
    const changes = { memory_bytes: 50 * MiB, procs: 10, cpu: 4 };
    expect(judge(changes)).toEqual({
      why: [
        'memory 50 MiB is below the 100 MiB that web1 uses',
        'procs 10 is below the 30 that web1 uses',
        'cpu 4 cores is more than the 2 cores of host1',
      ],
      forceable: true,
    });
    expect(judge(changes, true).why).toEqual([]);
  });
  test('what the host cannot do is refused also with --force', () => {
    for (const force of [false, true])
      expect(judge({ disk_bytes: MiB }, force)).toEqual({
        why: ['host1 cannot limit disk: it has no quota'],
        forceable: false,
      });
    expect(judge({ disk_bytes: null }).why).toEqual([]); // taking it away is no fault
  });
  test('swap needs a limit of memory on cgroup v1', () => {
    expect(judge({ swap_bytes: 0 }, true).why).toHaveLength(1);
    expect(judge({ swap_bytes: 0, memory_bytes: 200 * MiB }).why).toEqual([]);
  });
  test('exactly what is used, and all that there is, are fine', () => {
    expect(judge({ memory_bytes: 1024 * MiB, procs: 30, cpu: 2 }).why).toEqual([]);
  });
  test('create: what a host cannot do, by its information', () => {
    const info = { host: 'host1', limits: { missing: facts.missing } };
    expect(() => requireLimits(info, { disk_bytes: MiB })).toThrow(
      'host1 cannot limit disk: it has no quota',
    );
    expect(() => requireLimits(info, { disk_bytes: null, procs: 1 })).not.toThrow();
    expect(() => requireLimits({ host: 'old' }, { disk_bytes: MiB })).not.toThrow();
  });
});

describe('what is shown', () => {
  const seen: Looked = {
    used: { memory_bytes: 5, cpu: 0.25 },
    hits: { memory_bytes: 2, procs: 1 },
    kills: 1,
    current: { memory_bytes: 64 * MiB, cpu: 0.5, procs: 9 },
    disk: { used: 10 },
    tmp: undefined,
  };
  test('used, limit, hits of every resource; each is a row of the contract', () => {
    const rows = limitRows(
      { memory_bytes: 64 * MiB + 1, cpu: 0.5, procs: 8, tmp_bytes: MiB, disk_bytes: MiB },
      seen,
      {},
    );
    for (const row of rows) expect(limitRow.parse(row)).toEqual(row);
    const by = Object.fromEntries(rows.map((row) => [row.key, row]));
    expect(by['memory_bytes']).toMatchObject({ used: 5, limit: 64 * MiB + 1, hits: 2, kills: 1 });
    expect(by['memory_bytes']).not.toHaveProperty('note');
    expect(by['cpu']).not.toHaveProperty('note');
    expect(by['procs']?.note).toBe('not in force: the kernel has 9');
    expect(by['tmp_bytes']?.note).toBe('from the next start on');
    expect(by['disk_bytes']?.note).toBe('not in force: the kernel has none');
    expect(by['swap_bytes']).toEqual({
      resource: 'swap',
      key: 'swap_bytes',
      unit: 'bytes',
      used: null,
      limit: null,
      hits: null,
    });
  });
  test('what the host cannot do is told where a limit is set', () => {
    const rows = limitRows({ swap_bytes: 0 }, seen, { swap_bytes: 'no', io_read_rate: 'no' });
    expect(rows.filter(({ note }) => note)).toMatchObject([{ key: 'swap_bytes', note: 'no' }]);
  });
});

describe('what tools print', () => {
  test('btrfs qgroup show -re --raw -f', () => {
    const head =
      'Qgroupid    Referenced    Exclusive  Max referenced  Max exclusive   Path \n--------    ----------    ---------  --------------  -------------   ---- \n';
    expect(
      parseQgroup(`${head}0/257          1048576        16384       209715200           none   web1\n`),
    ).toEqual({
      used: 1_048_576,
      limit: 209_715_200,
    });
    expect(
      parseQgroup(
        'qgroupid         rfer         excl     max_rfer     max_excl \n0/256           16384        16384         none         none\n',
      ),
    ).toEqual({
      used: 16_384,
    });
    expect(parseQgroup('')).toBeUndefined();
  });
  test('repquota -P -n -O csv', () => {
    const text =
      'Project,BlockStatus,FileStatus,BlockUsed,BlockSoftLimit,BlockHardLimit,BlockGrace,FileUsed\n#0,ok,ok,20,0,0,,2\n#1234567,ok,ok,1024,0,204800,,3\n';
    expect(parseProject(text, 1_234_567)).toEqual({ used: MiB, limit: 200 * MiB });
    expect(parseProject(text, 0)).toEqual({ used: 20_480 });
    expect(parseProject(text, 5)).toEqual({});
  });
  test('mountinfo: the mount that a path lies on', () => {
    const text = `22 1 8:1 / / rw - ext4 /dev/sda1 rw,errors=remount-ro
40 22 7:0 / /var/lib/vservers rw,noatime - ext4 /dev/loop0 rw,prjquota
41 22 7:1 / /var/lib/vs rw - xfs /dev/loop1 rw\n`;
    expect(mountOf(text, '/var/lib/vservers')).toMatchObject({
      source: '/dev/loop0',
      options: 'rw,prjquota',
    });
    expect(mountOf(text, '/var/lib/vservers/web1').place).toBe('/var/lib/vservers');
    expect(mountOf(text, '/var/lib').place).toBe('/');
    expect(isTmpfs('50 49 0:40 / /tmp rw,nosuid - tmpfs tmpfs rw,size=16384k\n')).toBe(true);
    expect(isTmpfs('50 49 0:40 /tmp /mnt rw - tmpfs tmpfs rw\n51 49 0:41 / /tmp rw - ext4 /dev/x rw\n')).toBe(
      false,
    );
  });
  test('project quota: why not, and what to do', () => {
    const mount = (type: string, options: string) => ({ type, options, place: '/srv' });
    expect(whyNoProjects(mount('ext4', 'rw,prjquota'), true)).toBeUndefined();
    expect(whyNoProjects(mount('xfs', 'rw,pquota'), true)).toBeUndefined();
    expect(whyNoProjects(mount('ext4', 'rw,prjquota'), false)).toMatch(/apt-get install quota/);
    expect(whyNoProjects(mount('ext4', 'rw,usrquota'), true)).toMatch(/tune2fs -O project,quota/);
    expect(whyNoProjects(mount('xfs', 'rw'), true)).toMatch(/-o prjquota/);
    expect(whyNoProjects(mount('tmpfs', 'rw'), true)).toMatch(/tmpfs, which has no quota/);
  });
});

test('a device is slowed down in bits, with a burst of 20 ms but at least one large packet', () => {
  expect(shapeLine('vsv0123abcd', 125_000)).toBe(
    'qdisc replace dev vsv0123abcd root tbf rate 1000000bit burst 65536 latency 50ms\n',
  );
  expect(shapeLine('eth0', 125_000_000)).toContain('rate 1000000000bit burst 2500000 ');
});
