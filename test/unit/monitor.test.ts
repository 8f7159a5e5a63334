import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { cgroupsOf, figuresOf, ownOf, ownerOf, pathIn, perCpu } from '../../services/monitor/cgroup.ts';
import { cpuTicks, diskFlows, memoryKeys } from '../../services/monitor/host.ts';
import { nextLoads, openPasses, stateIn } from '../../services/monitor/load.ts';
import { flowKeys, hostFlows, inetOf, interfacesOf, socketCounts } from '../../services/monitor/network.ts';
import { fieldOf, wholeOf } from '../../services/monitor/read.ts';
import { addressIn, listeningIn, listeningUnix, tcpCount } from '../../services/monitor/sockets.ts';
import { hasTmpfs } from '../../services/monitor/vserver.ts';

const root = mkdtempSync(join(tmpdir(), 'vslab-monitor-'));
afterAll(() => rmSync(root, { recursive: true }));
function write(files: Record<string, string>): void {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
}

/** /proc/PID/cgroup of a Debian guest's systemd on a hybrid host. */
const hybrid = `9:name=systemd:/pool/lxc.payload.web1/init.scope
8:pids:/pool/lxc.payload.web1/init.scope
7:blkio:/pool/lxc.payload.web1
4:memory:/pool/lxc.payload.web1/init.scope
2:cpuacct:/pool/lxc.payload.web1
1:cpu:/pool/lxc.payload.web1
0::/pool/lxc.payload.web1/init.scope
`;
const pressure = `some avg10=3.49 avg60=25.16 avg300=21.90 total=26828644954
full avg10=0.52 avg60=3.01 avg300=3.01 total=734314696
`;

