import { describe, expect, test } from 'vitest';
import { judgeClock, lines, skewOf } from '../../cli/verbs/doctor.ts';
import { judgeEnd } from '../../services/doctor/certificate.ts';
import { judgeIds, judgeOwnership } from '../../services/doctor/guests.ts';
import { type KernelFacts, judgeKernel, moduleNames } from '../../services/doctor/kernel.ts';
import { judgeHosts, judgeSagas } from '../../services/doctor/master.ts';
import { type Device, judgeNetworks } from '../../services/doctor/networks.ts';
import { judgeLeft } from '../../services/doctor/orphans.ts';
import { judgeDevices, judgeSpace } from '../../services/doctor/storage.ts';
import { isAtLeast, versionOf } from '../../services/doctor/tools.ts';
import type { Finding } from '../../shared/contract/doctor.ts';
import type { Ownership, VserverState } from '../../shared/contract/vserver.ts';

const bad = (findings: Finding[]) =>
  findings.filter((one) => one.result !== 'ok').map((one) => `${one.result}: ${one.message}`);

describe('a kernel', () => {
  const debian: KernelFacts = {
    release: '6.1.0-18-amd64',
    userNamespaces: 15_000,
    controllers: ['cpuset', 'cpu', 'io', 'memory', 'pids'],
    cgroup: 'v2',
    modules: new Set(['veth', 'bridge', 'nf_tables', '8021q']),
    pressure: true,
  };
  test('of Debian 12 is fit', () => expect(bad(judgeKernel(debian))).toEqual([]));
  test.each<[Partial<KernelFacts>, RegExp]>([
    [{ release: '5.10.0-9-amd64' }, /fail: Linux 5.10.0-9-amd64 has no idmapped mounts/],
    [{ userNamespaces: 0 }, /fail: user namespaces are off/],
    [{ userNamespaces: undefined }, /fail: user namespaces are off/],
    [{ controllers: ['cpu', 'pids'] }, /fail: cgroup v2 without memory/],
    [{ cgroup: 'none' }, /fail: no cgroups are mounted/],
    [{ modules: new Set(['veth', 'bridge', 'nf_tables']) }, /warn: there is no module 8021q: .*VLAN tag/],
    [{ pressure: false }, /warn: no pressure figures/],
  ])('with %j is not', (more, expected) => {
    const found = bad(judgeKernel({ ...debian, ...more }));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(expected);
  });
  test('that tells nothing of its modules is not blamed', () =>
    expect(bad(judgeKernel({ ...debian, modules: undefined }))).toEqual([]));
  test('names of modules come from modules.dep and modules.builtin', () => {
    const names = moduleNames(
      'kernel/net/8021q/8021q.ko.xz: kernel/net/802/garp.ko.xz\n',
      'kernel/net/bridge/bridge.ko\nkernel/net/netfilter/nf-tables.ko\n',
    );
    expect([...(names ?? [])].sort()).toEqual(['8021q', 'bridge', 'nf_tables']);
    expect(moduleNames(undefined, undefined)).toBeUndefined();
  });
});

test.each([
  ['3.2.7', '3.2', true],
  ['3.10', '3.2', true],
  ['3.1.9', '3.2', false],
  ['5', '5.0', true],
  ['4.99', '5.0', false],
])('version %s is at least %s: %s', (have, want, expected) => expect(isAtLeast(have, want)).toBe(expected));
test.each([
  ['rsync  version 3.2.7  protocol version 31', '3.2.7'],
  ['nftables v1.0.6 (Lester Gooch #5)', '1.0.6'],
  ['ip utility, iproute2-6.1.0, libbpf 1.1.0', '6.1.0'],
  ['btrfs-progs v6.2', '6.2'],
  ['no number', undefined],
])('the version in "%s"', (text, expected) => expect(versionOf(text)).toBe(expected));

describe('storage', () => {
  const space = (free: number, inodesFree = 50, inodes = 100) =>
    judgeSpace('/x', { free, size: 100, inodesFree, inodes }).result;
  test('room', () => {
    expect([space(50), space(9), space(2), space(50, 9), space(50, 1), space(50, 0, 0)]).toEqual([
      'ok',
      'warn',
      'fail',
      'warn',
      'fail',
      'ok', // btrfs counts no inodes
    ]);
  });
  test('errors that btrfs counted', () => {
    const fine = '[/dev/sda].write_io_errs    0\n[/dev/sda].corruption_errs  0\n';
    expect(bad(judgeDevices(fine))).toEqual([]);
    expect(bad(judgeDevices(`${fine}[/dev/sdb].corruption_errs  12\n`))).toEqual([
      'fail: btrfs counted 12 corruption_errs on /dev/sdb',
    ]);
  });
});

