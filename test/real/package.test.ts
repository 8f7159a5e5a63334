import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashOf } from '../../deploy/package/build.ts';
import { placed } from '../../deploy/package/files.ts';

const root = new URL('../..', import.meta.url).pathname;
const scratch = mkdtempSync('/var/tmp/vslab-package-');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const architecture = process.arch === 'x64' ? 'amd64' : 'arm64';
const deb = (build: string) => join(scratch, build, `vs-tools_${version}_${architecture}.deb`);
const tarball = (build: string) => join(scratch, build, `vs-tools-${version}-${architecture}.tar.gz`);

/** As `npm run package`, by a shell with settings of its own. */
const build = (name: string, shell: string): void =>
  void execFileSync(
    'sh',
    [
      '-c',
      `${shell}; exec "$@"`,
      'sh',
      process.execPath,
      join(root, 'deploy/package/build.ts'),
      '--fast',
      join(scratch, name),
    ],
    { encoding: 'utf8', timeout: 240_000 },
  );

/** Runs a script as root of a machine that is this one, and forgets what the script did to it. */
function onCopy(script: string): string {
  const inside = `set -eu
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/all"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" none "$1/all"
mount -t proc proc "$1/all/proc"
mount -t tmpfs none "$1/all/run"
mount -t tmpfs none "$1/all/etc/vs-tools" 2>/dev/null || true # of a pool that this machine has
umount "$1/all/etc/vs-tools" 2>/dev/null || true
for device in null zero urandom ptmx tty; do [ -c "$1/all/dev/$device" ] || { : >"$1/all/dev/$device"; mount --bind "/dev/$device" "$1/all/dev/$device"; }; done
mkdir -p "$1/all/dev/pts" "$1/all/packages"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/all/dev/pts"
mount --bind "$1/all/dev/pts/ptmx" "$1/all/dev/ptmx"
mount --bind "$2" "$1/all/packages"
exec chroot "$1/all" /bin/bash -euc "$3"`;
  const over = mkdtempSync(join(scratch, 'copy-'));
  const argv = [
    '--mount',
    '--net',
    '--ipc',
    '--uts',
    '--pid',
    '--fork',
    'bash',
    '-c',
    inside,
    'bash',
    over,
    join(scratch, 'a'),
    script,
  ];
  const environment = {
    PATH: process.env['PATH'],
    LC_ALL: 'C',
    HOME: '/root',
    TERM: 'dumb',
    DEBIAN_FRONTEND: 'noninteractive',
  };
  const done = spawnSync('unshare', argv, { encoding: 'utf8', timeout: 240_000, env: environment });
  expect(done.status, `${done.stdout}\n${done.stderr}`).toBe(0);
  return done.stdout;
}

