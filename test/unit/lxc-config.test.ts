import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Init, lxcConfig } from '../../services/host-agent/lxc-config.ts';
import type { Layout } from '../../services/host-agent/limits/plan.ts';
import type { Attachment } from '../../shared/contract/network.ts';
import type { Limits } from '../../shared/contract/limits.ts';
import type { VserverConfig } from '../../shared/contract/vserver.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-lxc-config-'));
afterAll(() => rmSync(directory, { recursive: true }));

const web1: VserverConfig = {
  version: 1,
  uuid: '9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11',
  name: 'web1',
  network: 'blue',
  address: '10.60.10.5',
  prefix: 24,
  mac: '02:00:0a:3c:0a:05',
  enabled: true,
  limits: {},
  idmap: 100_000,
  source: 'busybox',
  created: 1,
};
const port = {
  device: 'eth0',
  veth: 'vsv0123abcd',
  network: 'blue',
  mac: '02:00:0a:3c:0a:05',
  addresses: [{ address: '10.60.10.5', prefix: 24 }],
  addresses6: [],
  bridge: 'vsbr10',
  mtu: 1500,
};
const six: Pick<Attachment, 'interfaces'> = {
  interfaces: [{ ...port, addresses6: [{ address: 'fd60:10::5', prefix: 64 }] }],
};
const net: Attachment = {
  interfaces: [port],
  gateway: '10.60.10.1',
  hook: '/var/lib/vs-tools/rules/web1/start-host',
};
const layoutOf = (version: 1 | 2): Layout => ({
  version: { memory: version, cpu: version, pids: version, io: version },
  swap: true,
  quota: true,
  throttle: true,
});
const paths = {
  rootfs: '/var/lib/vservers/web1/rootfs',
  mount: '/run/vs/web1',
  ownership: '/var/lib/vs-tools/owned/web1.json',
  console: '/var/lib/vs-tools/log/web1.console',
  preStart: '/opt/vs/hooks/pre-start',
  portUp: '/opt/vs/hooks/port-up',
  seccomp: new URL('../../services/host-agent/no-subvolumes.seccomp', import.meta.url).pathname,
};
const make = (
  given: {
    limits?: Limits;
    net?: Partial<Attachment>;
    cgroup2?: boolean;
    init?: Init;
    stop?: string;
    config?: object;
  } = {},
) =>
  lxcConfig({ ...web1, ...given.config, limits: given.limits ?? {} }, { ...net, ...given.net }, paths, {
    layout: layoutOf(given.cgroup2 === false ? 1 : 2),
    disks: ['7:3'],
    init: given.init ?? 'systemd',
    stop: given.stop,
  });
/** The values of a key, in order. Every line is `key = value`, which is all that lxc.container.conf(5) knows. */
function values(text: string, key: string): string[] {
  const lines = text.split('\n').filter((line) => line && !line.startsWith('#'));
  for (const line of lines) expect(line).toMatch(/^lxc\.[a-z0-9._-]+ = \S/);
  return lines.filter((line) => line.startsWith(`${key} = `)).map((line) => line.slice(key.length + 3));
}
const keys = (text: string, prefix: string) => text.split('\n').filter((line) => line.startsWith(prefix));