describe('networks', () => {
  const network = { name: 'blue', vlan: 10, tagged: true, uplink: 'eno1', subnet: '10.0.10.0/24' };
  const findings = (device: Device, more = {}, of = 'blue', source: 'master' | 'file' = 'file', up = false) =>
    judgeNetworks(
      [{ network: { ...network, ...more }, up }],
      new Map([['eno1', device]]),
      [{ name: 'web1', network: of }],
      { mtu: 1500, source },
    );
  const judge = (...args: Parameters<typeof findings>) => bad(findings(...args));
  const small = 'fail: blue: eno1 takes packets of 1496 bytes, its vservers send 1500';
  test('a fit uplink', () => expect(judge({ mtu: 1500, state: 'up' })).toEqual([]));
  test('no device, no link, too small packets, a network that is gone', () => {
    expect(judge(undefined)).toEqual(['fail: blue: this host has no device eno1']);
    expect(judge({ mtu: 1500, state: 'down' })).toEqual(['warn: blue: eno1 has no link']);
    expect(judge({ mtu: 1496, state: 'up', addressed: true })).toEqual([small]);
    expect(judge({ mtu: 1496, state: 'up' }, { tagged: false })).toEqual([small]);
    expect(judge({ mtu: 1496, state: 'up' }, { mtu: 1496 })).toEqual([]);
    expect(judge({ mtu: 1500, state: 'up' }, {}, 'red')).toEqual([
      'fail: web1 is in network red, which networks.conf of this host has not',
    ]);
  });
  test('what a tagged uplink is given when its network comes up is no fault, and one when it is up', () => {
    expect(judge({ mtu: 1496, state: 'up' })).toEqual([]);
    expect(judge({ mtu: 1496, state: 'down', on: false })).toEqual([]);
    expect(findings({ mtu: 1496, state: 'up' })[0]?.message).toMatch(
      /raised to packets of 1500 bytes when it comes/,
    );
    expect(judge({ mtu: 1496, state: 'up' }, {}, 'blue', 'file', true)).toEqual([small]);
    expect(judge({ mtu: 1500, state: 'down', on: false }, { tagged: false })).toHaveLength(1);
  });
  test("where the master's list counts, it is the master's files that are to be mended", () => {
    const todo = (device: Device, of?: string) =>
      findings(device, {}, of, 'master').map((one) => one.todo ?? '');
    expect(todo(undefined)[0]).toMatch(/the master's networks\.conf or slaves\.conf, then: vs net apply/);
    expect(todo({ mtu: 1496, state: 'up', addressed: true })[0]).toMatch(
      /host's own .*the master's.*vs net apply/,
    );
    expect(judge(undefined, {}, 'red', 'master')[1]).toBe(
      'fail: web1 is in network red, which the pool has not',
    );
    expect(todo(undefined, 'red')[1]).toMatch(/on the master: vs net add/);
  });
});

describe('vservers', () => {
  const state = (more: object) =>
    ({ host: 'host1', name: 'web1', state: 'running', uuid: 'a', epoch: 1, ...more }) as VserverState;
  const record = (more: object) => ({ name: 'web1', uuid: 'a', owner: true, epoch: 1, ...more }) as Ownership;
  test('files and records agree', () => {
    expect(bad(judgeOwnership([state({})], [record({})]))).toEqual([]);
    expect(bad(judgeOwnership([], [record({ owner: false })]))).toEqual([]);
  });
  test('or not', () => {
    expect(bad(judgeOwnership([], [record({})]))[0]).toMatch(/fail: this host owns web1, but has no files/);
    expect(bad(judgeOwnership([state({ uuid: 'b' })], [record({})]))[0]).toMatch(/the files of another one/);
    expect(bad(judgeOwnership([state({ epoch: 0 })], [record({ owner: false })]))[0]).toMatch(
      /warn: there are files of web1, which this host does not own/,
    );
    expect(bad(judgeOwnership([state({ state: 'unknown' })], [record({})]))).toEqual([
      'fail: web1 is unknown',
    ]);
  });
  test('nor while a saga has it', () =>
    expect(bad(judgeOwnership([state({ epoch: 0, saga: 'move-mwxblxde4e66' })], []))).toEqual([]));
  test('users of the host with ids of guests', () => {
    const passwd = 'root:x:0:0::/:/bin/sh\nanna:x:1000:1000::/:/bin/sh\nsvc:x:100033:100033::/:/bin/sh\n';
    expect(bad(judgeIds(passwd, [100_000]))).toEqual([
      'warn: user svc (100033) of this host has the same id as processes of vservers',
    ]);
    expect(bad(judgeIds(passwd, [200_000]))).toEqual([]);
  });
});

describe('what is left over', () => {
  const saga = 'move-mwxblxde4e66';
  const left = {
    staging: [`web1.${saga}`],
    snapshots: [
      { name: 'web1', saga },
      { name: 'web1', saga: 'before-upgrade' },
    ],
    locks: [{ name: 'web1', saga }],
    mounts: ['web1', 'web9'],
    veths: ['vsv00000001', 'vsv00000002'],
    temporaries: [],
  };
  const judge = (running: string[] | undefined, asOf = 1_800_000_000_000) =>
    judgeLeft(
      left,
      [{ name: 'web1', state: 'running' }],
      running && { running: new Set(running), asOf },
      new Set(['vsv00000001']),
    );
  const mends = (running: string[] | undefined) =>
    judge(running).flatMap((one) => (one.mend ? [`${one.mend.do} ${one.mend.name}`] : []));
  test('of sagas that have ended; what a person named is theirs', () =>
    expect(mends([])).toEqual(['discard web1', 'drop web1', 'unlock web1', 'unmount web9']));
  test('nothing of one that runs', () => expect(mends([saga])).toEqual(['unmount web9']));
  test('nor of one that began after the master was asked', () =>
    expect(judge([], parseInt('mwxblxde', 36)).flatMap((one) => one.mend?.do ?? [])).toEqual(['unmount']));
  test('nothing of sagas at all when the master did not say', () =>
    expect(mends(undefined)).toEqual(['unmount web9']));
  test('interfaces of nobody are told, and left', () =>
    expect(judge([saga]).map((one) => one.finding.message)).toContain(
      'interface vsv00000002 belongs to no vserver that runs here',
    ));
});

describe('the master', () => {
  const day = 86_400_000;
  const host = (more: object) => ({
    host: 'host1',
    state: 'online',
    vservers: 0,
    running: 0,
    version: '1',
    ...more,
  });
  const judge = (more: object) => bad(judgeHosts([host(more)] as never, '1', 0));
  test('its hosts', () => {
    expect(judge({})).toEqual([]);
    expect(judge({ state: 'offline' })).toEqual(['fail: host1 is offline']);
    expect(judge({ version: '2' })).toEqual(['warn: host1 runs vs-tools 2, the master 1']);
    expect(judge({ evacuated: {} })).toEqual(['warn: host1 is evacuated']);
    expect(judge({ certificate: { from: -80 * day, ends: 10 * day } })[0]).toMatch(/was not renewed/);
  });
  test('its sagas', () => {
    expect(bad(judgeSagas({ sagas: [] }))).toEqual([]);
    const stuck = { id: 'move-1', result: 'stuck', title: 'web1', message: 'host2 is away' };
    expect(bad(judgeSagas({ sagas: [stuck] as never }))).toEqual(['fail: move-1 is stuck: host2 is away']);
    const damaged = [{ id: 'x', message: 'x.jsonl: line 3', known: true }];
    expect(bad(judgeSagas({ sagas: [], damaged }))).toEqual(['fail: x.jsonl: line 3']);
  });
  test('the end of a certificate, by how long it lasts', () => {
    expect(judgeEnd(100 * day, 90 * day, 0).result).toBe('ok');
    expect(judgeEnd(10 * day, 90 * day, 0).result).toBe('warn');
    expect(judgeEnd(4000, 6000, 0).result).toBe('ok'); // one of some seconds, in tests
    expect(judgeEnd(0, 90 * day, 1).result).toBe('fail');
  });
});

test('clocks: how long the question took is not taken for a difference', () => {
  expect(skewOf(1000, 1200, 1100)).toBe(0);
  expect(judgeClock(1500, 0).result).toBe('ok');
  expect(judgeClock(-2500, 0)).toMatchObject({ result: 'warn', message: '2.5 s behind the master' });
  expect(judgeClock(2500, 1000).result).toBe('ok');
  expect(judgeClock(3_600_000, 10).result).toBe('fail');
});

test('lines for people: what to do under what is wrong, what was mended instead', () => {
  const findings: Finding[] = [
    { check: 'kernel', result: 'ok', message: 'Linux 6' },
    { check: 'storage', result: 'fail', message: 'full', todo: 'empty it' },
    { check: 'orphans', result: 'warn', message: 'left', todo: 'vs doctor --fix', fixed: 'it was removed' },
  ];
  expect(lines({ target: 'host1', findings }, false, false)).toEqual([
    'host1',
    '  ok    kernel       Linux 6',
    '  FAIL  storage      full',
    '                     empty it',
    '  WARN  orphans      left',
    '                     mended: it was removed',
  ]);
  expect(lines({ target: 'host1', findings: findings.slice(0, 1) }, true, false)).toEqual([]);
});
