import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { Template } from '../../shared/contract/template.ts';
import { type Put, ociArchive } from '../unit/oci-kit.ts';
import { realLab } from './lab-kit.ts';

// The store of templates is that of all labs of this machine, so every name here begins with bco-.
const lab = realLab('crt');
const work = mkdtempSync(join(tmpdir(), 'vslab-crt-'));
const path = (file: string) => join(work, file);
const tree = (name: string) => `/var/lib/vservers/${name}/rootfs`;
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3x anna@home';
const json = (...args: string[]): unknown => JSON.parse(lab.vs([...args, '--json']).stdout);
/** Nothing of a vserver is on the host: no row, no tree, no ownership, no mount, no rules. */
function expectNothingOf(name: string): void {
  expect(lab.rows().map((row) => row.vserver)).not.toContain(name);
  expect(lab.leftovers()).toEqual([]);
  expect(
    lab.on('host1', 'ls -A /var/lib/vservers /run/vs /var/lib/vs-tools/rules 2>/dev/null || true'),
  ).not.toContain(name);
}
function write(file: string, text: string): string {
  writeFileSync(path(file), text);
  return path(file);
}
const busybox = readFileSync('/bin/busybox');
const applets = ['sh', 'cat', 'sleep', 'id', 'echo', 'pwd', 'httpd', 'stat', 'hostname'];
const base: Put[] = [
  { path: 'bin/busybox', data: busybox, mode: 0o755 },
  ...applets.map((applet) => ({ path: `bin/${applet}`, link: 'busybox' })),
  { path: 'etc/' },
  { path: 'etc/passwd', data: 'root:x:0:0:root:/root:/bin/sh\n' },
  { path: 'etc/gone', data: '' },
];
const program = `trap 'echo "ended in order" > /srv/end; exit 0' QUIT
echo "$1|$A|$(id -u):$(id -g)|$(pwd)|$HOME" > /srv/facts
echo "the program speaks"
[ ! -e /srv/once ] || exit 5
while :; do sleep 0.2; done
`;
const image = ociArchive({
  layers: [
    base,
    [
      { path: 'etc/.wh.gone' },
      { path: 'srv/', uid: 1234, gid: 1234 },
      { path: 'opt/program', data: program },
    ],
  ],
  packing: 'zstd',
  config: {
    Entrypoint: ['sh', '/opt/program'],
    Cmd: ["it's one"],
    Env: ['A=b c', 'PATH=/bin'],
    User: '1234',
    WorkingDir: '/opt/work',
    StopSignal: 'SIGQUIT',
  },
});

const removeOurs = () => {
  for (const { name } of json('template', 'list') as Template[])
    if (name.startsWith('bco-') || name.startsWith('oci-')) lab.vs(['template', 'remove', name], null);
};
beforeAll(() => {
  lab.up('--hosts', '1');
  removeOurs(); // of a run that was killed
  writeFileSync(path('image.tar'), image);
});
afterAll(() => {
  removeOurs();
  lab.down();
  rmSync(work, { recursive: true, force: true });
});