describe('cgroups', () => {
  test('v1 with the unified hierarchy beside it: each controller, limits, hits, io of all devices, pressure', () => {
    const own = (controller: string) => `v1/${controller}/pool/lxc.payload.web1`;
    write({
      [`${own('memory')}/memory.usage_in_bytes`]: '44457984\n',
      [`${own('memory')}/memory.max_usage_in_bytes`]: '48345088\n',
      [`${own('memory')}/memory.failcnt`]: '17\n',
      [`${own('memory')}/memory.limit_in_bytes`]: '536870912\n',
      [`${own('memory')}/memory.memsw.limit_in_bytes`]: '805306368\n',
      [`${own('memory')}/memory.oom_control`]: 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
      [`${own('memory')}/memory.stat`]:
        'cache 18898944\nrss 1437696\nswap 0\ninactive_file 10227712\nhierarchical_memory_limit 536870912\ntotal_cache 36093952\ntotal_rss 6316032\ntotal_swap 4096\ntotal_inactive_file 26951680\n',
      [`${own('pids')}/pids.current`]: '4\n',
      [`${own('pids')}/pids.peak`]: '14\n',
      [`${own('pids')}/pids.max`]: 'max\n',
      [`${own('pids')}/pids.events`]: 'max 3\n',
      [`${own('cpuacct')}/cpuacct.usage`]: '357816800\n',
      [`${own('cpuacct')}/cpuacct.stat`]: 'user 17\nsystem 18\n',
      [`${own('cpuacct')}/cpuacct.usage_percpu`]: '1500000000 2000000000 \n',
      [`${own('cpu')}/cpu.stat`]: 'nr_periods 9\nnr_throttled 3\nthrottled_time 2500000000\n',
      [`${own('blkio')}/blkio.throttle.io_service_bytes_recursive`]:
        '8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 12288\n8:0 Total 12288\n7:1 Read 1000\n7:1 Write 0\nTotal 13288\n',
      [`${own('blkio')}/blkio.throttle.io_serviced`]: '8:0 Read 1\n8:0 Write 2\n8:0 Total 3\nTotal 3\n',
      'v1/unified/pool/lxc.payload.web1/cpu.pressure': pressure,
      'v1/unified/pool/lxc.payload.web1/io.pressure': 'some avg10=0.00 avg60=0.00 avg300=0.00 total=20889\n',
    });
    const at = cgroupsOf(hybrid, join(root, 'v1'));
    expect(figuresOf(at)).toEqual({
      cpu_seconds_total: 0.36,
      cpu_user_seconds_total: 0.17,
      cpu_system_seconds_total: 0.18,
      cpu_throttled_seconds_total: 2.5,
      mem_bytes: 44457984 - 26951680,
      mem_limit_bytes: 536870912,
      mem_max_bytes: 48345088,
      mem_cache_bytes: 36093952,
      mem_hits_total: 17,
      mem_oom_kills_total: 2,
      swap_bytes: 4096,
      swap_limit_bytes: 268435456,
      procs: 4,
      procs_max: 14,
      procs_hits_total: 3,
      io_read_bytes: 5096,
      io_write_bytes: 8192,
      io_reads_total: 1,
      io_writes_total: 2,
      psi_cpu_some_pct: 3.49,
      psi_cpu_full_pct: 0.52,
      psi_io_some_pct: 0,
    });
    expect(perCpu(at)).toEqual([1.5, 2]);
  });

  test('v2: one directory; max is no limit', () => {
    const at = 'v2/lxc.payload.web1';
    write({
      [`${at}/cpu.stat`]:
        'usage_usec 358033\nuser_usec 171783\nsystem_usec 186250\nnr_periods 5\nnr_throttled 1\nthrottled_usec 40000\n',
      [`${at}/memory.current`]: '44457984\n',
      [`${at}/memory.peak`]: '50000000\n',
      [`${at}/memory.max`]: 'max\n',
      [`${at}/memory.stat`]:
        'anon 6316032\nfile 36093952\nkernel 2000000\ninactive_file 26951680\nactive_file 9121792\n',
      [`${at}/memory.events`]: 'low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n',
      [`${at}/memory.swap.current`]: '8192\n',
      [`${at}/memory.swap.max`]: '268435456\n',
      [`${at}/pids.current`]: '23\n',
      [`${at}/pids.max`]: '100\n',
      [`${at}/pids.events`]: 'max 0\n',
      [`${at}/io.stat`]:
        '8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=50331648 dios=3021\n',
      [`${at}/cpu.pressure`]: pressure,
      [`${at}/memory.pressure`]: pressure,
      [`${at}/io.pressure`]: pressure,
    });
    const figures = figuresOf(cgroupsOf('0::/lxc.payload.web1/init.scope\n', join(root, 'v2')));
    expect(figures).toEqual({
      cpu_seconds_total: 0.36,
      cpu_user_seconds_total: 0.17,
      cpu_system_seconds_total: 0.19,
      cpu_throttled_seconds_total: 0.04,
      mem_bytes: 44457984 - 26951680,
      mem_max_bytes: 50000000,
      mem_cache_bytes: 36093952,
      mem_hits_total: 12,
      mem_oom_kills_total: 1,
      swap_bytes: 8192,
      swap_limit_bytes: 268435456,
      procs: 23,
      procs_limit: 100,
      procs_hits_total: 0,
      io_read_bytes: 91889664,
      io_write_bytes: 613781504,
      io_reads_total: 9142,
      io_writes_total: 1605,
      psi_cpu_some_pct: 3.49,
      psi_cpu_full_pct: 0.52,
      psi_mem_some_pct: 3.49,
      psi_mem_full_pct: 0.52,
      psi_io_some_pct: 3.49,
      psi_io_full_pct: 0.52,
    });
  });

  test('what is in no vserver has no figures; one within a vserver belongs to the outer one', () => {
    expect(figuresOf(cgroupsOf('0::/system.slice/ssh.service\n', root))).toBeUndefined();
    expect(figuresOf(cgroupsOf('', root))).toBeUndefined();
    const inner = pathIn('4:memory:/user.slice\n0::/a/lxc.payload.web1/b/lxc.payload.inner/c\n');
    expect(inner).toBe('/a/lxc.payload.web1/b/lxc.payload.inner/c');
    expect(ownerOf(inner, new Set(['/lxc.payload.web1', '/a/lxc.payload.web1']))).toBe('/a/lxc.payload.web1');
    expect(ownerOf(inner, new Set(['/a/lxc.payload.web']))).toBeUndefined();
    // a host that is a container itself
    const host = new Set(['/lxc.payload.host1/lxc.payload.web1']);
    expect(ownerOf('/lxc.payload.host1/lxc.payload.web1/init.scope', host)).toBe(
      '/lxc.payload.host1/lxc.payload.web1',
    );
    expect([pathIn('0::/lxc.monitor.web1\n'), ownOf(''), ownOf('/lxc.payload.web1/init.scope')]).toEqual([
      '',
      '',
      '/lxc.payload.web1',
    ]);
  });

  test('no limit, no number, no line', () => {
    expect([wholeOf('max\n'), wholeOf('9223372036854771712\n'), wholeOf(''), wholeOf('0\n')]).toEqual([
      undefined,
      undefined,
      undefined,
      0,
    ]);
    expect([fieldOf('total_rss 1\nrss 2\n', 'rss'), fieldOf('rss 2\n', 'rs'), fieldOf('', 'rss')]).toEqual([
      2,
      undefined,
      undefined,
    ]);
  });
});

