import { afterAll, beforeAll, expect, test } from 'vitest';
import { realLab } from './lab-kit.ts';

const lab = realLab('six');
/** Does somebody reach an IPv6 address from a vserver's namespace? */
const reaches = (address: string, from: string, host: string): boolean =>
  lab
    .on(
      host,
      `nsenter -t $(lxc-info -P /var/lib/vservers -n ${from} -pH) -n ping -c 2 -W 1 -i 0.2 ${address} > /dev/null && echo yes || echo no`,
    )
    .trim() === 'yes';
const row = (name: string) => lab.rows().find((one) => one.vserver === name);

beforeAll(() => {
  lab.up('--storage', 'dir');
  lab.vs(['net', 'apply']);
  lab.vs(['net', 'remove', 'green']);
  // the lab's router has fd60:20::1 on that wire
  lab.vs([
    'net',
    'add',
    '20',
    'fd60:20::/64',
    'fd60:20::1',
    '--name',
    'six',
    '--uplink',
    'eth2',
    '--untagged',
  ]);
  lab.vs(['create', 'web1', 'fd60:20::5', 'busybox', '--host', 'host1', '--start']);
  lab.vs(['create', 'web2', 'fd60:20:0::6', 'busybox', '--host', 'host2', '--start']);
});
afterAll(() => lab.down());

test('a network of IPv6 alone: its vservers reach one another and the gateway', () => {
  expect(reaches('fd60:20::5', 'web2', 'host2')).toBe(true);
  expect(reaches('fd60:20::1', 'web1', 'host1')).toBe(true);
  expect(row('web1')).toMatchObject({ address: 'fd60:20::5', address6: 'fd60:20::5', network: 'six' });
  expect(lab.vs(['net', 'show', 'six']).stdout).toMatch(/web1 +host1 +running +fd60:20::5/);
  expect(lab.vs(['net', 'map']).stdout).toMatch(/six {2}VLAN 20 {2}fd60:20::\/64 {2}gateway fd60:20::1/);
  expect(lab.vs(['show', 'web1']).stdout).toMatch(/address +fd60:20::5\n/);
  expect(lab.vs(['doctor', 'host1'], null).stdout).toMatch(/six: by eth2, up/);
});

test('who answers at an IPv6 address, in any of its forms', () => {
  const { mac } = (JSON.parse(lab.vs(['address', 'list', 'web1', '--json']).stdout) as { mac: string }[])[0]!;
  const found = JSON.parse(lab.vs(['net', 'check', 'FD60:20:0::5', '--json'], 1).stdout) as object;
  expect(found).toMatchObject({ address: 'fd60:20::5', taken: true, answers: mac, vserver: 'web1' });
  expect(lab.vs(['net', 'check', 'fd60:20::99']).stdout).toMatch(/Nobody answers at fd60:20::99/);
});

test("an address is nobody else's, in whatever form it is written", () => {
  const refused = (address: string) => lab.vs(['create', 'x1', address, 'busybox'], 1).stderr;
  expect(refused('FD60:20:0:0::5')).toMatch(/fd60:20::5 belongs to web1 on host1/);
  expect(refused('fd60:20:0::1')).toMatch(/gateway of network six/);
  expect(refused('fd60:20::')).toMatch(/network or broadcast address/);
  expect(refused('10.60.20.5')).toMatch(/is in no network/);
  expect(lab.vs(['net', 'remove', 'six'], 1).stderr).toMatch(/six is used by web1 on host1, web2 on host2/);
});

test('its firewall holds', () => {
  const page = () =>
    lab.vs(['exec', 'web2', '--', 'timeout', '3', 'wget', '-q', '-O', '-', 'http://[fd60:20::5]/'], null)
      .stdout;
  const allow = (from: string) => {
    lab.on('host1', `printf 'enable\\nallow from ${from} tcp/80\\n' > /var/lib/vservers/web1/firewall.conf`);
    lab.vs(['fw', 'up', 'web1']);
  };
  expect(page()).toBe('web1\n');
  allow('fd60:20::99');
  expect(page()).toBe('');
  allow('fd60:20::6');
  expect(page()).toBe('web1\n');
  expect(lab.vs(['fw', 'test', 'web1', 'in', 'tcp', 'fd60:20::99', 'to', '80']).stdout).toMatch(/^dropped/);
  expect(lab.vs(['fw', 'test', 'web1', 'in', 'tcp', '10.60.10.6', 'to', '80'], 2).stderr).toMatch(
    /web1 has no IPv4 address/,
  );
});

test('it moves, is copied, renamed, fetched and brought back', () => {
  lab.vs(['move', 'web1', 'host2']);
  expect(reaches('fd60:20::5', 'web2', 'host2')).toBe(true);
  lab.vs(['move', 'web1', 'host1']);
  expect(reaches('fd60:20::5', 'web2', 'host2')).toBe(true);
  lab.vs(['copy', 'web1', 'web9', '--address', 'fd60:20::9', '--start']);
  expect(reaches('fd60:20::9', 'web2', 'host2')).toBe(true);
  lab.vs(['stop', 'web9']);
  lab.vs(['rename', 'web9', 'web8']);
  lab.vs(['get', 'web8']);
  lab.vs(['remove', 'web8', '--yes']);
  lab.vs(['put', 'web8', 'host1']);
  lab.vs(['start', 'web8']);
  expect(row('web8')).toMatchObject({ host: 'host1', address: 'fd60:20::9', state: 'running' });
  expect(reaches('fd60:20::9', 'web2', 'host2')).toBe(true);
  expect(lab.leftovers()).toEqual([]);
});