test('what it will do is shown first, with the text beside its tarball; a dry run changes nothing', () => {
  const links = applets.map((applet) => `ln -s busybox root/bin/${applet}`).join('; ');
  const { status } = spawnSync(
    'bash',
    [
      '-ec',
      `mkdir -p root/bin root/etc root/proc root/sys root/dev root/sbin root/root
cp /bin/busybox root/bin/; ${links}; printf '#!/bin/sh\\nexec sleep 100000\\n' > root/sbin/init; chmod 755 root/sbin/init
tar -C root -cf bco-tar.tar .`,
    ],
    { cwd: work },
  );
  expect(status).toBe(0);
  write('bco-tar.info', 'Tiny, for tests\nSecond line\n');
  lab.vs(['template', 'import', path('bco-tar.tar')]);
  const asked = [
    'create',
    'web9',
    '10.60.10.9',
    'bco-tar',
    '--memory',
    '64M',
    '--ssh-key',
    write('key.pub', `${KEY}\n`),
  ];
  const { stdout } = lab.vs([...asked, '--dry-run']);
  expect(stdout).toMatch(/^web9: new on host1, 10\.60\.10\.9 in network blue, from bco-tar\n/);
  expect(stdout).toMatch(/\n +address +10\.60\.10\.9\/24, fd60:10::9\/64\n/);
  expect(stdout).toMatch(/\n +network +blue \(VLAN 10, gateway 10\.60\.10\.1\)/);
  expect(stdout).toMatch(/\n +host +host1, the one with most room of host1; /);
  expect(stdout).toMatch(
    /\n +source +bco-tar: a template of .*\n +info +Tiny, for tests\n +Second line\n +limits +memory 64 MiB\n/,
  );
  expect(stdout).toMatch(/\n +ssh keys +1 for root\n +start +not started now, not at boot\n/);
  expect(lab.vs([...asked.slice(0, 3), 'nosuch', '--dry-run'], 1).stderr).toMatch(
    /there is no template nosuch/,
  );
  expect(lab.vs([...asked.slice(0, 4), '--memory', '900G'], 1).stderr).toMatch(
    /more than the .* that host1 has/,
  );
  // in a terminal it asks
  const typed = (answer: string) =>
    spawnSync('script', ['-qec', [lab.cli, ...asked].join(' '), '/dev/null'], {
      env: lab.environment,
      input: answer,
      encoding: 'utf8',
      timeout: 60_000,
    });
  const no = typed('n\n');
  expect([no.status, no.stdout]).toEqual([
    1,
    expect.stringMatching(/not at boot[^]*Create web9\? \[y\/N\] [^]*Nothing was done/),
  ]);
  expectNothingOf('web9');
  expect(lab.vs(['template', 'show', 'bco-tar']).stdout).toMatch(
    /vservers +none\ninfo +Tiny, for tests\n +Second line\n$/,
  );
});

test('keys for root, and a script that runs once after the first start; nobody is shown the script', () => {
  const script = write(
    'setup',
    '#!/bin/sh\necho "here is $(hostname)"; PASSWORD=sesame; echo yes > /root/done; ls -l /root/.ssh/authorized_keys\n',
  );
  const { stdout } = lab.vs([
    'create',
    'web1',
    '10.60.10.5',
    'busybox',
    '--ssh-key',
    path('key.pub'),
    '--post-install',
    script,
    '--memory',
    '64M',
    '--procs',
    '50',
  ]);
  expect(stdout).toMatch(/\n +script +a script of .* runs in it once/);
  expect(stdout).toMatch(
    /\n {4}\| -rw-------.* \/root\/\.ssh\/authorized_keys\n +post-install done: -rw-------/,
  );
  expect(stdout).toMatch(/\n +stop +stopped/);
  const [row] = lab.rows();
  expect(row).toMatchObject({ vserver: 'web1', state: 'stopped' });
  expect(
    lab.on(
      'host1',
      `cd ${tree('web1')}; cat root/.ssh/authorized_keys root/done; ls -A root; stat -c %a root/.ssh`,
    ),
  ).toBe(`${KEY}\nyes\n.ssh\ndone\n700\n`);
  expect(
    lab.on(
      'host1',
      'stat -c %a /var/lib/vs-tools/log/web1.post-install; cat /var/lib/vs-tools/log/web1.post-install',
    ),
  ).toMatch(/^600\nhere is web1\n-rw-------/);
  const [saga] = json('saga', 'list') as SagaState[];
  expect(saga?.args).toMatchObject({ sshKeys: 1, postInstall: expect.stringMatching(/^\d+ bytes$/) });
  expect(lab.vs(['saga', 'show', saga?.id ?? '', '--json']).stdout).not.toContain('sesame');
  expect(lab.on('master', 'cat /var/lib/vs-tools/audit.jsonl')).not.toContain('sesame');
});