describe('network', () => {
  const dev = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 999 9 0 0 0 0 0 0 999 9 0 0 0 0 0 0
  eth0:   50016     688    1    2    0     0          0         0    48278     661    3    4    0     0       0          0
eth0.10: 100 1 0 0 0 0 0 0 200 2 0 0 0 0 0 0
vsbr10: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0
  vsv0a1b2c3d: 7 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0
  eth1:1000 10 0 0 0 0 0 0 2000 20 0 0 0 0 0 0
`;
  test('bytes, packets, errors and drops of each interface but loopback', () => {
    expect(interfacesOf(dev).map(({ name }) => name)).toEqual([
      'eth0',
      'eth0.10',
      'vsbr10',
      'vsv0a1b2c3d',
      'eth1',
    ]);
    expect(interfacesOf(dev)[0]).toEqual({
      name: 'eth0',
      rx: { bytes: 50016, packets: 688, errors: 1, drops: 2 },
      tx: { bytes: 48278, packets: 661, errors: 3, drops: 4 },
    });
    expect(flowKeys([])['net_rx_bytes']).toBe(0);
  });
  test('of a host: the sum of what leads out, each device on its own, none of the vservers', () => {
    const keys = hostFlows(dev);
    expect([keys['net_rx_bytes'], keys['net_tx_packets_total']]).toEqual([51016, 681]);
    expect([keys['net_eth0_10_rx_bytes'], keys['net_vsbr10_tx_bytes'], keys['net_eth1_rx_bytes']]).toEqual([
      100, 20, 1000,
    ]);
    expect(Object.keys(keys).filter((key) => key.includes('vsv0a1b2c3d'))).toEqual([]);
  });
  test('messages and bytes of both families, and what was thrown away', () => {
    const snmp = `Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes
Ip: 2 64 678 1 0 0 0 2 678 645 3 4
Tcp: RtoAlgorithm
Tcp: 1
`;
    const netstat = `TcpExt: SyncookiesSent
TcpExt: 5
IpExt: InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts InBcastPkts OutBcastPkts InOctets OutOctets
IpExt: 0 0 0 0 0 0 39856 38100
`;
    const six =
      'Ip6InReceives                   \t6\nIp6InDiscards                   \t1\nIp6OutRequests                  \t9\nIp6InOctets                     \t416\nIp6OutOctets                    \t728\n';
    expect(inetOf(snmp, netstat, six)).toEqual({
      inet_rx_bytes: 40272,
      inet_tx_bytes: 38828,
      inet_rx_packets_total: 684,
      inet_tx_packets_total: 654,
      inet_fails_total: 11,
    });
    expect(inetOf('', '', '')['inet_rx_bytes']).toBe(0);
  });
  test('open sockets', () => {
    const four =
      'sockets: used 16\nTCP: inuse 1 orphan 0 tw 113 alloc 16 mem 0\nUDP: inuse 2 mem 0\nRAW: inuse 0\n';
    expect(socketCounts(four, 'TCP6: inuse 3\nUDP6: inuse 0\nFRAG6: inuse 0 memory 0\n')).toEqual({
      sockets: 16,
      inet_sockets: 6,
    });
    expect(socketCounts('', '')).toEqual({});
  });
});

test('listening sockets: only those, with their addresses', () => {
  const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 100000        0 14125295 1 0
   1: 0100007F:9F77 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 14053010 1 0
   2: 05143C0A:0050 020200C0:9554 06 00000000:00000000 03:00001574 00000000     0        0 0 3 0
`;
  expect(listeningIn(tcp, 'tcp')).toEqual([
    { family: 'tcp', address: '0.0.0.0', port: 80, inode: '14125295' },
    { family: 'tcp', address: '127.0.0.1', port: 40823, inode: '14053010' },
  ]);
  const udp = `  sl  local_address rem_address   st
   0: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 777 2 0 0
   1: 05143C0A:C001 08080808:0035 07 00000000:00000000 00:00000000 00000000   101        0 778 2 0 0
`;
  expect(listeningIn(udp, 'udp')).toEqual([{ family: 'udp', address: '127.0.0.53', port: 53, inode: '777' }]);
  const unix = `Num       RefCount Protocol Flags    Type St Inode Path
000000000bc3be28: 00000003 00000000 00000000 0002 03 14125182 /run/systemd/notify
00000000a1a9705e: 00000002 00000000 00010000 0001 01 14125185 /run/systemd/private
00000000ba01cca3: 00000002 00000000 00010000 0001 01 14125187 @/tmp/with blank
`;
  expect(listeningUnix(unix)).toEqual([
    { family: 'unix', address: '/run/systemd/private', inode: '14125185' },
    { family: 'unix', address: '@/tmp/with blank', inode: '14125187' },
  ]);
});