describe('the Debian package', () => {
  beforeAll(() => build('a', 'umask 022'));
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  test('two builds are equal, whoever makes them', async () => {
    build('b', 'umask 077; export TZ=Asia/Tokyo LC_ALL=C.UTF-8 LANG=de_DE.UTF-8');
    expect(await hashOf(deb('b'))).toBe(await hashOf(deb('a')));
    expect(await hashOf(tarball('b'))).toBe(await hashOf(tarball('a')));
  });

  test('it holds what it should, as root owns it', () => {
    const info = execFileSync('dpkg-deb', ['--field', deb('a')], { encoding: 'utf8' });
    expect(info).toContain(`Version: ${version}\nArchitecture: ${architecture}\n`);
    const lines = execFileSync('dpkg-deb', ['--contents', deb('a')], { encoding: 'utf8', maxBuffer: 64e6 })
      .split('\n')
      .filter(Boolean);
    expect(lines.filter((line) => !/^[-dl][rwx-]{9} root\/root /.test(line))).toEqual([]);
    expect(lines.filter((line) => /^[-d]....w|^[-d].{7}w|^-..[sS]/.test(line))).toEqual([]);
    const files = lines.map((line) => line.replace(/^(?:\S+\s+){5}\.\//, '').replace(/ -> .*/, ''));
    for (const path of Object.keys(placed)) expect(files).toContain(path);
    expect(files).toContain('usr/lib/vs-tools/cli/main.ts');
    expect(files).toContain('usr/share/man/man8/vs-move.8.gz');
    // what only development needs
    expect(
      files.filter((path) =>
        /node_modules\/(typescript|vitest|oxlint)\/|\/usr\/lib\/vs-tools\/test\/|\.git/.test(path),
      ),
    ).toEqual([]);
  });

  test('lintian finds no error', { timeout: 900_000 }, ({ skip }) => {
    if (spawnSync('lintian', ['--version']).error) skip('lintian is not installed');
    // all but Node, at whose 110 MB it looks for minutes
    const tree = join(scratch, 'light');
    execFileSync('dpkg-deb', ['--raw-extract', deb('a'), tree]);
    const sums = join(tree, 'DEBIAN/md5sums');
    const node = /^usr\/lib\/vs-tools\/node_modules\/node-linux-[^/]+\/bin\/node$/;
    const left = readFileSync(sums, 'utf8')
      .split('\n')
      .filter((line) => !node.test(line.slice(34)));
    writeFileSync(sums, left.join('\n'));
    rmSync(join(tree, 'usr/lib/vs-tools/node_modules', `node-linux-${process.arch}`, 'bin'), {
      recursive: true,
    });
    const light = join(scratch, 'light.deb');
    execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '-z0', '--build', tree, light]);
    const said = spawnSync('lintian', ['--fail-on', 'error', '--allow-root', light], {
      encoding: 'utf8',
      timeout: 880_000,
    });
    expect(said.status, said.stdout + said.stderr).toBe(0);
  });

  test('installed, upgraded with settings kept, purged with the vservers left', () => {
    const said = onCopy(`
package=/packages/${deb('a').split('/').at(-1)}
rm -rf /etc/vs-tools /var/lib/vs-tools /var/lib/vservers
dpkg -i $package
echo "== version $(vs --version)"
vs --help | grep '^  move ' | sed 's/^/== help /'
vs-scan --help | sed -n '1s/^/== classic /p'
stat -c '== mode %a %n' /var/lib/vservers /var/lib/vs-tools
grep -c '^root:100000:65536$' /etc/subuid | sed 's/^/== ids /'
[ ! -e /etc/systemd/system/multi-user.target.wants/vs-agent.service ] && echo '== not enabled'
printf 'source /usr/share/bash-completion/completions/vs\\nvs versi\\t\\nvs fw te\\t--help\\nexit\\n' |
  script -qc 'bash --norc --noprofile -i' /dev/null | sed 's/^/== typed /'
echo 'host1:noselect' >>/etc/vs-tools/slaves.conf
mkdir /var/lib/vservers/web1 && echo '{}' >/var/lib/vservers/web1/vserver.json && echo secret >/etc/vs-tools/operator.password
dpkg -i $package </dev/null
tail -n 1 /etc/vs-tools/slaves.conf | sed 's/^/== kept /'
dpkg --purge vs-tools | sed 's/^/== purge /'
ls /var/lib/vservers/web1/vserver.json /etc/vs-tools/operator.password | sed 's/^/== left /'
ls -d /usr/lib/vs-tools /usr/sbin/vs /etc/vs-tools/slaves.conf /var/cache/vs-tools 2>/dev/null | sed 's/^/== too much /' || true`);
    expect(said).toContain(`== version vs-tools ${version}\n`);
    expect(said).toContain('== help   move ');
    expect(said).toContain('== classic vs-scan: ');
    expect(said).toContain('== mode 700 /var/lib/vservers\n== mode 700 /var/lib/vs-tools\n');
    expect(said).toContain('== ids 1\n');
    expect(said).toContain('== not enabled\n');
    expect(said).toMatch(new RegExp(`^== typed vs-tools ${version.replaceAll('.', '\\.')}`, 'm')); // bash made version of it
    expect(said).toContain('== typed Usage: vs fw test');
    expect(said).toContain('== kept host1:noselect\n');
    expect(said).toMatch(/^== purge \/var\/lib\/vservers stays \(the vservers\)/m);
    expect(said).toContain('== left /var/lib/vservers/web1/vserver.json\n');
    expect(said).toContain('== left /etc/vs-tools/operator.password\n');
    expect(said).not.toContain('== too much');
  });

  test('install.sh of the tarball does the same, and takes it away again', () => {
    const target = join(scratch, 'root');
    mkdirSync(join(target, 'etc/vs-tools'), { recursive: true });
    writeFileSync(join(target, 'etc/vs-tools/slaves.conf'), 'host1\n');
    execFileSync('tar', ['-C', scratch, '-xzf', tarball('a')]);
    const install = join(scratch, `vs-tools-${version}/install.sh`);
    const sh = (file: string, ...args: string[]) => execFileSync('sh', [file, ...args], { encoding: 'utf8' });
    for (const _time of [1, 2]) expect(sh(install, '--root', target)).toContain('vs-tools is installed');
    expect(execFileSync(join(target, 'usr/sbin/vs'), ['--version'], { encoding: 'utf8' })).toBe(
      `vs-tools ${version}\n`,
    );
    expect(readFileSync(join(target, 'etc/vs-tools/slaves.conf'), 'utf8')).toBe('host1\n');
    expect(existsSync(join(target, 'etc/vs-tools/slaves.conf.new'))).toBe(true);
    expect(readFileSync(join(target, 'etc/subuid'), 'utf8')).toBe('root:100000:65536\n');
    expect(lstatSync(join(target, 'var/lib/vservers')).mode & 0o777).toBe(0o700);
    expect(sh(join(target, 'usr/lib/vs-tools/install.sh'), '--root', target, '--remove')).toContain(
      'is removed',
    );
    for (const gone of ['usr/lib/vs-tools', 'usr/sbin/vs', 'lib/systemd/system/vs-agent.service'])
      expect(existsSync(join(target, gone)), gone).toBe(false);
    expect(existsSync(join(target, 'var/lib/vservers'))).toBe(true);
  });
});
