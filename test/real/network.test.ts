import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHook } from '../../services/network/hook.ts';
import { vethRules } from '../../services/network/rules.ts';

// A host, two guests on its bridge; everything in namespaces of its own.
const project = new URL('../..', import.meta.url).pathname;
const id = `vslab-net-${process.pid}`;
const [host, one, two] = [id, `${id}-a`, `${id}-b`] as const;
const rules = mkdtempSync(join(tmpdir(), 'vslab-net-'));
const mac = '02:00:0a:3c:0a:05';
const ip = (...args: string[]) => must(spawnSync('ip', args, { encoding: 'utf8' }));
const inside = (space: string, ...argv: string[]) =>
  spawnSync('nsenter', [`--net=/run/netns/${space}`, ...argv], { encoding: 'utf8', timeout: 90_000 });
function must(result: SpawnSyncReturns<string>): string {
  if (result.status !== 0) throw new Error(`${result.stderr} ${result.stdout}`);
  return result.stdout;
}
/** Runs a function of the service inside the host's namespace. */
const service = (code: string): string =>
  must(
    inside(
      host,
      process.execPath,
      '--input-type=module',
      '-e',
      `import { bridgeUp, bridgeDown, unplug } from '${project}services/network/bridges.ts';
       import { answerPings, largestThrough } from '${project}services/network/echo.ts';
       import { whoAnswers } from '${project}services/network/probe.ts';
       const net = { name: 'blue', vlan: 10, tagged: false, subnet: '10.60.10.0/24' };
       console.log(JSON.stringify(await (${code})));`,
    ),
  ).trim();
const who = (want: object): unknown =>
  JSON.parse(
    service(
      `(async () => { let said; await whoAnswers('vsbr10', ${JSON.stringify(want)}, (found) => (said = found)); return said; })()`,
    ),
  );
/** An ARP question of an earlier ping may still be open, and its next try come too late for this one. */
const pings = (from: string, to: string) => {
  ip('-n', from, 'neigh', 'flush', 'all');
  return inside(from, 'ping', '-c1', '-W1', to).status === 0;
};

