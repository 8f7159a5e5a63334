import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { realLab } from './lab-kit.ts';

// A Debian vserver, and a repository of packages made here, which the gateway of its network serves.
const lab = realLab('pk');
const work = mkdtempSync(join(tmpdir(), 'vslab-pk-'));
const repository = join(work, 'repository');
let server: ChildProcess | undefined;

/** One package with one file, built by dpkg-deb; its paragraph for the list. */
function build(name: string, version: string): string {
  const tree = join(work, `${name}-${version}`);
  mkdirSync(join(tree, 'DEBIAN'), { recursive: true });
  mkdirSync(join(tree, 'usr/share/hello'), { recursive: true });
  const control = `Package: ${name}\nVersion: ${version}\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: says ${name}\n`;
  writeFileSync(join(tree, 'DEBIAN/control'), control);
  writeFileSync(join(tree, `usr/share/hello/${name}`), `${version}\n`);
  const file = join(repository, `${name}_${version}_all.deb`);
  const { status, stderr } = spawnSync('dpkg-deb', ['--root-owner-group', '--build', tree, file], {
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  const hash = createHash('sha256').update(readFileSync(file)).digest('hex');
  return `${control}Filename: ./${name}_${version}_all.deb\nSize: ${statSync(file).size}\nSHA256: ${hash}\n`;
}
const publish = (...paragraphs: string[]) =>
  writeFileSync(join(repository, 'Packages'), `${paragraphs.join('\n')}\n`);
const inside = (...command: string[]) => lab.vs(['exec', 'web1', '--', ...command]).stdout.trim();
const reaches = () =>
  inside(
    'sh',
    '-c',
    'timeout 3 bash -c "exec 3<>/dev/tcp/10.60.10.1/8080" 2>/dev/null && echo yes || echo no',
  );
const state = () =>
  (JSON.parse(lab.vs(['show', 'web1', '--json']).stdout) as { state: Record<string, unknown> }).state;

beforeAll(async () => {
  mkdirSync(repository, { recursive: true });
  publish(build('vs-hello', '1.0'), build('vs-other', '1.0'));
  lab.up('--hosts', '1');
  const serve = [
    'lab',
    'exec',
    '--name',
    lab.name,
    'router',
    '--',
    'busybox',
    'httpd',
    '-f',
    '-p',
    '10.60.10.1:8080',
    '-h',
    repository,
  ];
  server = spawn(lab.cli, serve, { env: lab.environment, stdio: 'ignore' });
  lab.on('host1', 'echo PACKAGE_MIRRORS=10.60.10.1:8080 >> /etc/vs-tools/vs-tools.conf');
  const built = spawnSync(lab.cli, ['template', 'build', 'bookworm'], {
    env: lab.environment,
    encoding: 'utf8',
    timeout: 900_000,
  });
  if (built.status !== 0) throw new Error(`the template was not built: ${built.stderr}`);
  lab.vs(['create', 'web1', '10.60.10.5', 'bookworm', '--host', 'host1']);
  lab.on('host1', 'printf "enable\\nallow from 0/0 tcp/80\\n" > /var/lib/vservers/web1/firewall.conf');
  process.kill(lab.pidOf('host1', 'agent'), 'SIGKILL'); // it reads its settings anew
  for (const end = Date.now() + 120_000; ; await sleep(300)) {
    const { code, stderr } = lab.vs(['start', 'web1'], null);
    if (code === 0) break;
    if (Date.now() > end) throw new Error(`web1 does not start: ${stderr}`);
  }
  const source = 'deb [trusted=yes] http://10.60.10.1:8080 ./\n';
  lab.on(
    'host1',
    `cd /var/lib/vservers/web1/rootfs/etc/apt; rm -rf sources.list.d; printf '${source}' > sources.list`,
  );
}, 1_200_000);
afterAll(() => {
  server?.kill();
  lab.down();
  rmSync(work, { recursive: true, force: true });
});

test('the firewall is open to the mirrors while it works, and for nobody before and after', () => {
  expect(reaches()).toBe('no');
  lab.vs(['pkg', 'web1', 'update']);
  expect(reaches()).toBe('no');
  const { stdout, stderr } = lab.vs(['pkg', 'web1', 'install', 'vs-hello']);
  expect(stdout).toBe('web1: install done, 1 packages\n');
  expect(stderr).toContain('Setting up vs-hello');
  expect(inside('cat', '/usr/share/hello/vs-hello')).toBe('1.0');
  expect(inside('sh', '-c', 'ls /var/cache/apt/archives/*.deb 2>/dev/null; true')).toBe('');
  expect(reaches()).toBe('no');
});

test('what is installed is what dpkg says; search and show find the rest', () => {
  const [{ data }] = JSON.parse(lab.vs(['pkg', 'web1', 'list', '--json']).stdout) as [
    { data: { packages: { package: string; version: string }[] } },
  ];
  const said = inside('dpkg-query', '-W', '-f', '${db:Status-Status} ${binary:Package} ${Version}\\n')
    .split('\n')
    .filter((line) => line.startsWith('installed '))
    .map((line) => line.slice('installed '.length));
  expect(data.packages.map((one) => `${one.package} ${one.version}`).sort()).toEqual(said.sort());
  expect(lab.vs(['pkg', 'web1', 'search', 'vs-other']).stdout).toMatch(/vs-other +- +says vs-other/);
  expect(lab.vs(['pkg', 'web1', 'show', 'vs-other']).stdout).toContain('Description: says vs-other');
});

test('upgrades are counted into the state, and done', () => {
  publish(build('vs-hello', '1.1'), build('vs-other', '1.0'));
  expect(JSON.parse(lab.vs(['call', 'host1', 'packages.check']).stdout)).toMatchObject({
    vservers: [{ name: 'web1', upgrades: 1, security: 0 }],
  });
  expect(state()).toMatchObject({ upgrades: 1, security_upgrades: 0 });
  expect(lab.vs(['pkg', 'web1', 'upgrades']).stdout).toMatch(/vs-hello +1\.0 +1\.1/);
  lab.vs(['pkg', '--all', 'upgrade']);
  expect(inside('cat', '/usr/share/hello/vs-hello')).toBe('1.1');
  expect(state()).toMatchObject({ upgrades: 0 });
  lab.vs(['pkg', 'web1', 'remove', 'vs-hello']);
  expect(inside('sh', '-c', 'ls /usr/share/hello 2>/dev/null; true')).toBe('');
});

test('another package manager is waited for, and named', async () => {
  // struct flock of fcntl(2): type, whence, start, length, pid; 6 is F_SETLK
  const lock = `open my $f, "+<", "/var/lib/dpkg/lock-frontend" or die; my $lock = pack("s s x4 q q i x4", 1, 0, 0, 0, 0); fcntl($f, 6, $lock) or die; $| = 1; print "held"; sleep 600`;
  const holder = spawn(lab.cli, ['exec', 'web1', '--', 'perl', '-e', lock], {
    env: lab.environment,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  onTestFinished(() => void holder.kill());
  await new Promise((resolve) => holder.stdout.once('data', resolve));
  const refused = lab.vs(['pkg', 'web1', 'install', 'vs-other', '--wait', '0'], 1).stderr;
  expect(refused).toMatch(/\(perl\) in web1 holds the lock of apt/);
  const installing = spawn(lab.cli, ['pkg', 'web1', 'install', 'vs-other'], {
    env: lab.environment,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  installing.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    if (said.includes('waits: ')) holder.kill(); // which ends perl in web1
  });
  const [code] = (await once(installing, 'close')) as [number | null];
  expect(said).toMatch(/waits: \d+ \(perl\) holds the lock of apt/);
  expect(code, said).toBe(0);
  expect(inside('cat', '/usr/share/hello/vs-other')).toBe('1.0');
});

test('a failure is one sentence and exit code 1; of several the rest is done', () => {
  lab.vs(['create', 'plain', '10.60.10.6', 'busybox', '--host', 'host1', '--start']);
  const { stdout, stderr } = lab.vs(['pkg', 'web1', 'plain', 'update'], 1);
  expect(stderr).toContain('plain has no package manager that vs knows');
  expect(stdout).toMatch(/plain +host1 +FAILED[\s\S]*web1 +host1 +done[\s\S]*failed in 1 of 2/);
  expect(lab.vs(['pkg', 'web1', 'install', 'no-such-package'], 1).stderr).toMatch(/Unable to locate package/);
  lab.vs(['pkg', 'web1', 'install', '--', '-o=x'], 2);
  lab.vs(['pkg', 'web1', 'install'], 2);
});

test('the firewall closes by itself when the agent dies in the middle', async () => {
  lab.on(
    'host1',
    `nsenter -t $(lxc-info -P /var/lib/vservers -n web1 -p -H) -n nft add element inet vs mirrors4 '{ 10.60.10.1 . 8080 timeout 30s }'`,
  );
  expect(reaches()).toBe('yes'); // as an agent that is gone would have left it
  await expect.poll(reaches, { timeout: 90_000, interval: 1000 }).toBe('no');
});
