import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { vethOf } from '../../shared/veth.ts';
import type { LimitKey, LimitReport, LimitRow } from '../../shared/contract/limits.ts';
import { limitReport } from '../../shared/contract/limits.ts';
import type { VserverConfig } from '../../shared/contract/vserver.ts';
import { realLab } from './lab-kit.ts';

// host1 and host3 have btrfs, host2 ext4. web1 has limits, web2 is its neighbour.
const lab = realLab('limit');
const MiB = 1024 ** 2;
const root = '/var/lib/vservers';

const report = (name = 'web1') => JSON.parse(lab.vs(['limit', name, '--json']).stdout) as LimitReport;
const row = (key: LimitKey, name = 'web1'): LimitRow => {
  const found = report(name).limits.find((one) => one.key === key);
  if (!found) throw new Error(`no row ${key}`);
  return found;
};
const kept = (host = 'host1', name = 'web1') =>
  (JSON.parse(lab.on(host, `cat ${root}/${name}/vserver.json`)) as VserverConfig).limits;
const inside = (script: string, expected: number | null = 0, name = 'web1') =>
  lab.vs(['exec', name, '--', 'sh', '-c', script], expected);

/** A shell with `at CONTROLLER` for the directory of web1's cgroup, v1 or v2. */
const cgroup = `p=$(lxc-info -P ${root} -n web1 -p -H); c=/sys/fs/cgroup
cut_payload() { sed 's,\\(lxc.payload.[^/]*\\).*,\\1,'; }
if [ -e $c/cgroup.controllers ]; then v=2; at() { echo $c$(sed -n 's/^0:://p' /proc/$p/cgroup | cut_payload); }
else v=1; at() { echo $c/$(awk -F: -v c=$1 '$2 ~ "(^|,)" c "(,|$)" { print $2 $3 }' /proc/$p/cgroup | cut_payload); }; fi
`;
const init = (host = 'host1') => lab.on(host, `lxc-info -P ${root} -n web1 -p -H`).trim();
/** What the kernel holds for web1, by its own files and tools. */
function held(host = 'host1'): Record<string, string> {
  const text = lab.on(
    host,
    `${cgroup}
if [ $v = 1 ]; then
  echo memory_bytes $(cat $(at memory)/memory.limit_in_bytes)
  echo both $(cat $(at memory)/memory.memsw.limit_in_bytes)
  echo procs $(cat $(at pids)/pids.max)
  echo cpu $(cat $(at cpu)/cpu.cfs_quota_us) $(cat $(at cpu)/cpu.cfs_period_us) | awk '{ print $1, $2 / $3 }'
  echo shares $(cat $(at cpu)/cpu.shares)
  echo read $(cat $(at blkio)/blkio.throttle.read_bps_device)
else
  d=$(at x); echo memory_bytes $(cat $d/memory.max); echo both $(cat $d/memory.swap.max); echo procs $(cat $d/pids.max)
  awk '{ print "cpu", $1 / $2 }' $d/cpu.max; echo shares $(cat $d/cpu.weight); echo read $(cat $d/io.max)
fi
echo tmp $(stat -f -c '%T %b %S' /proc/$p/root/tmp | awk '{ print $1, $2 * $3 }')
echo disk $(btrfs qgroup show -re --raw -f ${root}/web1 2>/dev/null | awk '/^0\\// { print $4 }')
echo out $(nsenter -t $p -n tc qdisc show dev eth0 | grep -o 'tbf.*rate [^ ]*' | awk '{ print $NF }')
echo in $(tc qdisc show dev ${vethOf('web1')} | grep -o 'tbf.*rate [^ ]*' | awk '{ print $NF }')`,
  );
  return Object.fromEntries(
    text
      .trim()
      .split('\n')
      .map((line) => [line.split(' ')[0] ?? '', line.split(' ').slice(1).join(' ')]),
  );
}