describe('limits', () => {
  const all: Limits = { memory_bytes: 536_870_912, procs: 200, cpu: 0.8 };

  test('cgroup v2', () => {
    expect(keys(make({ limits: all }), 'lxc.cgroup')).toEqual([
      'lxc.cgroup2.memory.max = 536870912',
      'lxc.cgroup2.pids.max = 200',
      'lxc.cgroup2.cpu.max = 80000 100000',
    ]);
  });

  test('cgroup v1: the period of the processor comes before its quota', () => {
    expect(keys(make({ limits: all, cgroup2: false }), 'lxc.cgroup')).toEqual([
      'lxc.cgroup.memory.limit_in_bytes = 536870912',
      'lxc.cgroup.pids.max = 200',
      'lxc.cgroup.cpu.cfs_period_us = 100000',
      'lxc.cgroup.cpu.cfs_quota_us = 80000',
    ]);
  });

  test.each([true, false])('an absent limit is unlimited: no line (cgroup2 %s)', (cgroup2) => {
    expect(keys(make({ cgroup2 }), 'lxc.cgroup')).toEqual([]);
    for (const [key, value] of Object.entries(all)) {
      const lines = keys(make({ limits: { [key]: value }, cgroup2 }), 'lxc.cgroup');
      expect([key, lines.length]).toEqual([key, key === 'cpu' && !cgroup2 ? 2 : 1]);
    }
  });

  const more: Limits = {
    swap_bytes: 0,
    disk_bytes: 1_073_741_824,
    tmp_bytes: 67_108_864,
    cpu_weight: 50,
    io_read_rate: 1_000_000,
    net_in_rate: 1_000_000,
  };
  test('the others: swap, weight, transfers of the disk, /tmp; those of disk and network are not for the runtime', () => {
    const limits = { memory_bytes: 536_870_912, ...more };
    expect(keys(make({ limits }), 'lxc.cgroup')).toEqual([
      'lxc.cgroup2.memory.max = 536870912',
      'lxc.cgroup2.memory.swap.max = 0',
      'lxc.cgroup2.cpu.weight = 50',
      'lxc.cgroup2.io.max = 7:3 rbps=1000000 wbps=max',
    ]);
    expect(keys(make({ limits, cgroup2: false }), 'lxc.cgroup')).toEqual([
      'lxc.cgroup.memory.limit_in_bytes = 536870912',
      'lxc.cgroup.memory.memsw.limit_in_bytes = 536870912',
      'lxc.cgroup.cpu.shares = 512',
      'lxc.cgroup.blkio.throttle.read_bps_device = 7:3 1000000',
    ]);
    expect(values(make({ limits }), 'lxc.mount.entry')).toEqual([
      'tmpfs tmp tmpfs rw,nosuid,nodev,mode=1777,size=67108864,create=dir 0 0',
    ]);
    expect(values(make({ limits }), 'lxc.seccomp.profile')).toEqual([paths.seccomp]);
    expect(make()).not.toMatch(/seccomp|mount\.entry/);
  });

  test.each([
    [0.001, '1000'], // the kernel takes no less than 1 ms
    [0.015, '1500'],
    [1 / 3, '33333'],
    [1, '100000'],
    [16, '1600000'],
  ])('%f cores are a quota of %s us, a whole number', (cpu, quota) => {
    expect(values(make({ limits: { cpu } }), 'lxc.cgroup2.cpu.max')).toEqual([`${quota} 100000`]);
    expect(values(make({ limits: { cpu }, cgroup2: false }), 'lxc.cgroup.cpu.cfs_quota_us')).toEqual([quota]);
  });

  test('a large limit is written in digits, not as 1e+21 or rounded', () => {
    const memory_bytes = Number.MAX_SAFE_INTEGER;
    expect(values(make({ limits: { memory_bytes } }), 'lxc.cgroup2.memory.max')).toEqual([
      '9007199254740991',
    ]);
  });
});

