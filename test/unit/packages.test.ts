import { describe, expect, test } from 'vitest';
import { splitWords } from '../../cli/verbs/pkg.ts';
import { compile } from '../../services/firewall/compile.ts';
import { openingBatch } from '../../services/firewall/opening.ts';
import { parseFirewall } from '../../services/firewall/parse.ts';
import { apk } from '../../services/packages/apk.ts';
import { apt } from '../../services/packages/apt.ts';
import { dnf } from '../../services/packages/dnf.ts';
import { resolversOf, splitMirror } from '../../services/packages/mirrors.ts';
import { nextLook } from '../../services/packages/nightly.ts';
import { packageWord } from '../../shared/contract/packages.ts';

describe('apt', () => {
  test('upgrades, and which of them mend security', () => {
    const output = `NOTE: This is only a simulation!
Inst libc6 [2.36-9+deb12u8] (2.36-9+deb12u9 Debian-Security:12/stable-security [amd64])
Inst tzdata [2024a-0+deb12u1] (2024b-0+deb12u1 Debian:12.9/stable, Debian:12-updates/stable-updates [all]) []
Inst linux-new (6.1 Debian:12.9/stable [amd64])
Conf libc6 (2.36-9+deb12u9 Debian-Security:12/stable-security [amd64])
`;
    expect(apt.parse('upgrades', output)).toEqual([
      { package: 'libc6', version: '2.36-9+deb12u8', candidate: '2.36-9+deb12u9', security: true },
      { package: 'tzdata', version: '2024a-0+deb12u1', candidate: '2024b-0+deb12u1', security: false },
      { package: 'linux-new', candidate: '6.1', security: false },
    ]);
  });
  test('what is installed, not what was removed', () => {
    const output = 'installed\tbash\t5.2-3\tGNU shell\nconfig-files\told\t1\tgone\n';
    expect(apt.parse('list', output)).toEqual([{ package: 'bash', version: '5.2-3', summary: 'GNU shell' }]);
  });
  test('search', () =>
    expect(apt.parse('search', 'nginx - small web server\n')).toEqual([
      { package: 'nginx', summary: 'small web server' },
    ]));
  test('how much changed', () => {
    expect(apt.changed('1 upgraded, 2 newly installed, 0 to remove and 5 not upgraded.')).toBe(3);
    expect(apt.changed('0 upgraded, 1 newly installed, 1 downgraded, 1 to remove and 0 not upgraded.')).toBe(
      3,
    );
    expect(apt.changed('nothing')).toBe(0);
  });
  test('who holds the lock', () => {
    const output =
      'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (unattended-upgr)\nE: Unable to acquire the dpkg frontend lock';
    expect(apt.lockedBy(output)).toBe('4711 (unattended-upgr)');
    expect(apt.lockedBy('E: Unable to lock directory /var/lib/apt/lists/')).toBe('another package manager');
    expect(apt.lockedBy('E: Unable to locate package nginx')).toBeUndefined();
  });
  test('it never asks, and keeps files that people changed', () => {
    const command = apt.command('install', ['nginx']);
    expect(command).toContain('DEBIAN_FRONTEND=noninteractive');
    expect(command).toContain('Dpkg::Options::=--force-confold');
    expect(command.slice(-2)).toEqual(['--', 'nginx']);
  });
});

test('dnf: lists, upgrades, search, counts', () => {
  expect(dnf.parse('list', 'bash\t0:5.2-1\tshell\n')).toEqual([
    { package: 'bash', version: '5.2-1', summary: 'shell' },
  ]);
  const upgrades = 'Available Upgrades\nbash.x86_64     5.2.26-3.fc40     updates\n';
  expect(dnf.parse('upgrades', upgrades)).toEqual([{ package: 'bash', candidate: '5.2.26-3.fc40' }]);
  expect(dnf.parse('search', 'nginx.x86_64 : web server\n')).toEqual([
    { package: 'nginx', summary: 'web server' },
  ]);
  expect(dnf.changed('Install  2 Packages\nUpgrade  1 Package\n')).toBe(3);
});