test('addresses as the kernel writes them', () => {
  expect(addressIn('05143C0A')).toBe('10.60.20.5');
  expect(addressIn('00000000000000000000000000000000')).toBe('::');
  expect(addressIn('00000000000000000000000001000000')).toBe('::1');
  // fd60:10::5, each word of 4 bytes turned
  expect(addressIn('100060FD000000000000000005000000')).toBe('fd60:10::5');
  expect(addressIn('B80D0120000000000000000000000000')).toBe('2001:db8::');
});

describe('load', () => {
  test('the state of a process behind a name with blanks and brackets', () => {
    expect(stateIn('22273 (systemd) S 22272 22273')).toBe('S');
    expect(stateIn('7 (a) R (b) D 1 2')).toBe('D');
    expect(stateIn('')).toBe('');
  });
  test('an average over minutes goes to what it counts, and falls again', () => {
    let loads: number[] | undefined;
    for (let second = 0; second < 3600; second += 10) loads = nextLoads(loads, 2, 10);
    expect(loads?.map((load) => Math.round(load * 10) / 10)).toEqual([2, 2, 2]);
    loads = nextLoads(loads, 0, 60);
    expect(loads[0]).toBeCloseTo(2 / Math.E, 3);
    expect((loads[2] ?? 0) > (loads[0] ?? 0)).toBe(true);
  });
  test('one pass counts each vserver, asks the owner once, and forgets who has ended', async () => {
    const of = (pid: number, path: string, stat: string) => ({
      [`proc/${pid}/cgroup`]: `4:memory:${path}\n0::${path}\n`,
      [`proc/${pid}/stat`]: stat,
    });
    write({
      ...of(1, '/init.scope', '1 (systemd) S 0'),
      ...of(10, '/lxc.payload.web1/init.scope', '10 (systemd) S 1'),
      ...of(11, '/lxc.payload.web1', '11 (php fpm) R 1'),
      ...of(12, '/lxc.payload.db1', '12 (mariadbd) D 1'),
      'proc/meminfo': '',
    });
    const pass = openPasses(join(root, 'proc'));
    const known = new Set(['/lxc.payload.web1', '/lxc.payload.db1']);
    expect((await pass(new Set())).vservers.size).toBe(0); // not told of any yet
    const first = await pass(known);
    expect(first.all).toBe(4);
    expect(Object.fromEntries(first.vservers)).toEqual({
      '/lxc.payload.web1': { processes: 2, active: 1 },
      '/lxc.payload.db1': { processes: 1, active: 1 },
    });
    write({ 'proc/11/cgroup': '0::/elsewhere\n', 'proc/11/stat': '11 (php fpm) S 1' });
    rmSync(join(root, 'proc/12'), { recursive: true });
    expect(Object.fromEntries((await pass(known)).vservers)).toEqual({
      '/lxc.payload.web1': { processes: 2, active: 0 },
    });
  });
});