beforeAll(() => {
  for (const space of [host, one, two]) {
    ip('netns', 'add', space);
    ip('-n', space, 'link', 'set', 'lo', 'up');
  }
  service('bridgeUp(net, 1500)');
  for (const [space, port, address, hardware] of [
    [one, 'vsvaaaaaaaa', '10.60.10.5/24', mac],
    [two, 'vsvbbbbbbbb', '10.60.10.6/24', '02:00:0a:3c:0a:06'],
  ] as const) {
    ip('-n', host, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
    ip('-n', host, 'link', 'set', port, 'master', 'vsbr10', 'up');
    ip('-n', space, 'link', 'set', 'eth0', 'address', hardware, 'up');
    ip('-n', space, 'addr', 'add', address, 'dev', 'eth0');
  }
});
afterAll(() => {
  for (const space of [one, two, host]) spawnSync('ip', ['netns', 'del', space]);
  rmSync(rules, { recursive: true, force: true });
});

test('the guard keeps the host off its bridge and comes back when it was lost', () => {
  ip('-n', host, 'addr', 'add', '10.60.10.9/24', 'dev', 'vsbr10');
  expect(pings(one, '10.60.10.9')).toBe(false);
  must(inside(host, 'nft', 'delete', 'table', 'netdev', 'vs_guard_vsbr10'));
  expect(pings(one, '10.60.10.9')).toBe(true);
  service('bridgeUp(net, 1500)');
  expect(pings(one, '10.60.10.9')).toBe(false);
  expect(pings(one, '10.60.10.6')).toBe(true);
  ip('-n', host, 'addr', 'del', '10.60.10.9/24', 'dev', 'vsbr10');
});

test('a check finds who answers, and nobody for a free address, three times of three', () => {
  for (let turn = 0; turn < 3; turn++) expect(who({ address: '10.60.10.5' })).toEqual({ answers: mac });
  expect(who({ address: '10.60.10.77' })).toEqual({ answers: null });
  ip('-n', one, 'addr', 'add', 'fd60:10::5/64', 'dev', 'eth0', 'nodad');
  expect(who({ address: '10.60.10.77', address6: 'fd60:10::5' })).toEqual({
    answers: null,
    answers6: mac,
    taken6: true,
  });
  expect(who({ address: '10.60.10.77', address6: 'fd60:10::77' })).toEqual({ answers: null, taken6: false });
  ip('-n', one, 'addr', 'del', 'fd60:10::5/64', 'dev', 'eth0');
});

test('a vserver speaks with its own addresses only; the hook fails closed', async () => {
  const sleeper = spawnSync('sh', ['-c', `ip netns exec ${one} sleep 60 >/dev/null 2>&1 & echo $!`], {
    encoding: 'utf8',
  });
  const pid = sleeper.stdout.trim();
  try {
    const isInside = () => readlinkSync(`/proc/${pid}/ns/net`) !== readlinkSync('/proc/self/ns/net');
    await expect.poll(isInside, { timeout: 20_000 }).toBe(true);
    const veth = 'vsvaaaaaaaa';
    const port = {
      device: 'eth0',
      veth,
      network: 'blue',
      mac,
      addresses: [{ address: '10.60.10.5', prefix: 24 }],
      addresses6: [{ address: 'fd60:10::5', prefix: 64 }],
    };
    const hook = join(rules, 'start-host');
    writeFileSync(hook, startHook(rules, [{ ...port, bridge: 'vsbr10' }]), { mode: 0o700 });
    writeFileSync(join(rules, 'host.nft'), vethRules(port));
    const start = () => inside(host, 'env', `LXC_PID=${pid}`, hook);
    expect(start().status).not.toBe(0); // no guest.nft
    writeFileSync(join(rules, 'guest.nft'), '');
    expect(must(start())).toBe('');
    expect(pings(one, '10.60.10.6')).toBe(true);
    ip('-n', one, 'addr', 'add', '10.60.10.8/24', 'dev', 'eth0');
    expect(inside(one, 'ping', '-c1', '-W1', '-I', '10.60.10.8', '10.60.10.6').status).not.toBe(0);
    expect(pings(one, '10.60.10.6')).toBe(true);
    ip('-n', one, 'addr', 'add', 'fd60:10::5/64', 'dev', 'eth0', 'nodad');
    ip('-n', one, 'addr', 'add', 'fd60:10::8/64', 'dev', 'eth0', 'nodad');
    ip('-n', two, 'addr', 'add', 'fd60:10::6/64', 'dev', 'eth0', 'nodad');
    expect(pings(two, 'fd60:10::5')).toBe(true);
    expect(pings(two, 'fd60:10::8')).toBe(false);
    writeFileSync(join(rules, 'host.nft'), 'nonsense');
    expect(start().status).not.toBe(0);
  } finally {
    process.kill(Number(pid));
  }
});

test('a network with vservers stays, an empty one goes', () => {
  expect(service('bridgeDown(net)')).toBe('false');
  ip('-n', host, 'link', 'del', 'vsvaaaaaaaa');
  ip('-n', host, 'link', 'del', 'vsvbbbbbbbb');
  expect(service('bridgeDown(net)')).toBe('true');
  expect(inside(host, 'nft', 'list', 'tables').stdout).not.toContain('vs_guard');
});

test('a device of the host is not taken, another one is, and is given back', () => {
  ip('-n', host, 'link', 'add', 'up1', 'type', 'veth', 'peer', 'name', 'far1');
  ip('-n', host, 'address', 'add', '192.0.2.1/24', 'dev', 'up1');
  ip('-n', host, 'link', 'set', 'up1', 'up');
  const red = "{ ...net, name: 'red', vlan: 11, uplink: 'up1' }";
  const master = () => ip('-n', host, '-j', 'link', 'show', 'up1');
  expect(() => service(`bridgeUp(${red}, 1500)`)).toThrow(
    /has the address 192\.0\.2\.1 of this host, which it would lose/,
  );
  expect(master()).not.toContain('vsbr11');
  ip('-n', host, 'address', 'del', '192.0.2.1/24', 'dev', 'up1');
  service(`bridgeUp(${red}, 1496)`);
  expect(master()).toMatch(/"mtu":1496[^]*"master":"vsbr11"/);
  service(`unplug(${red}).then(() => 1)`);
  expect(master()).not.toContain('vsbr11');
  expect(service(`bridgeDown(${red})`)).toBe('true');
});

test('the largest packet through a bridge is found', () => {
  const blue = `(async () => {
    const bridge = await bridgeUp({ ...net, vlan: 12 }, 1500);
    const { address } = await answerPings(bridge, 12);
    const found = [await largestThrough(bridge, address, 1500), await largestThrough(bridge, 'fe80::1', 1280)];
    return found;
  })()`;
  expect(JSON.parse(service(blue))).toEqual([1500, null]);
});
