import { mkdirSync, renameSync, rmdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { realLab } from './lab-kit.ts';

const lab = realLab('addr');
/** Does web2, on the other host, reach an address? Asked in its namespace: the guest itself has no raw sockets. */
const reaches = (address: string, host = 'host2', from = 'web2'): boolean =>
  lab
    .on(
      host,
      `nsenter -t $(lxc-info -P /var/lib/vservers -n ${from} -pH) -n ping -c 2 -W 1 -i 0.2 ${address} > /dev/null && echo yes || echo no`,
    )
    .trim() === 'yes';
const inside = (command: string) => lab.vs(['exec', 'web1', '--', 'sh', '-c', command]).stdout;

beforeAll(() => {
  lab.up('--storage', 'dir');
  const also = ['--also', '10.60.20.5,fd60:20::5', '--also', '10.60.10.15'];
  lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start', ...also]);
  lab.vs(['create', 'web2', '10.60.20.6', 'busybox', '--host', 'host2', '--start']);
});
afterAll(() => lab.down());

const all = ['10.60.10.5', 'fd60:10::5', '10.60.10.15', '10.60.20.5', 'fd60:20::5'];

test('all addresses answer, those of a further network also to who is in another one', () => {
  expect(all.filter((one) => !reaches(one))).toEqual([]);
  lab.vs(['create', 'web3', '10.60.10.7', 'busybox', '--host', 'host2', '--start']);
  expect(all.filter((one) => !reaches(one, 'host2', 'web3'))).toEqual([]);
});

test('an address comes and goes while it runs; nobody else has it', () => {
  const before = inside('cat /proc/1/stat');
  lab.vs(['address', 'add', 'web1', '10.60.10.16']);
  expect(reaches('10.60.10.16')).toBe(true);
  expect(lab.vs(['address', 'add', 'web1', '10.60.10.16'], 1).stderr).toMatch(
    /web1 has 10\.60\.10\.16 already/,
  );
  expect(lab.vs(['address', 'add', 'web2', '10.60.10.16'], 1).stderr).toMatch(/belongs to web1 on host1/);
  expect(lab.vs(['create', 'x1', '10.60.10.16', 'busybox'], 1).stderr).toMatch(/belongs to web1 on host1/);
  expect(lab.vs(['address', 'add', 'web1', '10.60.10.1'], 1).stderr).toMatch(/gateway of network blue/);
  expect(lab.vs(['address', 'add', 'web1', '192.0.2.1'], 1).stderr).toMatch(/is in no network/);
  expect(lab.vs(['address', 'add', 'web1', '10.60.10.300'], 2).stderr).toMatch(/is no address/);
  expect(lab.vs(['address', 'remove', 'web1', '10.60.10.5'], 1).stderr).toMatch(/first address/);
  expect(lab.vs(['address', 'remove', 'web1', '10.60.10.99'], 1).stderr).toMatch(/has no address/);
  lab.vs(['address', 'remove', 'web1', '10.60.10.16']);
  expect(reaches('10.60.10.16')).toBe(false);
  expect(reaches('10.60.10.5')).toBe(true);
  // the first address of its further network goes, the one that came later stays
  lab.vs(['address', 'add', 'web1', '10.60.20.15']);
  lab.vs(['address', 'remove', 'web1', '10.60.20.5']);
  expect(['10.60.20.5', '10.60.20.15'].map((one) => reaches(one))).toEqual([false, true]);
  lab.vs(['address', 'add', 'web1', '10.60.20.5']);
  lab.vs(['address', 'remove', 'web1', '10.60.20.15']);
  expect(all.filter((one) => !reaches(one))).toEqual([]);
  expect(inside('cat /proc/1/stat').split(' ')[21]).toBe(before.split(' ')[21]); // it was not started anew
});

test('what was begun and not ended is brought by the same command', () => {
  // a directory where the rules of its port go: all that comes after vserver.json fails, as if the agent had died there
  const rules = '/var/lib/vslab-addr/host1/state/rules/web1/host.nft';
  const breaks = (verb: string, address: string) => {
    renameSync(rules, `${rules}.kept`);
    mkdirSync(rules);
    lab.vs(['address', verb, 'web1', address], 1);
    rmdirSync(rules);
    renameSync(`${rules}.kept`, rules);
  };
  breaks('add', '10.60.10.17');
  expect(reaches('10.60.10.17')).toBe(false);
  lab.vs(['address', 'add', 'web1', '10.60.10.17']);
  expect(reaches('10.60.10.17')).toBe(true);
  expect(lab.vs(['address', 'add', 'web1', '10.60.10.17'], 1).stderr).toMatch(/has 10\.60\.10\.17 already/);
  breaks('remove', '10.60.10.17');
  expect(reaches('10.60.10.17')).toBe(true);
  lab.vs(['address', 'remove', 'web1', '10.60.10.17']);
  expect(reaches('10.60.10.17')).toBe(false);
  expect(lab.vs(['address', 'remove', 'web1', '10.60.10.17'], 1).stderr).toMatch(/has no address/);
  for (const args of [{ add: { address: '10.60.10.18' }, remove: '10.60.10.15' }, {}]) {
    const asked = ['call', 'master', 'orchestrator.address', JSON.stringify({ name: 'web1', ...args })];
    expect(lab.vs(asked, 2).stderr).toMatch(/either an address to add or one to remove/);
  }
  expect(all.filter((one) => !reaches(one))).toEqual([]);
});

test('what is not its own goes out by neither interface', () => {
  const from = 'nsenter -t $(lxc-info -P /var/lib/vservers -n web1 -pH) -n';
  lab.on('host1', `${from} ip address add 10.60.20.77/24 dev eth1`);
  const asked = lab.on(
    'host1',
    `${from} ping -c 1 -W 1 -I 10.60.20.77 10.60.20.6 > /dev/null && echo yes || echo no`,
  );
  lab.on('host1', `${from} ip address del 10.60.20.77/24 dev eth1`);
  expect(asked.trim()).toBe('no');
});

test('an interface of a further network comes with the next start, and goes with it', () => {
  lab.vs(['stop', 'web2']);
  lab.vs(['start', 'web2']);
  const { stdout } = lab.vs(['address', 'add', 'web2', '10.60.10.26']);
  expect(stdout).toMatch(/eth1 comes with the next start of web2: vs restart web2/);
  lab.vs(['restart', 'web2']);
  expect(reaches('10.60.10.26', 'host2', 'web3')).toBe(true);
  lab.vs(['address', 'remove', 'web2', '10.60.10.26']);
  expect(reaches('10.60.10.26', 'host2', 'web3')).toBe(false);
  lab.vs(['restart', 'web2']);
  expect(lab.vs(['exec', 'web2', '--', 'ls', '/sys/class/net']).stdout).not.toContain('eth1');
});

test('all of them move along, and a restart keeps them; a copy has its own address only', () => {
  lab.vs(['move', 'web1', 'host2']);
  expect(all.filter((one) => !reaches(one))).toEqual([]);
  lab.vs(['restart', 'web1']);
  expect(all.filter((one) => !reaches(one))).toEqual([]);
  lab.vs(['copy', 'web1', 'web9', '--address', '10.60.10.9']);
  const { stdout } = lab.vs(['address', 'list', 'web9', '--json']);
  expect((JSON.parse(stdout) as { address: string }[]).map((one) => one.address)).toEqual([
    '10.60.10.9',
    'fd60:10::9',
  ]);
  expect(lab.leftovers()).toEqual([]);
});

test('all its networks come along when it is renamed, fetched, brought back, and when its host is evacuated', () => {
  lab.vs(['remove', 'web9', '--yes']);
  lab.vs(['rename', 'web1', 'web5', '--restart']);
  expect(all.filter((one) => !reaches(one))).toEqual([]);
  lab.vs(['get', 'web5']);
  lab.vs(['stop', 'web5']);
  lab.vs(['remove', 'web5', '--yes']);
  lab.vs(['put', 'web5', 'host1']);
  lab.vs(['start', 'web5']);
  expect(all.filter((one) => !reaches(one))).toEqual([]);
  lab.vs(['evacuate', 'host1', '--yes']);
  expect(all.filter((one) => !reaches(one))).toEqual([]);
  expect(lab.leftovers()).toEqual([]);
});