beforeAll(() => {
  lab.up('--hosts', '3', '--storage', 'mixed');
  const limits =
    '--memory 64M --procs 60 --cpu 0.5 --cpu-weight 200 --disk 200M --tmp 16M --net-in 16mbit --net-out 8mbit --io-read 4M';
  lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start', ...limits.split(' ')]);
  lab.vs(['create', 'web2', '10.60.10.6', 'busybox', '--host', 'host1', '--start']);
});
afterAll(() => lab.down());

test('what was given at its creation is in the kernel, and in what vs limit shows', () => {
  const now = held();
  expect(now).toMatchObject({
    memory_bytes: `${64 * MiB}`,
    procs: '60',
    cpu: '0.5',
    tmp: `tmpfs ${16 * MiB}`,
    disk: `${200 * MiB}`,
    in: '16Mbit',
    out: '8Mbit',
  });
  expect(['2048', '200']).toContain(now['shares']);
  expect(now['read']).toContain(`${4 * MiB}`);
  const shown = report();
  expect(limitReport.parse(shown)).toEqual(shown);
  expect(shown).toMatchObject({ name: 'web1', running: true });
  const limits = Object.fromEntries(
    shown.limits.flatMap(({ key, limit }) => (limit === null ? [] : [[key, limit]])),
  );
  expect(limits).toEqual(kept());
  expect(shown.limits.filter(({ note }) => note !== undefined)).toEqual([]);
  const procs = Number(lab.on('host1', `${cgroup} cat $(at pids)/pids.current`));
  expect(row('procs').used).toBe(procs);
  expect(lab.vs(['limit', 'web1']).stdout).toMatch(/^memory +\S+ [KM]iB +64 MiB +\d+$/m);
});

test('a memory hog is killed inside, and counted', () => {
  const before = row('memory_bytes');
  const pid = init();
  expect(inside('tail /dev/zero', null).code).not.toBe(0);
  const after = row('memory_bytes');
  expect(after.hits).toBeGreaterThan(before.hits ?? 0);
  expect(after.kills).toBeGreaterThan(before.kills ?? 0);
  expect(init()).toBe(pid);
  expect(lab.running('web2')).toEqual(['host1']);
});

test('a fork bomb stops at the limit, and is counted', () => {
  const before = row('procs');
  inside('i=0; while [ $i -lt 200 ]; do sleep 5 >/dev/null 2>&1 & i=$((i+1)); done', null);
  const after = row('procs');
  expect(after.used).toBeLessThanOrEqual(60);
  expect(after.hits).toBeGreaterThan(before.hits ?? 0);
  lab.on('host1', `lxc-attach -P ${root} -n web2 -- true`);
  lab.on(
    'host1',
    `for p in $(cat $(${cgroup} at pids)/cgroup.procs); do [ "$(cat /proc/$p/comm)" != sleep ] || kill -9 $p; done`,
    null,
  );
});

test('cpu 0.5 is half a core, by its own counter', async () => {
  // nanoseconds, and seconds since the boot: both by one process, for others may have the processor between two
  const meter = `${cgroup} if [ $v = 1 ]; then f=$(at cpuacct)/cpuacct.usage; else f=$(at cpu)/cpu.stat; fi
awk '/^usage_usec/ { printf "%.0f\\n", $2 * 1000 } FILENAME ~ /usage$|uptime$/ { print $1 }' $f /proc/uptime`;
  const read = () => lab.on('host1', meter).trim().split('\n').map(Number) as [number, number];
  // whatever else keeps this machine busy: its host goes before it
  lab.on(
    'host1',
    `${cgroup} if [ $v = 1 ]; then echo 262144 > $(dirname $(at cpu))/cpu.shares; else echo 10000 > $(dirname $(at x))/cpu.weight; fi`,
  );
  const busy = 'for i in 1 2 3 4; do timeout 180 sh -c "while :; do :; done" & done; wait';
  lab.on('host1', `lxc-attach -P ${root} -n web1 -- sh -c '${busy}' >/dev/null 2>&1 &`);
  await sleep(1000);
  let share = 0;
  for (let tries = 0; tries < 6 && Math.abs(share - 0.5) >= 0.05; tries++) {
    const [used, at] = read();
    await sleep(4000);
    const [usedThen, then] = read();
    share = (usedThen - used) / 1e9 / (then - at);
  }
  expect(Math.abs(share - 0.5)).toBeLessThan(0.05);
  expect(row('cpu').hits).toBeGreaterThan(0);
  inside('killall -9 timeout sh', null);
});

