import { describe, expect, test } from 'vitest';
import {
  type Layout,
  type Version,
  currentLimits,
  limitWrites,
} from '../../services/host-agent/limits/plan.ts';
import { useOf } from '../../services/host-agent/limits/use.ts';
import type { Limits } from '../../shared/contract/limits.ts';

const all = (version: Version): Layout => ({
  version: { memory: version, cpu: version, pids: version, io: version },
  swap: true,
  quota: true,
  throttle: true,
});
/** As Debian 12 with systemd.unified_cgroup_hierarchy=0 may have it: io and pids in v2, the rest in v1. */
const hybrid: Layout = { ...all(1), version: { memory: 1, cpu: 1, pids: 2, io: 2 } };
const MiB = 1024 ** 2;
const some: Limits = {
  memory_bytes: 64 * MiB,
  swap_bytes: 16 * MiB,
  procs: 40,
  cpu: 0.5,
  cpu_weight: 200,
  io_read_rate: 1_000_000,
  io_write_rate: 2_000_000,
};
const disks = ['7:0', '7:1'];
const plan = (layout: Layout, current: Limits, wanted: Limits, on = disks) =>
  limitWrites(layout, on, current, wanted).map(({ file, value }) => `${file}=${value}`);

describe('what is written', () => {
  test('cgroup v2, from nothing and back to nothing', () => {
    expect(plan(all(2), {}, some)).toEqual(
      [
        `memory.max=${64 * MiB}`,
        `memory.swap.max=${16 * MiB}`,
        'pids.max=40',
        'cpu.max=50000 100000',
        'cpu.weight=200',
        '7:0 7:1'.split(' ').map((disk) => `io.max=${disk} rbps=1000000 wbps=2000000`),
      ].flat(),
    );
    expect(plan(all(2), some, {})).toEqual([
      'memory.max=max',
      'memory.swap.max=max',
      'pids.max=max',
      'cpu.max=max 100000',
      'cpu.weight=100',
      'io.max=7:0 rbps=max wbps=max',
      'io.max=7:1 rbps=max wbps=max',
    ]);
  });

  test('cgroup v1, from nothing and back to nothing: memory and swap are counted in one, which is never the lesser', () => {
    expect(plan(all(1), {}, some, ['7:0'])).toEqual([
      `memory.limit_in_bytes=${64 * MiB}`,
      `memory.memsw.limit_in_bytes=${80 * MiB}`,
      'pids.max=40',
      'cpu.cfs_period_us=100000',
      'cpu.cfs_quota_us=50000',
      'cpu.shares=2048',
      'blkio.throttle.read_bps_device=7:0 1000000',
      'blkio.throttle.write_bps_device=7:0 2000000',
    ]);
    expect(plan(all(1), some, {}, ['7:0'])).toEqual([
      'memory.memsw.limit_in_bytes=-1',
      'memory.limit_in_bytes=-1',
      'pids.max=max',
      'cpu.cfs_quota_us=-1',
      'cpu.shares=1024',
      'blkio.throttle.read_bps_device=7:0 0',
      'blkio.throttle.write_bps_device=7:0 0',
    ]);
  });

  test.each<[string, Limits, Limits, string[]]>([
    [
      'both rise',
      { memory_bytes: MiB, swap_bytes: 0 },
      { memory_bytes: 4 * MiB, swap_bytes: MiB },
      ['memsw', 'limit'],
    ],
    [
      'both fall',
      { memory_bytes: 4 * MiB, swap_bytes: MiB },
      { memory_bytes: MiB, swap_bytes: 0 },
      ['limit', 'memsw'],
    ],
    ['swap alone', { memory_bytes: MiB, swap_bytes: 0 }, { memory_bytes: MiB, swap_bytes: MiB }, ['memsw']],
    ['the swap is free now', { memory_bytes: MiB, swap_bytes: 0 }, { memory_bytes: MiB }, ['memsw']],
    [
      'memory rises, both fall',
      { memory_bytes: MiB, swap_bytes: 9 * MiB },
      { memory_bytes: 2 * MiB, swap_bytes: 0 },
      ['limit', 'memsw'],
    ],
    ['memory alone, without a limit of swap', { memory_bytes: MiB }, { memory_bytes: 2 * MiB }, ['limit']],
    ['nothing', { memory_bytes: MiB, swap_bytes: 0 }, { memory_bytes: MiB, swap_bytes: 0 }, []],
  ])('cgroup v1, order: %s', (_, current, wanted, order) => {
    const files = limitWrites(all(1), [], current, wanted).map(({ file }) => file);
    expect(files.map((file) => (file.includes('memsw') ? 'memsw' : 'limit'))).toEqual(order);
  });

  test('a hybrid host: each controller where it is', () => {
    const writes = limitWrites(hybrid, ['7:0'], {}, some);
    expect(writes.map(({ version, file }) => `${version} ${file}`)).toEqual([
      '1 memory.limit_in_bytes',
      '1 memory.memsw.limit_in_bytes',
      '2 pids.max',
      '1 cpu.cfs_period_us',
      '1 cpu.cfs_quota_us',
      '1 cpu.shares',
      '2 io.max',
    ]);
  });

  test('what the kernel cannot do is left out', () => {
    const poor: Layout = { version: { memory: 1, cpu: 1 }, swap: false, quota: false, throttle: false };
    expect(plan(poor, {}, some)).toEqual([`memory.limit_in_bytes=${64 * MiB}`, 'cpu.shares=2048']);
    expect(
      plan({ ...all(2), swap: false, throttle: false }, {}, { swap_bytes: 1, io_read_rate: 1000 }),
    ).toEqual([]);
  });

  test('only what changes is written, and what the kernel has rounded to pages is no change', () => {
    expect(plan(all(2), some, { ...some, cpu: 0.6 })).toEqual(['cpu.max=60000 100000']);
    expect(plan(all(1), { memory_bytes: 999_424 }, { memory_bytes: 1_000_000 })).toEqual([]);
    expect(plan(all(1), { memory_bytes: 1_000_000 }, { memory_bytes: 999_424 })).toHaveLength(1);
  });

  test('one rate of two in cgroup v2 leaves the other as it is wanted', () => {
    expect(plan(all(2), some, { ...some, io_write_rate: undefined }, ['7:0'])).toEqual([
      'io.max=7:0 rbps=1000000 wbps=max',
    ]);
  });
});