test('a script that fails undoes all of it, or, with --keep, is told by exit code 1', () => {
  const asked = [
    'create',
    'web2',
    '10.60.10.6',
    'busybox',
    '--start',
    '--post-install',
    write('bad', 'echo before; exit 3\n'),
  ];
  const { stderr } = lab.vs(asked, 1);
  expect(stderr).toMatch(
    /web2 was not created: step "post-install" failed on host1: the script ended with exit code 3: before; all that it said is in \S+ on host1\. Nothing of it is left/,
  );
  expectNothingOf('web2');
  expect(lab.vs([...asked, '--keep'], 1).stdout).toMatch(
    /web2 runs on host1 .*It was kept \(--keep\), but its post-install script failed/,
  );
  expect(lab.running('web2')).toEqual(['host1']);
});

describe('an OCI image', () => {
  test('its program runs with its environment, user and directory, under an init that ends it by its signal', async () => {
    const source = `oci:${path('image.tar')}`;
    const { stdout } = lab.vs(['create', 'app', '10.60.10.7', source, '--start']);
    expect(stdout).toMatch(
      /\n +source +oci:\S+: an OCI image archive of .*, which becomes a template first\n/,
    );
    await expect
      .poll(() => lab.on('host1', `cat ${tree('app')}/srv/facts || true`), { timeout: 10_000 })
      .toBe("it's one|b c|1234:1234|/opt/work|/\n");
    expect(lab.vs(['exec', 'app', '--', 'cat', '/proc/1/cmdline']).stdout.split('\0').slice(0, 3)).toEqual([
      '/.vs-tools/tini',
      '--',
      '/.vs-tools/busybox',
    ]);
    expect(lab.vs(['exec', 'app', '--', 'sh', '-c', 'echo /etc/*']).stdout).not.toContain('gone');
    lab.vs(['restart', 'app']);
    const log = '/var/lib/vs-tools/log/app.console';
    await expect
      .poll(() => lab.on('host1', `cat ${log} || true`), { timeout: 30_000 })
      .toContain('the program speaks');
    lab.vs(['stop', 'app']);
    expect(lab.on('host1', `cat ${tree('app')}/srv/end ${log}`)).toMatch(
      /ended in order\n[^]*the program speaks/,
    );
    const [made] = (json('template', 'list') as Template[]).filter((one) => one.source === source);
    expect(made?.name).toMatch(/^oci-/);
    const shown = lab.vs(['template', 'show', made?.name ?? '']).stdout;
    expect(shown).toMatch(/\nruns +its program\nprogram +"sh" "\/opt\/program" "it's one"\nuser +1234\n/);
    expect(shown).toMatch(/\nvservers +app on host1\n/);
  });

  test('the vserver halts when its program ends', async () => {
    lab.on('host1', `touch ${tree('app')}/srv/once`);
    lab.vs(['start', 'app']);
    await expect
      .poll(() => lab.rows().find((row) => row.vserver === 'app')?.state, { timeout: 20_000 })
      .toBe('stopped');
  });
});

const full = process.env['VS_TEST_FULL'] === '1';
if (!full)
  console.log('skipped: a suite is built and updated only with VS_TEST_FULL=1, for it takes some minutes');
test.skipIf(!full)(
  'a suite is built anew, and who came from the old one stays',
  () => {
    const slowly = (...args: string[]): string => {
      const made = spawnSync(lab.cli, args, { env: lab.environment, encoding: 'utf8', timeout: 900_000 });
      expect(made.status, made.stderr).toBe(0);
      return made.stdout;
    };
    slowly('template', 'build', 'bookworm', '--name', 'bco-deb');
    lab.vs(['create', 'deb1', '10.60.10.20', 'bco-deb']);
    const before = json('template', 'show', 'bco-deb') as Template;
    const [after] = JSON.parse(slowly('template', 'update', 'bco-deb', '--json')) as Template[];
    expect(after?.sha256).not.toBe(before.sha256);
    expect(lab.vs(['template', 'show', 'bco-deb']).stdout).toMatch(
      /vservers +deb1 on host1, from an older one/,
    );
    lab.vs(['create', 'deb2', '10.60.10.21', 'bco-deb', '--start']);
    expect(lab.vs(['exec', 'deb2', '--', 'systemctl', 'is-system-running', '--wait']).stdout).toBe(
      'running\n',
    );
  },
  1_800_000,
);

