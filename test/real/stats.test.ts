import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Data } from '../../shared/contract/commands.ts';
import { realLab } from './lab-kit.ts';

const lab = realLab('figures');
beforeAll(async () => {
  lab.up('--hosts', '1', '--storage', 'dir');
  appendFileSync('/var/lib/vslab-figures/host1/etc/vs-tools.conf', 'METRICS_INTERVAL=1\n');
  process.kill(lab.pidOf('host1', 'agent'), 'SIGKILL'); // it comes back with that
  await sleep(500);
  const end = Date.now() + 30_000;
  while (lab.vs(['call', 'host1', 'host-agent.running', '{}'], null).code !== 0 && Date.now() < end)
    await sleep(300);
  lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--procs', '100', '--start']);
});
afterAll(() => lab.down());

/** What the kernel says of web1, by its own files: numbers by key. */
const script = `
pid=$(lxc-info -P /var/lib/vservers -n web1 -p -H)
cd /sys/fs/cgroup
own=$(grep -o '[^:]*/lxc.payload.[^/]*' /proc/$pid/cgroup | head -1)
if [ -d memory ]; then
  inactive=$(awk '$1 == "total_inactive_file" { print $2 }' memory$own/memory.stat)
  echo cpu $(( $(cat cpuacct$own/cpuacct.usage) / 1000 ))
  echo memory $(( $(cat memory$own/memory.usage_in_bytes) - inactive ))
  echo procs $(cat pids$own/pids.current)
  echo limit $(cat pids$own/pids.max)
else
  echo cpu $(awk '$1 == "usage_usec" { print $2 }' .$own/cpu.stat)
  echo memory $(( $(cat .$own/memory.current) - $(awk '$1 == "inactive_file" { print $2 }' .$own/memory.stat) ))
  echo procs $(cat .$own/pids.current)
  echo limit $(cat .$own/pids.max)
fi
awk '$1 == "eth0:" { print "rx", $2; print "packets", $3; print "tx", $10 }' /proc/$pid/net/dev
awk '$1 == "IpExt:" && $2 ~ /^[0-9]/ { print "inet", $8 }' /proc/$pid/net/netstat
`;
const kernel = (): Record<string, number> =>
  Object.fromEntries(
    lab
      .on('host1', script)
      .trim()
      .split('\n')
      .map((line) => line.split(' '))
      .map(([key = '', value]) => [key, Number(value)]),
  );

test('the figures are what the cgroup files and /proc say, also when published and kept', async () => {
  lab.vs([
    'exec',
    'web1',
    '--',
    'sh',
    '-c',
    'httpd -p 8080 -h /etc; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done',
  ]);
  const before = kernel();
  const { figures, facts, interfaces } = JSON.parse(
    lab.vs(['call', 'host1', 'monitor.stats', '{"name":"web1"}']).stdout,
  ) as Data<'monitor.stats'>;
  const after = kernel();
  const number = (key: string) => Number(figures[key]);
  const between = (key: string, of: string, factor = 1) => {
    expect([key, number(key) * factor >= (before[of] ?? NaN) - 10_000 * (factor > 1 ? 1 : 0)]).toEqual([
      key,
      true,
    ]);
    expect([key, number(key) * factor <= (after[of] ?? NaN) + 10_000 * (factor > 1 ? 1 : 0)]).toEqual([
      key,
      true,
    ]);
  };
  between('cpu_seconds_total', 'cpu', 1e6); // told to 10 ms
  between('net_rx_bytes', 'rx');
  between('net_tx_bytes', 'tx');
  between('net_rx_packets_total', 'packets');
  expect(number('inet_rx_bytes')).toBeGreaterThanOrEqual(before['inet'] ?? NaN); // IPv6 comes on top
  expect([number('procs'), number('procs_limit')]).toEqual([before['procs'], 100]);
  expect(before['limit']).toBe(100);
  expect(Math.abs(number('mem_bytes') - (before['memory'] ?? NaN))).toBeLessThan(2_000_000);
  expect(facts).toMatchObject({
    vserver: 'web1',
    host: 'host1',
    state: 'running',
    network: 'blue',
    address: '10.60.10.5/24',
  });
  expect(interfaces.map(({ name }) => name)).toContain('eth0');
  const { sockets } = JSON.parse(
    lab.vs(['call', 'host1', 'monitor.sockets', '{"name":"web1"}']).stdout,
  ) as Data<'monitor.sockets'>;
  expect(sockets).toEqual(
    expect.arrayContaining([expect.objectContaining({ port: 8080, process: 'httpd' })]),
  );
  expect(lab.vs(['stats', 'web1', '--sockets']).stdout).toMatch(/^tcp6? .*:8080 +httpd /m);

  const read = () =>
    JSON.parse(lab.vs(['stats', 'web1', '--json']).stdout) as Data<'history.newest'>['subjects'];
  const end = Date.now() + 20_000;
  let [row] = read();
  while (row?.rates['net_rx_bytes'] === undefined && Date.now() < end) {
    await sleep(500);
    [row] = read();
  }
  expect(row).toMatchObject({
    name: 'web1',
    host: 'host1',
    state: 'running',
    figures: { procs: before['procs'], procs_limit: 100 },
  });
  expect(Number(row?.figures['cpu_seconds_total'])).toBeGreaterThanOrEqual(number('cpu_seconds_total'));
  expect(lab.vs(['stats']).stdout).toMatch(/^host1 .*\n\nVSERVER[^\n]*\nweb1 +host1 /m);
  expect(lab.vs(['top', '--once']).stdout).toMatch(/^web1 +host1 /m);
  const kept = JSON.parse(
    lab.vs(['stats', 'web1', 'host1', '--since', '1h', '--json']).stdout,
  ) as Data<'history.query'>[];
  expect(kept.map(({ subject }) => subject)).toEqual(['web1', 'host1']);
  expect(kept[0]?.figures['procs']?.max).toBeGreaterThanOrEqual(before['procs'] ?? NaN);
  expect(kept[1]?.figures['vservers_running']?.max).toBe(1);
});
