import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hostsText, personalise, reidentify } from '../../services/host-agent/identity.ts';
import type { VserverConfig } from '../../shared/contract/vserver.ts';
import { temporary } from './temporary.ts';

const was: VserverConfig = {
  version: 1,
  uuid: '11111111-1111-4111-8111-111111111111',
  name: 'web1',
  network: 'blue',
  address: '10.60.10.5',
  prefix: 24,
  address6: 'fd60:10::5',
  mac: '02:00:00:00:00:01',
  domain: 'lab.example',
  nameserver: '10.60.10.1',
  enabled: false,
  limits: {},
  idmap: 100_000,
  source: '',
  created: 1,
};
const now: VserverConfig = { ...was, name: 'web2', address: '10.60.10.6', address6: 'fd60:10::6' };
const ours = '10.60.10.6 web2.lab.example web2\nfd60:10::6 web2.lab.example web2\n';

describe('/etc/hosts', () => {
  test.each([
    [
      'one of ours',
      '127.0.0.1 localhost\n10.60.10.5 web1.lab.example web1\n',
      `127.0.0.1 localhost\n${ours}`,
    ],
    ['IPv6, too', 'fd60:10::5 web1.lab.example web1\n', ours],
    ["Debian's own line", '127.0.1.1\tweb1.lab.example web1\n', ours],
    [
      'other names of the same address',
      '10.60.10.5 shop.example web1 # the shop\n',
      `10.60.10.5 shop.example # the shop\n${ours}`,
    ],
    [
      'lines of the guest, with comments and empty ones',
      '# mine\n\n192.0.2.1 web10 web1.other\n',
      `# mine\n\n192.0.2.1 web10 web1.other\n${ours}`,
    ],
    ['the name behind localhost', '127.0.0.1 localhost web1\n', `127.0.0.1 localhost\n${ours}`],
  ])('%s', (_what, before, after) => {
    expect(hostsText(before, now, was)).toBe(after);
    expect(hostsText(after, now, was)).toBe(after);
  });
  test('a guest without one gets a whole one', () => {
    expect(hostsText(undefined, now, was)).toBe(
      `127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n${ours}`,
    );
  });
});