/** The texts of the files after writes, as the kernel shows them. */
const shown: Record<'v1' | 'v2', Record<string, string>> = {
  v1: {
    'memory.limit_in_bytes': `${64 * MiB}\n`,
    'memory.memsw.limit_in_bytes': `${80 * MiB}\n`,
    'pids.max': '40\n',
    'cpu.cfs_period_us': '100000\n',
    'cpu.cfs_quota_us': '50000\n',
    'cpu.shares': '2048\n',
    'blkio.throttle.read_bps_device': '7:0 1000000\n',
    'blkio.throttle.write_bps_device': '7:0 2000000\n',
  },
  v2: {
    'memory.max': `${64 * MiB}\n`,
    'memory.swap.max': `${16 * MiB}\n`,
    'pids.max': '40\n',
    'cpu.max': '50000 100000\n',
    'cpu.weight': '200\n',
    'io.max': '7:0 rbps=1000000 wbps=2000000 riops=max wiops=max\n',
  },
};
const none: Record<'v1' | 'v2', Record<string, string>> = {
  v1: {
    'memory.limit_in_bytes': '9223372036854771712\n',
    'memory.memsw.limit_in_bytes': '9223372036854771712\n',
    'pids.max': 'max\n',
    'cpu.cfs_period_us': '100000\n',
    'cpu.cfs_quota_us': '-1\n',
    'cpu.shares': '1024\n',
  },
  v2: {
    'memory.max': 'max\n',
    'memory.swap.max': 'max\n',
    'pids.max': 'max\n',
    'cpu.max': 'max 100000\n',
    'cpu.weight': '100\n',
  },
};
test.each(['v1', 'v2'] as const)('limits are read back from the files of cgroup %s', (which) => {
  const layout = all(which === 'v1' ? 1 : 2);
  expect(currentLimits(layout, ['7:0'], (_, file) => shown[which][file] ?? '')).toEqual(some);
  expect(currentLimits(layout, ['7:0'], (_, file) => none[which][file] ?? '')).toEqual({});
  expect(currentLimits(layout, ['8:0'], (_, file) => shown[which][file] ?? '')).not.toHaveProperty(
    'io_read_rate',
  );
});

test('use and hits of cgroup v1 and v2', () => {
  const v1: Record<string, string> = {
    'memory.usage_in_bytes': '5000000\n',
    'memory.stat': 'inactive_file 1\ntotal_inactive_file 1000000\ntotal_swap 4096\n',
    'memory.failcnt': '12\n',
    'memory.memsw.failcnt': '3\n',
    'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
    'pids.current': '7\n',
    'pids.events': 'max 5\n',
    'cpu.stat': 'nr_periods 9\nnr_throttled 4\nthrottled_time 1\n',
    'cpuacct.usage': '1500000000\n',
    'blkio.throttle.io_service_bytes': '7:0 Read 100\n7:0 Write 20\n7:0 Total 120\n7:1 Read 1\nTotal 121\n',
  };
  const v2: Record<string, string> = {
    'memory.current': '5000000\n',
    'memory.stat': 'anon 1\ninactive_file 1000000\n',
    'memory.events': 'low 0\nhigh 0\nmax 12\noom 2\noom_kill 2\n',
    'memory.swap.current': '4096\n',
    'memory.swap.events': 'high 0\nmax 3\nfail 0\n',
    'pids.current': '7\n',
    'pids.events': 'max 5\n',
    'cpu.stat': 'usage_usec 1500000\nnr_periods 9\nnr_throttled 4\n',
    'io.stat': '7:0 rbytes=100 wbytes=20 rios=1 wios=1\n7:1 rbytes=1 wbytes=0\n',
  };
  const expected = {
    used: { memory_bytes: 4_000_000, swap_bytes: 4096, procs: 7 },
    hits: { memory_bytes: 12, swap_bytes: 3, procs: 5, cpu: 4 },
    kills: 2,
    counters: { cpu: 1.5, io_read_rate: 101, io_write_rate: 20 },
  };
  expect(useOf(all(1), (_, file) => v1[file] ?? '')).toEqual(expected);
  expect(useOf(all(2), (_, file) => v2[file] ?? '')).toEqual(expected);
  expect(useOf({ version: {}, swap: false, quota: false, throttle: false }, () => '')).toMatchObject({
    used: {},
    kills: 0,
    counters: { cpu: 0 },
  });
});
