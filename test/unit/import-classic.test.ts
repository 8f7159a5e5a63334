import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { planImport } from '../../cli/classic-tree/plan.ts';
import { convertCreate, convertSlaves } from '../../cli/classic-tree/settings.ts';
import { bitsOf } from '../../cli/classic-tree/vserver.ts';

let directory = '';
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'vs-classic-'))));
afterEach(() => rmSync(directory, { recursive: true }));
const put = (path: string, text: string) => {
  mkdirSync(dirname(join(directory, path)), { recursive: true });
  writeFileSync(join(directory, path), text);
};
const target = () => join(directory, 'new');
const run = (...args: string[]) =>
  spawnSync(new URL('../../vs', import.meta.url).pathname, ['import-classic', directory, ...args], {
    encoding: 'utf8',
    env: { ...process.env, VS_CONFIG_DIR: target(), VS_STATE_DIR: join(directory, 'state') },
  });

test('create.conf: sizes get their unit, and what is left out is told with the reason', () => {
  const { text, notes } = convertCreate(
    '## Limits\nDEFAULT_DISK_LIMIT=1024\nDEFAULT_RSS_LIMIT="128"\nDEFAULT_CPU_LIMIT=8/10 # ratio\n#FAKE_OS=2.6.8\nDEFAULT_DEVICE=eth0\nODD=1\n',
  );
  expect(text).toBe('DISK=1024M\nMEMORY=128M\nCPU=8/10\n');
  expect(notes).toEqual([
    'DEFAULT_DEVICE=eth0 is left out: the device is uplink= in networks.conf',
    'ODD=1 is left out: nobody knows this key',
  ]);
});

test('slaves.conf: a limit without a unit was in kB', () => {
  expect(convertSlaves('h1\nh4:bwlimit=50\nh5:compress,bwlimit=50m\nh6:bwlimit=7k,noselect\n').text).toBe(
    'h1\nh4:bwlimit=50k\nh5:compress,bwlimit=50m\nh6:bwlimit=7k,noselect\n',
  );
});

test('netmasks', () => {
  expect(['255.255.255.0', '255.255.240.0', '255.255.255.255', '128.0.0.0'].map(bitsOf)).toEqual([
    24, 20, 32, 1,
  ]);
  expect(['255.0.255.0', '0.0.0.0', 'x', ''].map(bitsOf)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

describe('a classic master', () => {
  beforeEach(() => {
    put('etc/vs-tools/networks.conf', '## old\n10:10.60.10.0/24:10.60.10.1:10.60.10.2:example.org\n');
    put('etc/vs-tools/slaves.conf', 'host1\nhost2:noselect,bwlimit=50\n');
    put('etc/vs-tools/backup.conf', 'web1:hot\n');
    put('etc/vs-tools/firewall.conf', '#enable\n#allow to 0/0 to tcp/21\t\t# FTP\n');
    put(
      'etc/vs-tools/monitor.conf',
      '#MONITOR_MAILTO=root\nMONITOR_POOLING=60\nLOADAVG_15_THRESHOLD=2\nMONITOR_SOCKETS=yes\n',
    );
    put('etc/vservers/web1/interfaces/0/ip', '10.60.10.5\n');
    put('etc/vservers/web1/interfaces/0/prefix', '24\n');
    put('etc/vservers/web1/interfaces/1/ip', '10.60.10.6\n');
    put('etc/vservers/web1/interfaces/1/mask', '255.255.255.0\n');
    put('etc/vservers/web1/uts/nodename', 'web1.example.org\n');
    put('etc/vservers/web1/apps/init/mark', 'default\n');
    put('etc/vservers/web1/rlimits/rss', '32768\n'); // pages
    put('etc/vservers/web1/rlimits/nproc', '150\n');
    put('etc/vservers/web1/dlimits/dlimit/space_total', '1048576\n'); // kB
    put('etc/vservers/web1/fstab', 'none /proc proc defaults 0 0\nnone /tmp tmpfs size=16m,mode=1777 0 0\n');
    put('etc/vservers/web1/sched/fill-rate', '8\n');
    put('etc/vservers/web1/sched/interval', '10\n');
    put(
      'etc/vservers/web1/firewall.conf',
      'enable\nallow from 0/0 to tcp/22\t# ssh\nallow to 0/0 to udp/53\n',
    );
  });

  test('a dry run shows what becomes what, and writes nothing', () => {
    const { status, stdout, stderr } = run('--dry-run');
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toContain(`${directory}/etc/vs-tools/networks.conf -> ${target()}/networks.conf\n`);
    expect(stdout).toContain(
      'web1 10.60.10.5/24, 10.60.10.6/24, starts at boot, --memory 128M --disk 1024M --tmp 16M --procs 150 --cpu 8/10\n',
    );
    expect(stdout).toContain(
      'vs create web1 10.60.10.5/24 /root/web1.tar --also 10.60.10.6/24 --domain example.org --memory 128M --disk 1024M --tmp 16M --procs 150 --cpu 8/10 --enable\n',
    );
    expect(stdout).toContain(`VISUAL='cp ${target()}/classic/web1/firewall.conf' vs fw edit web1\n`);
    expect(() => readdirSync(target())).toThrow('ENOENT');
  });

  test('it writes what there is not, and leaves what says something', () => {
    mkdirSync(target());
    writeFileSync(`${target()}/backup.conf`, '*:hot\n');
    writeFileSync(`${target()}/slaves.conf`, '# a sample\n');
    expect(run('--yes').status).toBe(0);
    expect(readFileSync(`${target()}/slaves.conf`, 'utf8')).toBe('host1\nhost2:noselect,bwlimit=50k\n');
    expect(readFileSync(`${target()}/backup.conf`, 'utf8')).toBe('*:hot\n');
    expect(readFileSync(`${target()}/classic/web1/firewall.conf`, 'utf8')).toContain(
      'allow from 0/0 to tcp/22',
    );
    expect(readdirSync(target()).toSorted()).toEqual([
      'backup.conf',
      'classic',
      'monitor.conf',
      'networks.conf',
      'slaves.conf',
    ]);
    const again = run('--yes'); // the same once more
    expect(again.stdout).toContain('says something already, and stays');
    expect(again.status).toBe(0);
  });

  test('one fault, and nothing is written', () => {
    put('etc/vs-tools/networks.conf', '10:10.60.10.0/24:10.60.99.1\n');
    put('etc/vservers/web2/uts/nodename', 'web2\n');
    put('etc/vservers/Web_3/interfaces/0/ip', '10.60.10.7\n');
    put('etc/vservers/web4/interfaces/0/ip', '$(reboot)\n');
    const { status, stderr } = run('--yes');
    expect(status).not.toBe(0);
    expect(stderr).toContain(`${directory}/etc/vs-tools/networks.conf:1:`);
    expect(stderr).toContain(`${directory}/etc/vservers/web2: interfaces/ has no address`);
    expect(stderr).toContain('Web_3 cannot be the name of a vserver');
    expect(stderr).toContain('interfaces/0/ip is "$(reboot)"; expected an IPv4 address');
    expect(() => readdirSync(target())).toThrow('ENOENT');
  });
});

test('a directory without either tree is named', async () => {
  await expect(planImport(directory, target())).rejects.toThrow('neither etc/vs-tools nor etc/vservers');
});