describe('host', () => {
  test('ticks: what is idle or waits for a disk is not busy', () => {
    expect(cpuTicks('cpu  100 10 50 800 20 0 5 15 0 0\ncpu0 1 2 3\n')).toEqual({
      busy: 180,
      all: 1000,
      iowait: 20,
      steal: 15,
    });
  });
  test('whole disks only', () => {
    const text = ` 254       0 vda 653932 79223 34602370 1068420 6490663 2111234 1147209632 12665920 0 2397420 16005091
 254       1 vda1 1 0 2 0 3 0 4 0 0 0 0
   7       0 loop0 2621143 6387 191216570 454656 4818514 1920197 358507776 10612020 0 886308 11473171
 253       0 dm-0 9 9 9 9 9 9 9 9 9 9 9
 259       0 nvme0n1 10 0 100 0 20 0 200 0 0 0 0
 259       1 nvme0n1p1 10 0 100 0 20 0 200 0 0 0 0
`;
    expect(diskFlows(text)).toEqual({
      io_reads_total: 653942,
      io_read_bytes: (34602370 + 100) * 512,
      io_writes_total: 6490683,
      io_write_bytes: (1147209632 + 200) * 512,
    });
  });
  test('memory and swap', () => {
    const text =
      'MemTotal:       16000 kB\nMemAvailable:    4000 kB\nBuffers: 100 kB\nCached: 900 kB\nSwapTotal: 2000 kB\nSwapFree: 500 kB\n';
    expect(memoryKeys(text)).toEqual({
      mem_bytes: 12_288_000,
      mem_limit_bytes: 16_384_000,
      mem_pct: 75,
      mem_cache_bytes: 1_024_000,
      swap_bytes: 1_536_000,
      swap_limit_bytes: 2_048_000,
    });
  });
  test('a tmpfs at /tmp itself, and nothing that only looks like one', () => {
    const line = (place: string, kind: string) =>
      `240 308 0:99 / ${place} rw,nosuid - ${kind} tmpfs rw,size=4936732k\n`;
    expect(hasTmpfs(line('/run', 'tmpfs') + line('/tmp', 'tmpfs'))).toBe(true);
    expect(hasTmpfs(line('/tmp', 'fuse'))).toBe(false);
    expect(hasTmpfs(line('/tmp/x', 'tmpfs') + line('/var/tmp', 'tmpfs'))).toBe(false);
  });
});

test('sockets in use are counted by family; without that nothing is known', () => {
  const four = 'sockets: used 9\nTCP: inuse 3 orphan 0 tw 7 alloc 9 mem 1\nUDP: inuse 2 mem 0\n';
  expect(tcpCount(four, 'TCP6: inuse 4\nUDP6: inuse 1\n')).toBe('3 4');
  expect(tcpCount(four.replace('tw 7', 'tw 8'), '')).toBe('3 0');
  expect(tcpCount('', '')).toBeUndefined();
});