test('clones of running and stopped ones have their limits, and an identity of their own', () => {
  lab.vs([
    'exec',
    'web2',
    '--',
    'sh',
    '-c',
    'mkdir -p /etc/ssh; echo OLD > /etc/ssh/ssh_host_ed25519_key; echo 0123456789abcdef0123456789abcdef > /etc/machine-id',
  ]);
  lab.vs(['create', 'web3', '10.60.10.10', 'clone:web2', '--ssh-key', path('key.pub')]);
  lab.vs(['create', 'web4', '10.60.10.11', 'clone:web1', '--memory', '32M']);
  const facts = (name: string) =>
    lab.on(
      'host1',
      `cd ${tree(name)}/etc; cat hostname hosts; wc -c < machine-id; head -1 ssh/ssh_host_ed25519_key 2>/dev/null || true`,
    );
  expect(facts('web3')).toMatch(/^web3\n[^]*\n10\.60\.10\.10 web3[^]*\n0\n-----BEGIN OPENSSH/);
  expect(facts('web3')).not.toMatch(/web2|10\.60\.10\.6/);
  const config = (name: string) =>
    (json('show', name) as { config: { limits: object; mac: string; uuid: string } }).config;
  expect(config('web4').limits).toEqual({ memory_bytes: 32 * 1024 ** 2, procs: 50 });
  expect(new Set(['web1', 'web4'].flatMap((name) => [config(name).mac, config(name).uuid])).size).toBe(4);
  expect(lab.on('host1', `cat ${tree('web4')}/root/done ${tree('web3')}/root/.ssh/authorized_keys`)).toBe(
    `yes\n${KEY}\n`,
  );
});

test('a privileged one has the ids of the host, and neither its network nor its disks', () => {
  const { stdout } = lab.vs(['create', 'root1', '10.60.10.8', 'busybox', '--privileged', '--start']);
  expect(stdout).toMatch(/\n +user ids +PRIVILEGED: those of the host/);
  expect(lab.vs(['exec', 'root1', '--', 'cat', '/proc/1/uid_map']).stdout.trim().split(/ +/)).toEqual([
    '0',
    '0',
    '4294967295',
  ]);
  expect(lab.vs(['exec', 'web2', '--', 'cat', '/proc/1/uid_map']).stdout.trim().split(/ +/)).toEqual([
    '0',
    '100000',
    '65536',
  ]);
  const bounding = BigInt(
    `0x${/CapBnd:\t(\w+)/.exec(lab.vs(['exec', 'root1', '--', 'cat', '/proc/1/status']).stdout)?.[1] ?? 'ffff'}`,
  );
  for (const capability of [12n, 13n, 16n, 17n, 25n]) expect((bounding >> capability) & 1n).toBe(0n); // net_admin net_raw sys_module sys_rawio sys_time
  expect(
    lab.vs(
      ['exec', 'root1', '--', 'sh', '-c', 'mount -t tmpfs t /tmp && mknod /tmp/d b 7 0 && cat /tmp/d'],
      1,
    ).stderr,
  ).toMatch(/ermitted|denied/);
  expect(
    lab.vs(['exec', 'root1', '--', 'sh', '-c', 'echo x > /dev/null && head -c 4 /dev/urandom | wc -c'])
      .stdout,
  ).toBe('4\n');
  lab.vs(['restart', 'root1']);
  expect(lab.running('root1')).toEqual(['host1']);
});