test('a full disk leaves the neighbours alone, and comes free again', () => {
  const full = inside('dd if=/dev/zero of=/big bs=1M count=400', null);
  expect(full.code).not.toBe(0);
  expect(full.stderr + full.stdout).toMatch(/quota exceeded|No space left/i);
  inside('dd if=/dev/zero of=/small bs=1M count=50', 0, 'web2');
  lab.on('host1', `btrfs filesystem sync ${root}`);
  const counted = lab.on('host1', `btrfs qgroup show -re --raw -f ${root}/web1 | awk '/^0\\// { print $2 }'`);
  const { used, limit } = row('disk_bytes');
  expect(used).toBe(Number(counted));
  expect(used).toBeGreaterThan(150 * MiB);
  expect(used).toBeLessThanOrEqual(limit ?? 0);
  inside('rm /big && dd if=/dev/zero of=/small bs=1M count=20 && rm /small');
});

test('no way around the limit of the disk by subvolumes of its own', () => {
  const tool = (name: string) =>
    lab.on(
      'host1',
      `for f in /usr/bin/btrfs $(ldd /usr/bin/btrfs | grep -o '/[^ ]*'); do mkdir -p ${root}/${name}/rootfs$(dirname $f); cp -L $f ${root}/${name}/rootfs$f; done`,
    );
  for (const name of ['web1', 'web2']) tool(name);
  expect(inside('/usr/bin/btrfs subvolume create /sub', null).stderr).toMatch(/not permitted/);
  inside('/usr/bin/btrfs subvolume create /sub', 0, 'web2');
});

test('below what is in use, or more than there is: refused with a sentence, and nothing has changed', () => {
  const before = [held(), kept()];
  const { stderr } = lab.vs(['limit', 'web1', '--procs', '70', '--disk', '300K', '--cpu', '999'], 1);
  expect(stderr).toMatch(
    /disk 300 KiB is below the .* that web1 uses; cpu 999 cores is more than the \d+ cores of host1/,
  );
  expect(lab.vs(['limit', 'web1', '--cpu', 'much'], 2).stderr).toMatch(/--cpu: expected cores/);
  expect([held(), kept()]).toEqual(before);
  // the kernel itself says no, when the disk has its new limit already; cgroup v2 would kill instead
  if (lab.on('host1', `${cgroup} echo $v`).trim() === '1') {
    const forced = lab.vs(
      ['limit', 'web1', '--disk', '250M', '--memory', '4K', '--procs', '70', '--force'],
      1,
    );
    expect(forced.stderr).toMatch(/memory\.limit_in_bytes cannot be set to 4096: the kernel could not get/);
    expect([held(), kept()]).toEqual(before);
  }
  lab.vs(['limit', 'web1', '--cpu', '999', '--force']);
  expect(held()['cpu']).toBe('999');
});

test('a change is there at once, without a restart, and kept', () => {
  const pid = init();
  lab.vs([
    'limit',
    'web1',
    '--memory',
    '96M',
    '--swap',
    '0',
    '--cpu',
    'none',
    '--procs',
    '80',
    '--tmp',
    '32M',
    '--disk',
    '300M',
    '--net-out',
    'none',
    '--io-read',
    'none',
  ]);
  expect(held()).toMatchObject({
    memory_bytes: `${96 * MiB}`,
    procs: '80',
    tmp: `tmpfs ${32 * MiB}`,
    disk: `${300 * MiB}`,
    in: '16Mbit',
    out: '',
    read: '',
  });
  expect(kept()).toEqual({
    memory_bytes: 96 * MiB,
    swap_bytes: 0,
    procs: 80,
    cpu_weight: 200,
    tmp_bytes: 32 * MiB,
    disk_bytes: 300 * MiB,
    net_in_rate: 2_000_000,
  });
  expect(init()).toBe(pid);
  expect(report().limits.filter(({ note }) => note !== undefined)).toEqual([]);
});