describe('a guest that becomes another one', () => {
  let root = '';
  const read = (file: string) => readFileSync(join(root, file), 'utf8');
  beforeEach(() => {
    root = temporary('guest');
    mkdirSync(join(root, 'etc/ssh'), { recursive: true });
    mkdirSync(join(root, 'var/lib/dbus'), { recursive: true });
    writeFileSync(join(root, 'etc/hostname'), 'web1\n');
    writeFileSync(join(root, 'etc/mailname'), 'web1.lab.example\n');
    writeFileSync(join(root, 'etc/hosts'), '192.0.2.1 other\n10.60.10.5 web1\n');
    writeFileSync(join(root, 'etc/resolv.conf'), 'nameserver 192.0.2.53\n');
    writeFileSync(join(root, 'etc/machine-id'), '0123456789abcdef0123456789abcdef\n');
    writeFileSync(join(root, 'var/lib/dbus/machine-id'), '0123456789abcdef0123456789abcdef\n');
    writeFileSync(join(root, 'etc/ssh/ssh_host_ed25519_key'), 'OLD KEY');
    writeFileSync(join(root, 'etc/ssh/ssh_host_ed25519_key.pub'), 'OLD KEY');
    writeFileSync(join(root, 'etc/ssh/sshd_config'), 'mine');
    mkdirSync(join(root, 'var/lib/systemd'));
    for (const file of ['random-seed', 'credential.secret', 'mine'])
      writeFileSync(join(root, 'var/lib/systemd', file), 'OLD');
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  test('a copy has keys and a machine id of its own, and nothing of who it was', async () => {
    expect(await reidentify(root, now, was, true)).toBeUndefined();
    expect(read('etc/hostname')).toBe('web2\n');
    expect(read('etc/mailname')).toBe('web2.lab.example\n');
    expect(read('etc/hosts')).toBe(`192.0.2.1 other\n${ours}`);
    expect(read('etc/resolv.conf')).toBe('search lab.example\nnameserver 10.60.10.1\n');
    expect(read('etc/machine-id')).toBe('');
    expect(readdirSync(join(root, 'var/lib/dbus'))).toEqual([]);
    expect(readdirSync(join(root, 'var/lib/systemd'))).toEqual(['mine']);
    expect(readdirSync(join(root, 'etc/ssh')).sort()).toEqual([
      'ssh_host_ed25519_key',
      'ssh_host_ed25519_key.pub',
      'sshd_config',
    ]);
    const key = join(root, 'etc/ssh/ssh_host_ed25519_key');
    expect(statSync(key).mode & 0o777).toBe(0o600);
    const derived = execFileSync('ssh-keygen', ['-y', '-f', key], { encoding: 'utf8' });
    expect(read('etc/ssh/ssh_host_ed25519_key.pub')).toBe(derived);
    expect(derived).toContain('root@web2');
  });

  test('one from a tarball of a machine that ran shares neither keys nor seeds with it', async () => {
    expect(await personalise(root, now)).toBeUndefined();
    expect(read('etc/ssh/ssh_host_ed25519_key')).toMatch(/^-----BEGIN OPENSSH PRIVATE KEY/);
    expect(readdirSync(join(root, 'var/lib/systemd'))).toEqual(['mine']);
    expect(read('etc/machine-id')).toBe('');
  });

  test('a renamed one keeps keys, machine id and resolver', async () => {
    expect(await reidentify(root, { ...was, name: 'web3' }, was, false)).toBeUndefined();
    expect(read('etc/hostname')).toBe('web3\n');
    expect(read('etc/hosts')).toContain('10.60.10.5 web3.lab.example web3\n');
    expect(read('etc/machine-id')).toMatch(/^0123/);
    expect(read('etc/ssh/ssh_host_ed25519_key')).toBe('OLD KEY');
    expect(read('var/lib/systemd/random-seed')).toBe('OLD');
    expect(read('etc/resolv.conf')).toBe('nameserver 192.0.2.53\n');
  });

  test('one that comes back as it was is not touched', async () => {
    await reidentify(root, was, was, false);
    expect(read('etc/hosts')).toBe('192.0.2.1 other\n10.60.10.5 web1\n');
  });

  test('a host name that the guest chose itself stays', async () => {
    writeFileSync(join(root, 'etc/hostname'), 'gateway\n');
    await reidentify(root, { ...was, name: 'web3' }, was, false);
    expect(read('etc/hostname')).toBe('gateway\n');
  });

  test('links of a guest lead nowhere: neither is read nor written what they point at', async () => {
    const outside = temporary('outside');
    writeFileSync(join(outside, 'hosts'), '10.60.10.5 secret-of-the-host\n');
    rmSync(join(root, 'etc/hosts'));
    symlinkSync(join(outside, 'hosts'), join(root, 'etc/hosts'));
    rmSync(join(root, 'etc/ssh'), { recursive: true });
    symlinkSync(outside, join(root, 'etc/ssh'));
    await reidentify(root, now, was, true);
    expect(read('etc/hosts')).not.toContain('secret');
    expect(readdirSync(outside)).toEqual(['hosts']);
    expect(readFileSync(join(outside, 'hosts'), 'utf8')).toBe('10.60.10.5 secret-of-the-host\n');
    rmSync(outside, { recursive: true });
  });

  test('a rename goes on where the guest made its /etc something else, and says so; a copy does not', async () => {
    rmSync(join(root, 'etc'), { recursive: true });
    symlinkSync('/tmp', join(root, 'etc'));
    expect(await reidentify(root, { ...was, name: 'web3' }, was, false)).toMatch(/no plain directory/);
    await expect(reidentify(root, now, was, true)).rejects.toThrow(/no plain directory/);
  });
});