describe('network', () => {
  test('its one device has the address, the gateway, the MAC and the host end that the network service gave', () => {
    expect(keys(make(), 'lxc.net.')).toEqual([
      'lxc.net.0.type = veth',
      'lxc.net.0.flags = up',
      'lxc.net.0.name = eth0',
      'lxc.net.0.veth.pair = vsv0123abcd',
      'lxc.net.0.hwaddr = 02:00:0a:3c:0a:05',
      'lxc.net.0.mtu = 1500',
      'lxc.net.0.script.up = /opt/vs/hooks/port-up',
      'lxc.net.0.ipv4.address = 10.60.10.5/24',
      'lxc.net.0.ipv4.gateway = 10.60.10.1',
    ]);
  });

  test('IPv6: address with prefix and gateway; without an address neither', () => {
    const gateway6 = 'fd60:10::1';
    expect(keys(make({ net: { ...six, gateway6 } }), 'lxc.net.0.ipv6')).toEqual([
      'lxc.net.0.ipv6.address = fd60:10::5/64',
      'lxc.net.0.ipv6.gateway = fd60:10::1',
    ]);
    expect(keys(make({ net: six }), 'lxc.net.0.ipv6')).toEqual(['lxc.net.0.ipv6.address = fd60:10::5/64']);
    expect(keys(make({ net: { gateway6 } }), 'lxc.net.0.ipv6')).toEqual([]); // lxc would refuse it
  });

  test('further addresses and networks: all of them, the gateway once', () => {
    const interfaces = [
      { ...port, addresses: [...port.addresses, { address: '10.60.10.15', prefix: 24 }] },
      {
        ...port,
        device: 'eth1',
        veth: 'vsv4567abcd',
        network: 'green',
        mac: '02:00:0a:3c:14:05',
        addresses: [],
        addresses6: [{ address: 'fd60:20::5', prefix: 64 }],
        bridge: 'vsbr20',
        mtu: 1496,
      },
    ];
    const text = make({ net: { interfaces, gateway6: 'fd60:10::1' } });
    expect(keys(text, 'lxc.net.0.ipv4')).toEqual([
      'lxc.net.0.ipv4.address = 10.60.10.5/24',
      'lxc.net.0.ipv4.address = 10.60.10.15/24',
      'lxc.net.0.ipv4.gateway = 10.60.10.1',
    ]);
    expect(keys(text, 'lxc.net.1')).toEqual([
      'lxc.net.1.type = veth',
      'lxc.net.1.flags = up',
      'lxc.net.1.name = eth1',
      'lxc.net.1.veth.pair = vsv4567abcd',
      'lxc.net.1.hwaddr = 02:00:0a:3c:14:05',
      'lxc.net.1.mtu = 1496',
      'lxc.net.1.script.up = /opt/vs/hooks/port-up',
      'lxc.net.1.ipv6.address = fd60:20::5/64',
    ]);
  });

  test('a network without a gateway has no line for it', () => {
    expect(keys(make({ net: { gateway: undefined } }), 'lxc.net.0.ipv4')).toEqual([
      'lxc.net.0.ipv4.address = 10.60.10.5/24',
    ]);
  });
});