/** Waits until the kernel holds what it shall. */
async function expectHeld(host: string, wanted: Record<string, string>): Promise<void> {
  for (let tries = 0; ; tries++) {
    const now = held(host);
    if (Object.entries(wanted).every(([key, value]) => now[key] === value)) return;
    if (tries > 40) expect(now).toMatchObject(wanted);
    await sleep(250);
  }
}
const later = {
  memory_bytes: `${96 * MiB}`,
  procs: '80',
  tmp: `tmpfs ${32 * MiB}`,
  disk: `${300 * MiB}`,
  in: '16Mbit',
  out: '',
};

test('the agent dies between the kernel and the file: the next one makes both the same', async () => {
  lab.on(
    'host1',
    `${cgroup} echo 11 > $(at pids)/pids.max; btrfs qgroup limit 150M ${root}/web1; tc qdisc del dev ${vethOf('web1')} root`,
  );
  expect(report().limits.find(({ key }) => key === 'procs')?.note).toMatch(/the kernel has 11/);
  spawnSync('kill', ['-9', String(lab.pidOf('host1', 'agent'))]);
  await expectHeld('host1', later);
});

test('a restart from inside has the limits that were changed since the start', async () => {
  const pid = init();
  inside('reboot', null);
  for (let tries = 0; tries < 60 && (init() === pid || init() === ''); tries++) await sleep(250);
  await expectHeld('host1', later);
});

test('they go along: a restart, a new name, a move, the trash and back', async () => {
  lab.vs(['restart', 'web1']);
  await expectHeld('host1', later);
  lab.vs(['move', 'web1', 'host3']);
  await expectHeld('host3', later);
  expect(kept('host3')).toMatchObject({ disk_bytes: 300 * MiB, procs: 80 });
  await expect.poll(() => row('disk_bytes').used, { timeout: 60_000 }).not.toBeNull(); // nobody has counted it before
  expect(row('disk_bytes').used).toBeGreaterThan(MiB); // what was received counts
  lab.vs(['stop', 'web1']);
  lab.vs(['rename', 'web1', 'shop']);
  lab.vs(['remove', 'shop', '--yes']);
  lab.vs(['trash', 'restore', 'shop', '--as', 'web1', '--start']);
  await expectHeld('host3', later);
});

test('a host that cannot limit something says what is missing: at once, or by an alert when it comes there', () => {
  expect(lab.vs(['limit', 'web1', '--disk', '400M']).code).toBe(0);
  lab.vs(['move', 'web1', 'host2']);
  const { note } = row('disk_bytes');
  const refused = lab.vs(['limit', 'web1', '--disk', '500M'], null);
  if (note === undefined) {
    console.log('this kernel has project quota: the limit is in force on ext4');
    expect(refused.code).toBe(0);
    return;
  }
  expect(note).toMatch(/ext4 and mounted without project quota/);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/host2 cannot limit disk: .* tune2fs/);
  expect(
    lab.vs(['create', 'web3', '10.60.10.7', 'busybox', '--host', 'host2', '--disk', '1G'], 1).stderr,
  ).toMatch(/host2 cannot limit disk/);
  const told = lab.vs([
    'listen',
    'hosts/host2/alerts/web1/limits',
    '--count',
    '1',
    '--for',
    '5',
    '--json',
  ]).stdout;
  expect(told).toMatch(/they are not in force: disk/);
  expect(held('host2')).toMatchObject({ memory_bytes: `${96 * MiB}`, in: '16Mbit', disk: '' });
});
