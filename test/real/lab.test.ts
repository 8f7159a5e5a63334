import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { entering } from '../../deploy/lab/enter.ts';
import { down, up } from '../../deploy/lab/lab.ts';
import { type Lab, namespaceFile, nodeOf, paths } from '../../deploy/lab/model.ts';
import { bootNode, killNode } from '../../deploy/lab/node.ts';
import type { ProbeResult } from '../../deploy/lab/probe.ts';
import { namespacesOf, processesOf } from '../../deploy/lab/processes.ts';
import { status } from '../../deploy/lab/status.ts';
import { cut, heal } from '../../deploy/lab/wires.ts';

const names = ['t-one', 't-two'] as const;
const project = new URL('../..', import.meta.url).pathname;
const devices = () => spawnSync('ip', ['-o', 'link', 'show'], { encoding: 'utf8' }).stdout;
/** Loop devices of our own labs; others may come and go meanwhile. */
const images = () =>
  spawnSync('losetup', ['-n', '-O', 'NAME,BACK-FILE'], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter((line) => names.some((name) => line.includes(`/vslab-${name}/`)));

async function inside(lab: Lab, part: string, ...command: string[]) {
  const [file = '', ...args] = [...(await entering(lab, part)), ...command];
  return spawnSync(file, args, { encoding: 'utf8', timeout: 30_000 });
}
/** An ARP question of an earlier ping may still be open, and its next try come too late for this one. */
const pings = async (lab: Lab, from: string, to: string) => {
  await inside(lab, from, 'ip', 'neigh', 'flush', 'all');
  return (await inside(lab, from, 'ping', '-c', '1', '-W', '1', to)).status === 0;
};

function probe(lab: Lab, ...flags: string[]): { child: ChildProcess; result: Promise<ProbeResult> } {
  const space = `--net=${namespaceFile(lab.name, 'prober')}`;
  const argv = [space, '--', process.execPath, `${project}deploy/lab/probe.ts`, '--json', ...flags];
  const child = spawn('nsenter', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const result = new Promise<ProbeResult>((resolve) =>
    child.once('close', () => resolve(JSON.parse(text) as ProbeResult)),
  );
  return { child, result };
}

const firstService = async (lab: Lab, host: string) =>
  (await status(lab)).nodes.find((node) => node.name === host)?.processes[0];

async function nothingLeft(name: string): Promise<void> {
  expect(await namespacesOf(name)).toEqual([]);
  expect(await processesOf(name)).toEqual([]);
  expect(existsSync(paths(name).run)).toBe(false);
  expect(existsSync(paths(name).data)).toBe(false);
  expect(readFileSync('/proc/mounts', 'utf8')).not.toContain(`vslab-${name}`);
  for (const hierarchy of readdirSync('/sys/fs/cgroup')) {
    for (const part of ['master', 'host1', 'host2']) {
      expect(existsSync(`/sys/fs/cgroup/${hierarchy}/vslab-${name}-${part}`)).toBe(false);
      expect(existsSync(`/sys/fs/cgroup/vslab-${name}-${part}`)).toBe(false);
    }
  }
}

describe('a lab of bare nodes', () => {
  let one: Lab;
  let before = '';
  let loops: string[] = [];
  beforeAll(async () => {
    for (const name of names) await down(name);
    before = devices();
    loops = images();
    one = await up({ name: names[0], bare: true });
  });
  afterAll(async () => {
    for (const name of names) await down(name);
  });

  it('has a master and two hosts that see each other, and nothing in the namespace of the machine', async () => {
    const state = await status(one);
    expect(state.up).toBe(true);
    expect(state.nodes.map((node) => node.name)).toEqual(['master', 'host1', 'host2']);
    expect(state.networks.map((network) => network.name)).toEqual(['blue', 'green']);
    expect(await pings(one, 'host1', '10.98.0.1')).toBe(true);
    expect(await pings(one, 'host1', '10.98.0.12')).toBe(true);
    expect(await pings(one, 'prober', '10.60.20.1')).toBe(true);
    expect(await pings(one, 'prober', 'fd60:10::1')).toBe(true);
    expect(devices()).toBe(before);
  });

  it('gives each host its own file systems, names and processes', async () => {
    await inside(
      one,
      'host1',
      'touch',
      '/var/lib/vservers/mark',
      '/etc/vs-tools/mark',
      '/run/vs/mark',
      '/etc/mark',
    );
    expect((await inside(one, 'host2', 'ls', '/var/lib/vservers', '/run/vs')).stdout).not.toContain('mark');
    expect(existsSync('/etc/mark')).toBe(false);
    expect((await inside(one, 'host1', 'hostname')).stdout).toBe('host1\n');
    expect((await inside(one, 'host1', 'stat', '-f', '-c', '%T', '/var/lib/vservers')).stdout).toBe(
      'btrfs\n',
    );
    expect((await inside(one, 'host1', 'cat', '/proc/1/cgroup')).stdout).toContain('vslab-t-one-host1');
    expect((await inside(one, 'host1', 'cat', '/etc/vs-tools/networks.conf')).stdout).toMatch(
      /^10:10\.60\.10\.0\/24:10\.60\.10\.1:10\.60\.10\.1:lab\.example:name=blue,net6=\[fd60:10::\/64\],gw6=\[fd60:10::1\],uplink=eth1/,
    );
  });

  it('is left alone by a second up, and refuses one that contradicts it', async () => {
    const pids = (await status(one)).nodes.map((node) => node.pid);
    await up({ name: one.name });
    expect((await status(one)).nodes.map((node) => node.pid)).toEqual(pids);
    await expect(up({ name: one.name, storage: 'dir' })).rejects.toThrow(/has storage btrfs/);
    await expect(up({ name: '../etc' })).rejects.toThrow(/is no lab name/);
  });

  it('starts a dead service again after a second', async () => {
    const first = await firstService(one, 'host2');
    process.kill(first?.pid ?? -1, 'SIGKILL');
    const another = async () => {
      const now = await firstService(one, 'host2');
      return now !== undefined && now.name === first?.name && now.pid !== first.pid;
    };
    await expect.poll(another, { timeout: 30_000 }).toBe(true);
  });

  it('loses every process of a host in a power cut, keeps its disk, and boots it again', async () => {
    const stray = spawn('nsenter', [...(await entering(one, 'host1')).slice(1), 'sleep', '1000'], {
      stdio: 'ignore',
    });
    const gone = new Promise((resolve) => stray.once('exit', resolve));
    const node = nodeOf(one, 'host1');
    await inside(
      one,
      'host1',
      'sh',
      '-c',
      'mkdir -p /var/lib/vservers/web1; echo kept > /var/lib/vservers/web1/file; sync',
    );
    await killNode(one, node);
    await gone;
    expect(await processesOf(one.name, 'host1')).toEqual([]);
    expect(existsSync(namespaceFile(one.name, 'host1'))).toBe(false);
    expect(await pings(one, 'host2', '10.98.0.11')).toBe(false);
    await expect(entering(one, 'host1')).rejects.toThrow(/is off/);
    await bootNode(one, node);
    expect((await inside(one, 'host1', 'cat', '/var/lib/vservers/web1/file')).stdout).toBe('kept\n');
    expect(await pings(one, 'host2', '10.98.0.11')).toBe(true);
  });

  it('cuts a host off from one node or from all, and heals', async () => {
    await cut(one, 'host1', 'master');
    expect(await pings(one, 'host1', '10.98.0.1')).toBe(false);
    expect(await pings(one, 'host1', '10.98.0.12')).toBe(true);
    await heal(one);
    expect(await pings(one, 'host1', '10.98.0.1')).toBe(true);
    await cut(one, 'host2', undefined);
    expect(await pings(one, 'host2', '10.98.0.11')).toBe(false);
    expect((await status(one)).nodes.find((node) => node.name === 'host2')?.cut).toBe(true);
    await heal(one);
    expect(await pings(one, 'host2', '10.98.0.11')).toBe(true);
    await expect(cut(one, 'host7', undefined)).rejects.toThrow(/has no node "host7"/);
  });

  it('measures from behind the router how long nothing answered', async () => {
    const uplink = (...words: string[]) => inside(one, 'host1', 'ip', ...words);
    await uplink('addr', 'add', '10.60.10.9/24', 'dev', 'eth1');
    await uplink('route', 'add', 'default', 'via', '10.60.10.1');
    const server = "const s=require('net').createServer(c=>{c.on('error',()=>{});c.end('hi')});s.listen(80)";
    const words = [...(await entering(one, 'host1')), process.execPath, '-e', server];
    const service = spawn(words[0] ?? '', words.slice(1), { stdio: 'ignore' });
    for (const [flags, target] of [
      [['--read'], '10.60.10.9:80'],
      [['--icmp'], '10.60.10.9'],
    ] as const) {
      const wanted = [...flags, '--interval', '10'];
      /** Another prober, which began later, has had answers: so has the one before. */
      const answers = async () => (await probe(one, ...wanted, '--for', '2000', target).result).answered > 0;
      await expect.poll(answers, { timeout: 30_000 }).toBe(true);
      const { child, result } = probe(one, ...wanted, '--for', '120000', target);
      await expect.poll(answers, { timeout: 30_000 }).toBe(true);
      const began = Date.now();
      await uplink('link', 'set', 'eth1', 'down');
      await sleep(500);
      await uplink('link', 'set', 'eth1', 'up');
      await uplink('route', 'add', 'default', 'via', '10.60.10.1');
      await expect.poll(answers, { timeout: 30_000 }).toBe(true);
      child.kill('SIGINT');
      const seen = await result;
      expect(seen.answered).toBeGreaterThan(50);
      expect(seen.lost).toBeGreaterThan(5);
      expect(seen.gapMs).toBeGreaterThan(400);
      expect(seen.gapMs).toBeLessThan(10_000);
      expect(Math.abs(seen.gapFrom - began)).toBeLessThan(1000);
    }
    service.kill('SIGKILL');
    await inside(one, 'host1', 'ip', 'addr', 'flush', 'dev', 'eth1');
  });

  it('runs a busybox container in a host, nested in the cgroup of the host', async () => {
    const script = `set -e
v=/var/lib/vservers/b1; mkdir -p $v/rootfs/bin $v/rootfs/sbin $v/rootfs/proc $v/rootfs/sys $v/rootfs/dev $v/rootfs/etc
cp "$(command -v busybox)" $v/rootfs/bin/busybox; ln -sf /bin/busybox $v/rootfs/sbin/init
echo '::respawn:/bin/busybox sleep 1000' > $v/rootfs/etc/inittab
printf '%s\\n' lxc.uts.name=b1 lxc.rootfs.path=dir:$v/rootfs lxc.net.0.type=empty lxc.mount.auto=proc:mixed > $v/config
lxc-start -P /var/lib/vservers -n b1 -d
cat /proc/$(lxc-info -P /var/lib/vservers -n b1 -pH)/cgroup`;
    const started = await inside(one, 'host2', 'sh', '-c', script);
    expect(started.stderr).toBe('');
    expect(started.stdout).toContain('/vslab-t-one-host2/');
    expect(started.stdout).toContain('lxc.payload.b1');
    const freezer = `/sys/fs/cgroup/freezer/vslab-${one.name}-host2/freezer.state`;
    if (existsSync(freezer)) writeFileSync(freezer, 'FROZEN');
    else console.log('not frozen before the power cut: this kernel has no freezer of cgroup v1');
    await killNode(one, nodeOf(one, 'host2')); // with the container running, and all of it frozen
    expect(await processesOf(one.name, 'host2')).toEqual([]);
    await bootNode(one, nodeOf(one, 'host2'));
  });

  it('runs beside a second lab, with ext4 disks', async () => {
    const two = await up({ name: names[1], hosts: 1, storage: 'dir', networks: 3, bare: true });
    expect((await inside(two, 'host1', 'stat', '-f', '-c', '%T', '/var/lib/vservers')).stdout).toBe(
      'ext2/ext3\n',
    );
    expect((await status(two)).networks).toHaveLength(3);
    await down(two.name);
    await nothingLeft(two.name);
    expect(await pings(one, 'host1', '10.98.0.1')).toBe(true);
  });

  it('leaves nothing behind', async () => {
    await down(one.name);
    await nothingLeft(one.name);
    expect(devices()).toBe(before);
    expect(images()).toEqual(loops);
  });
});

describe('a lab whose making is interrupted', () => {
  const name = 't-broken';
  afterAll(() => down(name));

  it('comes up by the next up, and goes by down, wherever kill -9 hit', async () => {
    const script = `import { up } from ${JSON.stringify(`${project}deploy/lab/lab.ts`)}; await up({ name: '${name}', bare: true });`;
    for (const [round, ms] of [300, 600, 900, 1300, 1700].entries()) {
      await down(name);
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' });
      const gone = new Promise((resolve) => child.once('exit', resolve));
      await sleep(ms);
      child.kill('SIGKILL');
      await gone;
      // By turns down right away, and only after an up has mended it.
      const lab = round % 2 === 0 ? await up({ name, bare: true }) : undefined;
      const state = lab && (await status(lab));
      expect(state?.up).toBe(lab ? true : undefined);
      expect(lab === undefined || (await pings(lab, 'host1', '10.98.0.1'))).toBe(true);
      await down(name);
      await nothingLeft(name);
    }
  });

  it('is no matter for down when nothing or only rubbish is there', async () => {
    expect(await down(name)).toBe(false);
    spawnSync('mkdir', ['-p', paths(name).data, paths(name).run]);
    writeFileSync(paths(name).record, '{"name": "t-bro');
    writeFileSync(paths(name).pid('host1'), '1\n'); // a recycled pid is not ours
    expect(await down(name)).toBe(true);
    await nothingLeft(name);
  });
});
