import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { vethOf } from '../../shared/veth.ts';
import type { Ownership } from '../../shared/contract/vserver.ts';
import { realLab } from './lab-kit.ts';

// web1 is enabled and has limits and a firewall; web2 is a plain one that is not enabled.
const lab = realLab('bcagent');
const directory = '/var/lib/vservers';
const [address1, address2] = ['10.60.10.5', '10.60.10.6'];
const limits = { memory_bytes: 48 * 1024 ** 2, procs: 40, cpu: 0.5 };

interface Status {
  nodes: { name: string; data: string; disk?: string; processes: { name: string; pid: number }[] }[];
}
const node = (name: string) => {
  const status = JSON.parse(lab.vs(['lab', 'status', '--name', lab.name, '--json']).stdout) as Status;
  const found = status.nodes.find((one) => one.name === name);
  if (!found) throw new Error(`the lab has no ${name}`);
  return found;
};
const agentOf = (host: string) => node(host).processes.find((one) => one.name === 'agent')?.pid;
async function until<T>(what: string, within: number, look: () => T | undefined | false): Promise<T> {
  const end = Date.now() + within;
  for (;;) {
    const found = look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${within} ms: ${what}`);
    await sleep(100);
  }
}
const answers = (address: string, ms = 300): boolean => {
  const target = [`${address}:80`, '--interval', '20ms', '--for', `${ms}ms`, '--json'];
  const seen = lab.vs(['lab', 'probe', '--name', lab.name, ...target], null).stdout;
  return (JSON.parse(seen) as { answered: number }).answered > 0;
};
const stateOf = (vserver: string, host = 'host1') => {
  const { stdout, code } = lab.vs(['scan', '--json'], null);
  const rows = code === 0 ? (JSON.parse(stdout) as ReturnType<typeof lab.rows>) : [];
  return rows.find((row) => row.vserver === vserver && row.host === host)?.state;
};
const shows = (vserver: string, state: string, within: number) =>
  until(`${vserver} is ${state} in vs scan`, within, () => stateOf(vserver) === state);
const initOf = (vserver: string): string =>
  lab.on('host1', `lxc-info -P ${directory} -n ${vserver} -p -H 2>/dev/null || true`).trim();
const record = (host: string, vserver: string) =>
  JSON.parse(lab.on(host, `cat /var/lib/vs-tools/owned/${vserver}.json`)) as Ownership;
const call = (command: string, args: object, expected: number | null = 0) =>
  lab.vs(['call', 'host1', `host-agent.${command}`, JSON.stringify(args)], expected);
const lxc = (tool: string, vserver: string, ...flags: string[]) =>
  lab.vs(
    ['lab', 'exec', '--name', lab.name, 'host1', '--', tool, '-P', directory, '-n', vserver, ...flags],
    null,
  );
const mqtt = (): string[] =>
  lab.vs(['lab', 'mqtt', 'operator', '--name', lab.name]).stdout.trim().split(/\s+/);

/** The rules at the host's end of the veth and in the vserver's own namespace. */
function expectRules(vserver: string, address: string): void {
  const port = lab.on('host1', `nft list table netdev vs_${vethOf(vserver)}`);
  expect(port).toContain(`device "${vethOf(vserver)}"`);
  expect(port).toContain(`ip saddr ${address} goto ip_out`);
  expect(port).toContain('policy drop');
}
function expectFirewall(vserver: string): void {
  const inside = lab.on('host1', `nsenter -t ${initOf(vserver)} -n nft list table inet vs`);
  expect(inside).toMatch(/hook input .*policy drop/);
  expect(inside).toMatch(/tcp dport (80|\{ 80 \}) (counter packets \d+ bytes \d+ )?accept/);
}

beforeAll(() => {
  lab.up();
  lab.on('host1', `printf 'enable\\nallow from 0/0 tcp/80\\n' > /etc/vs-tools/firewall.conf`);
  const create = { name: 'web1', address: address1, source: 'busybox', host: 'host1', limits };
  const wanted = { ...create, enable: true, start: true, wait: true };
  lab.vs(['call', 'master', 'orchestrator.create', JSON.stringify(wanted)]);
  lab.on('host1', 'rm /etc/vs-tools/firewall.conf');
  lab.vs(['create', 'web2', address2, 'busybox', '--host', 'host1']);
});
afterAll(() => lab.down());

test('limits are in the cgroup and hold, for what is executed from outside too', () => {
  const read = lab.on(
    'host1',
    `p=${initOf('web1')}; c=/sys/fs/cgroup
if [ -e $c/cgroup.controllers ]; then
  d=$c$(sed -n 's/^0:://p' /proc/$p/cgroup | sed 's,\\(lxc.payload.[^/]*\\).*,\\1,')
  cat $d/memory.max $d/pids.max; awk '{ print $1 / $2 }' $d/cpu.max
else
  d() { echo $c/$1$(awk -F: -v c=$1 '$2 == c { print $3 }' /proc/$p/cgroup | sed 's,\\(lxc.payload.[^/]*\\).*,\\1,'); }
  cat $(d memory)/memory.limit_in_bytes $(d pids)/pids.max
  echo $(cat $(d cpu)/cpu.cfs_quota_us) $(cat $(d cpu)/cpu.cfs_period_us) | awk '{ print $1 / $2 }'
fi`,
  );
  expect(read.trim().split('\n')).toEqual([`${limits.memory_bytes}`, `${limits.procs}`, `${limits.cpu}`]);
  const greedy = lab.vs(
    ['exec', 'web1', '--', 'dd', 'if=/dev/zero', 'of=/dev/null', 'bs=100M', 'count=1'],
    null,
  );
  expect(greedy.code, greedy.stderr).toBe(137);
  const forks = 'i=0; while [ $i -lt 60 ]; do sleep 20 >/dev/null 2>&1 & i=$((i+1)); done';
  expect(lab.vs(['exec', 'web1', '--', 'sh', '-c', forks], null).stderr).toMatch(/can't fork/);
});

test('a host that boots without a master starts what is enabled, and nothing else', async () => {
  lab.vs(['lab', 'kill', 'master', '--name', lab.name]);
  try {
    lab.vs(['lab', 'kill', 'host1', '--name', lab.name]);
    lab.vs(['lab', 'boot', 'host1', '--name', lab.name]);
    await until(`${address1} answers`, 40_000, () => answers(address1));
    expectRules('web1', address1);
    expectFirewall('web1');
    expect(lab.running('web2')).toEqual([]);
  } finally {
    lab.vs(['lab', 'up', '--name', lab.name]); // the master, and waits until all are online
  }
  await shows('web1', 'running', 20_000);
  expect(stateOf('web2')).toBe('stopped');
});

test('the agent dies by SIGKILL: vservers go on, states are right, nothing is started anew', async () => {
  // stopped, and enabled only after the boot; the host may just be coming back to the bus
  await lab.agentIsBack('host1');
  await until('web2 is enabled', 60_000, () => lab.vs(['enable', 'web2'], null).code === 0);
  lab.on('host1', 'echo STOP_TIMEOUT=2 >> /etc/vs-tools/vs-tools.conf'); // for a test below
  const [agent, init] = [agentOf('host1'), initOf('web1')];
  expect(agent).toBeGreaterThan(1);
  process.kill(agent ?? 0, 'SIGKILL');
  expect(answers(address1)).toBe(true);
  await until('another agent', 60_000, () => ![agent, undefined].includes(agentOf('host1')));
  const fresh = () => (call('show', { name: 'web1' }, null).code === 0 ? true : undefined);
  await until('the agent answers', 60_000, fresh);
  await shows('web1', 'running', 60_000);
  await sleep(1500); // an autostart would come now
  expect(initOf('web1')).toBe(init);
  expect(stateOf('web2')).toBe('stopped');
  expect(lab.running('web2')).toEqual([]);
});

test('reboot from inside keeps ids, address, firewall and anti-spoofing', async () => {
  const before = initOf('web1');
  lab.vs(['exec', 'web1', '--', 'reboot'], null); // it may end by the reboot's own signal
  await until('another init', 10_000, () => ![before, ''].includes(initOf('web1')));
  await until(`${address1} answers`, 10_000, () => answers(address1));
  expect(lab.vs(['exec', 'web1', '--', 'stat', '-c', '%u:%g', '/', '/bin/busybox']).stdout).toBe(
    '0:0\n0:0\n',
  );
  expectRules('web1', address1);
  expectFirewall('web1');
  await shows('web1', 'running', 15_000);
});

test('poweroff from inside is seen, and it starts again as it was', async () => {
  lab.vs(['exec', 'web1', '--', 'poweroff'], null);
  await shows('web1', 'stopped', 10_000);
  expect(lab.running('web1')).toEqual([]);
  lab.vs(['start', 'web1']);
  await until(`${address1} answers`, 10_000, () => answers(address1));
  expect(lab.vs(['exec', 'web1', '--', 'stat', '-c', '%u:%g', '/']).stdout).toBe('0:0\n');
  expectRules('web1', address1);
  expectFirewall('web1');
});

test('lxc-stop and lxc-start by hand are seen, and the rules are there', async () => {
  lab.vs(['monitor', 'pause', 'web1', '--for', '10m']); // for its agent it crashes, and is soon started again
  expect(lxc('lxc-stop', 'web1', '-k').code).toBe(0);
  await shows('web1', 'stopped', 15_000);
  expect(lxc('lxc-start', 'web1', '-d').code).toBe(0);
  await shows('web1', 'running', 15_000);
  lab.vs(['monitor', 'resume', 'web1']);
  expectRules('web1', address1);
  expectFirewall('web1');
});

test('what this host does not own starts neither by lxc-start nor by vs', () => {
  lab.on('host1', 'mv /var/lib/vs-tools/owned/web2.json /var/lib/vs-tools/owned/web2.away');
  try {
    expect(lxc('lxc-start', 'web2', '-d').code).not.toBe(0);
    expect(lab.vs(['start', 'web2'], 1).stderr).toMatch(/host1 does not own web2/);
    expect(lab.running('web2')).toEqual([]);
  } finally {
    lab.on('host1', 'mv /var/lib/vs-tools/owned/web2.away /var/lib/vs-tools/owned/web2.json');
  }
});

test('a copy that a person made beside it does not start with the ownership of its original', () => {
  lab.on('host1', `cp -a ${directory}/web2 ${directory}/copy`); // its config still names the files of web2
  try {
    expect(lxc('lxc-start', 'copy', '-d').code).not.toBe(0);
    expect(lab.running('copy')).toEqual([]);
    expect(answers(address2)).toBe(false);
  } finally {
    lxc('lxc-stop', 'copy', '-k');
    lab.on('host1', `rm -rf ${directory}/copy`);
  }
});

test('a guest that ignores the request to halt is ended by force after the deadline', () => {
  const deaf = `cd ${directory}/web2/rootfs/sbin; mv init init.kept
printf '#!/bin/sh\\ntrap "" PWR USR2 TERM INT\\nwhile :; do sleep 1; done\\n' > init; chmod 755 init`;
  lab.on('host1', deaf);
  try {
    lab.vs(['start', 'web2']);
    const began = Date.now();
    lab.vs(['stop', 'web2']); // STOP_TIMEOUT is 2 s here
    const took = Date.now() - began;
    expect(took).toBeGreaterThan(1900);
    expect(took).toBeLessThan(25_000);
    expect(lab.running('web2')).toEqual([]);
    expect(stateOf('web2')).toBe('stopped');
  } finally {
    lab.on('host1', `cd ${directory}/web2/rootfs/sbin; mv -f init.kept init`);
  }
});

test('a command with an old epoch changes nothing', () => {
  for (const name of ['web1', 'web2']) call('claim', { name, saga: 'test', epoch: 2 });
  const init = initOf('web1');
  const old = /epoch 1 of this command is older than 2/;
  expect(call('stop', { name: 'web1', epoch: 1, force: true }, 1).stderr).toMatch(old);
  expect(call('start', { name: 'web1', epoch: 1 }, 1).stderr).toMatch(old);
  expect(call('start', { name: 'web2', epoch: 1 }, 1).stderr).toMatch(old);
  expect(call('claim', { name: 'web2', saga: 'other', epoch: 2 }, 1).stderr).toMatch(/too old/);
  expect(call('release', { name: 'web2', saga: 'other', epoch: 1, to: 'host2' }, 1).stderr).toMatch(
    /has epoch 2 here/,
  );
  expect(call('start', { name: 'web2', epoch: 0 }, null).code).not.toBe(0);
  expect(initOf('web1')).toBe(init);
  expect(lab.running('web2')).toEqual([]);
  expect(record('host1', 'web2')).toMatchObject({ owner: true, epoch: 2 });
});

/** Every vserver that ran on host2 after it came back with an old disk, by LXC's own sockets. */
let ranOnHost2 = ['nobody looked'];

test('a host that comes back with an old disk yields to the higher epoch and says so', async () => {
  // both are enabled in the old copies; on host1 web2 runs, and web1 (whose turn is first) does not
  lab.vs(['stop', 'web1']);
  lab.vs(['start', 'web2']);
  const init = initOf('web2');
  const { data, disk = '' } = node('host2');
  lab.vs(['lab', 'kill', 'host2', '--name', lab.name]);
  const tar = `/tmp/${lab.name}-old.tar`;
  lab.on('host1', `tar -C ${directory} --numeric-owner -cf ${tar} web1 web2`);
  const put = 'mount -o loop "$0" /mnt && tar -C /mnt -xf "$1" && umount /mnt';
  const done = spawnSync('unshare', ['--mount', 'bash', '-c', put, disk, tar], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  rmSync(tar, { force: true });
  expect(done.status, done.stderr).toBe(0);
  mkdirSync(`${data}/state/owned`, { recursive: true, mode: 0o700 });
  for (const name of ['web1', 'web2']) {
    const old = { ...record('host1', name), epoch: 1 };
    writeFileSync(`${data}/state/owned/${name}.json`, JSON.stringify(old), { mode: 0o600 });
  }
  const events = spawn('mosquitto_sub', [...mqtt(), '-t', 'vs/1/hosts/host2/events/#', '-W', '120']);
  let said = '';
  events.stdout.on('data', (text: Buffer) => (said += text.toString()));
  try {
    lab.vs(['lab', 'boot', 'host2', '--name', lab.name]);
    const watch = `for i in $(seq 300); do
  grep -o '@${directory}/[^/]*/command' /proc/net/unix
  [ $(grep -l '"owner": *false' /var/lib/vs-tools/owned/web[12].json | wc -l) = 2 ] && : $((given += 1))
  [ "$given" = 20 ] && break
  sleep 0.05
done | sort -u`;
    ranOnHost2 = lab.on('host2', watch).split('\n').filter(Boolean);
    for (const name of ['web1', 'web2']) {
      await until(`host2 gives ${name} up`, 10_000, () => !record('host2', name).owner);
      expect(record('host2', name)).toMatchObject({ epoch: 1, releasedTo: 'host1' });
      const topic = `vs/1/hosts/host2/alerts/${name}/ownership`;
      const alert = spawnSync('mosquitto_sub', [...mqtt(), '-t', topic, '-C', '1', '-W', '5'], {
        encoding: 'utf8',
        timeout: 10_000,
      });
      expect(alert.stdout).toMatch(/host1 owns it with epoch 2, this host had 1/);
      const sentence = `${name} was stopped and given up on host2`;
      await until(`the event "${sentence}"`, 20_000, () => said.includes(sentence));
    }
  } finally {
    events.kill();
  }
  expect(ranOnHost2).not.toContain(`@${directory}/web2/command`);
  expect(initOf('web2')).toBe(init);
  expect(lab.running('web2')).toEqual(['host1']);
  expect(lab.running('web1')).toEqual([]);
  expect(answers(address2)).toBe(true);
  expect(lab.vs(['start', 'web1', '--host', 'host2'], 1).stderr).toMatch(/it went to host1/);
});

test('nor does an old copy run for a moment, while its owner has it stopped', () => {
  expect(ranOnHost2).toEqual([]);
});

test('the alert of what a host gave up goes when a person has removed the old copy', async () => {
  const topic = (name: string) => `vs/1/hosts/host2/alerts/${name}/ownership`;
  const status = 'vs/1/hosts/host2/status';
  /** Whether it stands; without the status, which is always there, nobody could hear of it. */
  const standing = (name: string): boolean | undefined => {
    const argv = [...mqtt(), '-t', topic(name), '-t', status, '-F', '%t', '-W', '5'];
    const { stdout } = spawnSync('mosquitto_sub', argv, { encoding: 'utf8', timeout: 20_000 });
    const heard = stdout.split('\n');
    return heard.includes(status) ? heard.includes(topic(name)) : undefined;
  };
  expect(standing('web1')).toBe(true);
  lab.vs(['remove', 'web1', '--host', 'host2', '--yes']);
  await until('no alert of web1', 60_000, () => standing('web1') === false);
  expect(standing('web2')).toBe(true);
});