test('apk: lists, upgrades, search, counts', () => {
  expect(apk.parse('list', 'musl-1.2.4-r2\nbusybox-extras-1.36.1-r5\n')).toEqual([
    { package: 'musl', version: '1.2.4-r2' },
    { package: 'busybox-extras', version: '1.36.1-r5' },
  ]);
  expect(apk.parse('upgrades', 'Installed:      Available:\nmusl-1.2.4-r2   < 1.2.4-r3\n')).toEqual([
    { package: 'musl', version: '1.2.4-r2', candidate: '1.2.4-r3' },
  ]);
  expect(apk.parse('search', 'nginx-1.24.0-r7 - HTTP server\n')).toEqual([
    { package: 'nginx', candidate: '1.24.0-r7', summary: 'HTTP server' },
  ]);
  expect(apk.changed('(1/2) Installing pcre2 (10.42-r2)\n(2/2) Installing nginx (1.24.0-r7)\n')).toBe(2);
});

test.each(['-y', '--option', 'a b', 'a;b', '$(x)', '', '../x', 'a'.repeat(129)])('no package: "%s"', (text) =>
  expect(packageWord.safeParse(text).success).toBe(false),
);
test.each(['nginx', 'libc6:amd64', 'nginx=1.24-1', 'php8.*', 'g++', 'a@b/c'])('a package: "%s"', (text) =>
  expect(packageWord.safeParse(text).success).toBe(true),
);

describe('words of the command line', () => {
  test('names, action, packages', () => {
    expect(splitWords(['web1', 'web2', 'install', 'nginx', 'list'], false)).toEqual({
      names: ['web1', 'web2'],
      action: 'install',
      packages: ['nginx', 'list'],
    });
    expect(splitWords(['update'], true)).toEqual({ names: [], action: 'update', packages: [] });
    // a vserver may be called like an action
    expect(splitWords(['list', 'list'], false)).toEqual({ names: ['list'], action: 'list', packages: [] });
  });
  test.each([
    [['web1'], false],
    [['list'], false],
    [['web1', 'update'], true],
    [[], true],
  ] as const)('%j with all: %s is refused', (words, all) =>
    expect(() => splitWords([...words], all)).toThrow(/Say what to do|names or --all/),
  );
});

describe('the firewall opens to mirrors', () => {
  test('mirrors are names with or without a port', () => {
    expect(splitMirror('deb.debian.org')).toEqual({ host: 'deb.debian.org', ports: [80, 443] });
    expect(splitMirror('cache:3142')).toEqual({ host: 'cache', ports: [3142] });
    expect(splitMirror('[2001:db8::1]:8080')).toEqual({ host: '2001:db8::1', ports: [8080] });
    expect(splitMirror('2001:db8::1')).toEqual({ host: '2001:db8::1', ports: [80, 443] });
    expect(resolversOf('192.0.2.53, nonsense 2001:db8::53')).toEqual(['192.0.2.53', '2001:db8::53']);
  });
  test('in one transaction, for a time, and what was open before is not', () => {
    const to = [
      { address: '192.0.2.80', port: 80 },
      { address: '2001:db8::80', port: 443 },
    ];
    expect(openingBatch({ to, resolvers: ['192.0.2.53'], seconds: 600 })).toBe(`flush set inet vs mirrors4
flush set inet vs mirrors6
flush set inet vs resolvers4
flush set inet vs resolvers6
add element inet vs mirrors4 { 192.0.2.80 . 80 timeout 600s }
add element inet vs mirrors6 { 2001:db8::80 . 443 timeout 600s }
add element inet vs resolvers4 { 192.0.2.53 timeout 600s }
`);
  });
  test('before the rules of the person, and nothing is in the sets by themselves', () => {
    const rules = compile(parseFirewall('enable\ndeny to 0/0', 'firewall.conf'));
    expect(rules.indexOf('@mirrors4 accept')).toBeGreaterThan(0);
    expect(rules.indexOf('@mirrors4 accept')).toBeLessThan(rules.indexOf('drop comment "r1"'));
    expect(rules).not.toContain('elements');
  });
});

test('the nightly look comes once a night, at a minute that differs by host', () => {
  const now = new Date(2026, 10, 26, 12, 0);
  const minutes = new Set(
    Array.from({ length: 20 }, (_, number) => new Date(nextLook(now, 3, `host${number}`)).getMinutes()),
  );
  expect(minutes.size).toBeGreaterThan(5);
  const next = new Date(nextLook(now, 3, 'host1'));
  expect([next.getDate(), next.getHours()]).toEqual([27, 3]);
  expect(nextLook(next, 3, 'host1') - next.getTime()).toBe(86_400_000);
});