describe('what a guest is and may not', () => {
  test('capabilities that would pass the rules of its network, or reach the host, are dropped in one line', () => {
    const lines = values(make(), 'lxc.cap.drop');
    expect(lines).toHaveLength(1);
    expect(lines[0]?.split(' ').toSorted()).toEqual([
      'mac_admin',
      'mac_override',
      'net_admin',
      'net_raw',
      'sys_module',
      'sys_rawio',
      'sys_time',
      'syslog',
      'wake_alarm',
    ]);
    expect(make()).not.toContain('lxc.cap.keep');
  });

  test('root of the guest is a range of its own on the host, for users and groups', () => {
    expect(values(make({ config: { idmap: 231_072 } }), 'lxc.idmap')).toEqual([
      'u 0 231072 65536',
      'g 0 231072 65536',
    ]);
    expect(values(make(), 'lxc.rootfs.path')).toEqual(['dir:/run/vs/web1']); // the idmapped mount, not the files
    expect(values(make(), 'lxc.mount.auto')).toEqual(['proc:mixed sys:mixed cgroup:mixed']);
  });

  test.each([true, false])(
    'a privileged one has the ids of the host, no more capabilities, and of its devices only harmless ones (cgroup2 %s)',
    (cgroup2) => {
      const text = make({ config: { idmap: 0 }, cgroup2 });
      const key = cgroup2 ? 'lxc.cgroup2.devices' : 'lxc.cgroup.devices';
      expect(values(text, 'lxc.idmap')).toEqual([]);
      expect(values(text, 'lxc.cap.drop')).toEqual(values(make(), 'lxc.cap.drop'));
      expect(values(text, `${key}.deny`)).toEqual(['a']);
      expect(text.indexOf(`${key}.deny`)).toBeLessThan(text.indexOf(`${key}.allow`));
      const allowed = values(text, `${key}.allow`);
      expect(allowed.filter((one) => one.startsWith('b'))).toEqual(['b *:* m']);
      expect(allowed).toContain('c 1:3 rwm');
      expect(keys(make({ cgroup2 }), 'lxc.cgroup')).toEqual([]); // an ordinary one needs none of that
    },
  );

  test('the init that was put beside the program of an image is what runs', () => {
    expect(values(make({ init: 'image' }), 'lxc.init.cmd')).toEqual([
      '/.vs-tools/tini -- /.vs-tools/busybox sh /.vs-tools/run',
    ]);
    const halt = (stop: string) => values(make({ init: 'image', stop }), 'lxc.signal.halt');
    expect([halt('SIGQUIT'), halt('SIGNONE'), halt('SIGTERM\nlxc.hook.pre-start = x')]).toEqual([
      ['SIGQUIT'],
      ['SIGTERM'],
      ['SIGTERM'],
    ]);
    expect(values(make(), 'lxc.init.cmd')).toEqual([]);
  });

  test('hooks: ownership before anything is mounted, the rules of the network before its init', () => {
    const text = make();
    expect(values(text, 'lxc.hook.version')).toEqual(['1']);
    expect(values(text, 'lxc.hook.pre-start')).toEqual([
      '/opt/vs/hooks/pre-start /var/lib/vs-tools/owned/web1.json /var/lib/vservers/web1/rootfs /run/vs/web1 100000',
    ]);
    expect(values(text, 'lxc.hook.start-host')).toEqual(['/var/lib/vs-tools/rules/web1/start-host']);
  });

  test.each([
    ['systemd', 'SIGRTMIN+3'],
    ['busybox', 'SIGUSR2'],
    ['image', 'SIGTERM'],
    ['other', 'SIGPWR'],
  ] as const)('an init of kind %s is asked to halt by %s', (init, signal) => {
    expect(values(make({ init }), 'lxc.signal.halt')).toEqual([signal]);
  });
});

/** What LXC prints otherwise than it reads. */
const same: Record<string, string> = { 'SIGRTMIN+3': '37' };
const lxc = spawnSync('lxc-info', ['--version']).status === 0;
if (!lxc)
  console.log('skipped: lxc-info (lxc) is not installed, so LXC itself does not read the configuration');
test.skipIf(!lxc).each([true, false])(
  'LXC itself reads it and understands every line (cgroup2 %s)',
  (cgroup2) => {
    const text = make({
      cgroup2,
      limits: {
        memory_bytes: 536_870_912,
        procs: 200,
        cpu: 0.8,
        tmp_bytes: 1_048_576,
        disk_bytes: 1_073_741_824,
      },
      net: { ...six, gateway6: 'fd60:10::1' },
    });
    mkdirSync(join(directory, 'web1'), { recursive: true });
    writeFileSync(join(directory, 'web1/config'), text);
    for (const line of text.split('\n').filter((one) => one && !one.startsWith('#'))) {
      const [key = '', value = ''] = line.split(' = ');
      const { stdout, stderr } = spawnSync('lxc-info', ['-P', directory, '-n', 'web1', '-H', '-c', key], {
        encoding: 'utf8',
        timeout: 10_000,
      });
      const understood = stdout.split(/\s+/);
      const missing = value
        .split(' ')
        .filter((word) => !understood.includes(same[word] ?? word.replace(/^dir:/, '')));
      expect([line, missing, stderr], stdout).toEqual([line, [], '']);
    }
  },
);
