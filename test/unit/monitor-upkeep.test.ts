import {
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseMonitor } from '../../config/monitor.ts';
import { parseHostMonitor } from '../../config/monitor/host.ts';
import { clockText, openClocks } from '../../services/alerter/clocks.ts';
import { raidFaults, smartDevices, smartFault, thinPools } from '../../services/monitor/checks/hardware.ts';
import { conditionOf } from '../../services/monitor/checks/host-hardware.ts';
import { changedAsGuest, pathsAsGuest, readAsGuest } from '../../services/monitor/checks/inside.ts';
import { ageReading, certificateReading, lookAtUpkeep } from '../../services/monitor/checks/upkeep.ts';

const DAY = 86_400;
let top: string;
let root: string;
const at = (path: string) => join(root, path);
function put(path: string, text: string): void {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text);
}
function link(path: string, target: string): void {
  mkdirSync(dirname(at(path)), { recursive: true });
  symlinkSync(target, at(path));
}
const certificate = (days: number): string => {
  const argv =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=web1 -keyout /dev/null'.split(
      ' ',
    );
  return spawnSync('openssl', [...argv, '-days', String(days)], { encoding: 'utf8' }).stdout;
};
beforeAll(() => {
  top = mkdtempSync(join(tmpdir(), 'vslab-inside-'));
  root = join(top, 'rootfs');
  mkdirSync(root);
  writeFileSync(join(top, 'secret'), 'of the host');
  put('etc/archive/a/cert1.pem', certificate(5));
  put('etc/archive/b/cert3.pem', certificate(90));
  link('etc/live/a/cert.pem', '../../archive/a/cert1.pem');
  link('etc/live/b/cert.pem', '/etc/archive/b/cert3.pem'); // absolute: of the guest
  put('etc/live/README', 'no certificate');
  link('etc/out', '../../secret');
  link('etc/far', '../../../../../../../../../../../../etc/hostname');
  link('etc/abs', join(top, 'secret'));
  link('etc/proc', '/proc/self/root/etc/hostname');
  link('etc/dir', '../..');
  link('etc/loop', 'loop');
  spawnSync('mkfifo', [at('etc/fifo')]);
  put('etc/big', '');
  truncateSync(at('etc/big'), 1e9);
  put('etc/.hidden.pem', certificate(1));
});
afterAll(() => rmSync(top, { recursive: true }));
const read = async (path: string) => (await readAsGuest(root, path, 65_536))?.toString();

describe('files of a guest', () => {
  test('links are followed as the guest would, and none leads out', async () => {
    put('etc/hostname', 'guest');
    expect(await read('/etc/live/a/cert.pem')).toContain('BEGIN CERTIFICATE');
    expect(await read('/etc/live/b/cert.pem')).toContain('BEGIN CERTIFICATE');
    expect(await read('/etc/far')).toBe('guest'); // .. of the root is the root
    expect(await read('/etc/dir/etc/hostname')).toBe('guest');
    expect(await read('/../../etc/hostname')).toBe('guest');
    for (const path of ['/etc/out', '/etc/abs', '/etc/proc', '/etc/loop', '/etc/dir/secret', '/etc/none/x'])
      expect(await read(path), path).toBeUndefined();
  });
  test('no fifo, directory or big file is read, and none hangs', async () => {
    for (const path of ['/etc/fifo', '/etc', '/', '/etc/big', '/etc/hostname/x'])
      expect(await read(path), path).toBeUndefined();
  });
  test('patterns: parts of names, hidden ones only when they are named, not without end', async () => {
    expect(await pathsAsGuest(root, '/etc/live/*/cert.pem', 10)).toEqual([
      '/etc/live/README/cert.pem',
      '/etc/live/a/cert.pem',
      '/etc/live/b/cert.pem',
    ]);
    expect(await pathsAsGuest(root, '/etc/*.pem', 10)).toEqual([]);
    expect(await pathsAsGuest(root, '/etc/h*t*', 10)).toEqual(['/etc/hostname']);
    expect(await pathsAsGuest(root, '/etc/*', 3)).toHaveLength(3);
    expect(await pathsAsGuest(root, '/etc/dir/*', 10)).toEqual(['/etc/dir/etc']); // the guest's root, not what holds it
    expect(await pathsAsGuest(root, '/none/*/x', 10)).toEqual([]);
  });
});

describe('certificates and packages', () => {
  const config = (text: string) => parseMonitor(text, 'm');
  const look = (text: string, more: object = {}) => lookAtUpkeep(config(text), more, root);
  test('the certificate that ends first decides; all that end too soon are named', async () => {
    const text = 'CERTIFICATES_LEFT=14d files="/etc/live/*/cert.pem /etc/none.pem /etc/out"';
    const { certificates } = await look(text);
    expect(certificates?.text).toMatch(/^certificate \/etc\/live\/a\/cert\.pem ends in (4\.\d|5) d$/);
    expect(certificates?.value).toBeGreaterThan(4 * DAY);
    expect(certificates?.about).toBe('/etc/live/a/cert.pem');
    expect((await look('CERTIFICATES_LEFT=14d files=/etc/live/b/*')).certificates?.text).toMatch(
      /b\/cert\.pem ends in/,
    );
    expect((await look('CERTIFICATES_LEFT=14d files=/etc/none/*')).certificates?.value).toBeNull();
    expect(await look('RSS_THRESHOLD=80')).toEqual({});
    const now = 1000 * DAY;
    const many = Array.from({ length: 8 }, (_, index) => ({
      path: `/c${index}`,
      ends: now * 1000 + index * DAY * 1000,
    }));
    expect(certificateReading(many, 20 * DAY, now * 1000).text).toBe(
      'certificate /c0 has ended, /c1 ends in 24 h, /c2 ends in 2 d, /c3 ends in 3 d, /c4 ends in 4 d, and 3 more',
    );
  });
  test('upgrades that wait, by the nightly look; nothing before it', async () => {
    const text = 'UPGRADES_THRESHOLD=10\nSECURITY_UPGRADES_THRESHOLD=1';
    expect(await look(text)).toEqual({});
    expect(await look(text, { upgrades: 12, security_upgrades: 0 })).toEqual({
      upgrades: { value: 12, text: '12 upgrades wait to be installed, threshold 10' },
      'security-upgrades': { value: 0, text: '0 upgrades for security wait to be installed, threshold 1' },
    });
  });
  test('how long no package was changed, by the database of dpkg, apk or rpm', async () => {
    const text = 'PACKAGE_AGE_THRESHOLD=30d';
    expect((await look(text))['package-age']?.value).toBeNull();
    put('lib/apk/db/installed', 'P:busybox');
    const then = Date.now() / 1000 - 40 * DAY;
    utimesSync(at('lib/apk/db/installed'), then, then);
    expect(Math.round(Number(await changedAsGuest(root, '/lib/apk/db/installed')) / 1000)).toBe(
      Math.round(then),
    );
    const age = (await look(text, { upgrades: 3 }))['package-age'];
    expect(Math.round((age?.value ?? 0) / DAY)).toBe(40);
    expect(age?.text).toBe('no package was changed for 40 d, and 3 upgrades wait, threshold 30 d');
    expect(ageReading(0, 0, 1, 1e12).value).toBe(0); // nothing waits
    expect(ageReading(0, undefined, 30 * DAY, 40 * DAY * 1000).text).toBe(
      'no package was changed for 40 d, threshold 30 d',
    );
  });
  test('what the file may say', () => {
    const fault = (text: string) => {
      try {
        return String(config(text).rules.length);
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(config('CERTIFICATES_LEFT=14d files="/a/*.pem /b" hits=2 clear=20d').rules).toMatchObject([
      { check: 'certificates', threshold: 14 * DAY, clear: 20 * DAY, hits: 2, below: true },
    ]);
    expect(config('CERTIFICATES_LEFT=14d files="/a/*.pem /b"').certificates).toEqual(['/a/*.pem', '/b']);
    expect(fault('CERTIFICATES_LEFT=14d')).toContain('m:1:1: found "CERTIFICATES_LEFT", expected files=');
    for (const files of ['a.pem', '/a/../b', '/*/*/****', '""', `/${'x'.repeat(400)}`])
      expect(fault(`CERTIFICATES_LEFT=14d files=${files}`), files).toMatch(/expected absolute paths/);
    expect(fault('CERTIFICATES_LEFT=off')).toBe('0');
    expect(fault('RSS_THRESHOLD=80 files=/a')).toContain('expected one of hits');
    expect(fault('UPGRADES_THRESHOLD=0.5')).toContain('expected a whole number');
    expect(fault('MONITOR_RAID=yes')).toContain('found "MONITOR_RAID"');
    const checks = parseHostMonitor('MONITOR_RAID=no\nPOOL_DATA_THRESHOLD=70', 'h').rules;
    expect(checks.find(({ check }) => check === 'raid')).toBeUndefined();
    expect(checks.find(({ check }) => check === 'pool-data')).toMatchObject({ threshold: 70, hits: 1 });
    expect(() => parseHostMonitor('MONITOR_SOCKETS=yes', 'h')).toThrow(
      /expected one of .*MONITOR_RAID, MONITOR_SMART/,
    );
  });
});

describe('hardware', () => {
  test('/proc/mdstat: missing disks, failed ones, arrays that do not run; rebuilding is told', () => {
    const well = `Personalities : [raid1] [raid6] [raid5] [raid4]
md1 : active raid1 sdb2[1] sda2[0]
      1952382976 blocks super 1.2 [2/2] [UU]
      bitmap: 5/15 pages [20KB], 65536KB chunk

md0 : active raid0 sdb1[1] sda1[0]
      523264 blocks super 1.2 512k chunks

unused devices: <none>
`;
    expect(raidFaults(well)).toEqual([]);
    expect(raidFaults('Personalities : \nunused devices: <none>\n')).toEqual([]);
    expect(raidFaults('')).toEqual([]);
    const bad = `Personalities : [raid1] [raid6] [raid5] [raid4]
md1 : active raid1 sdb2[2](F) sda2[0]
      1952382976 blocks super 1.2 [2/1] [U_]
      bitmap: 5/15 pages [20KB], 65536KB chunk

md5 : active (auto-read-only) raid5 sdd1[4] sdc1[2] sdb1[1]
      5860147200 blocks super 1.2 level 5, 512k chunk, algorithm 2 [3/2] [_UU]
      [==>..................]  recovery = 12.6% (37043392/292945152) finish=127.5min speed=33440K/sec

md127 : inactive sde1[0](S)
      976630464 blocks super 1.2

unused devices: <none>
`;
    const faults = raidFaults(bad);
    expect(faults.map(({ text }) => text)).toEqual([
      'md1 has 1 of 2 disks, failed: sdb2',
      'md5 has 2 of 3 disks, recovery at 12.6 %',
      'md127 is inactive',
    ]);
    expect(conditionOf(faults)).toMatchObject({ value: 1, about: 'md1, md5, md127' });
    expect(conditionOf([]).value).toBe(0);
  });
  test('smartctl --json: devices, verdicts, disks that say nothing', () => {
    const scan = `{"json_format_version":[1,0],"smartctl":{"version":[7,3],"argv":["smartctl","--json","--scan"],"exit_status":0},
"devices":[{"name":"/dev/sda","info_name":"/dev/sda","type":"scsi","protocol":"SCSI"},
{"name":"/dev/nvme0","info_name":"/dev/nvme0","type":"nvme","protocol":"NVMe"},{"name":"-x","type":"ata"}]}`;
    expect(smartDevices(scan)).toMatchObject([
      { name: '/dev/sda', type: 'scsi' },
      { name: '/dev/nvme0', type: 'nvme' },
    ]);
    expect(smartDevices('{}')).toEqual([]);
    const of = (exit: number, more: object) =>
      smartFault(
        JSON.stringify({
          json_format_version: [1, 0],
          smartctl: { version: [7, 3], exit_status: exit },
          ...more,
        }),
      );
    expect(of(0, { smart_status: { passed: true } })).toBeUndefined();
    expect(of(64, { smart_status: { passed: true, nvme: { value: 0 } } })).toBeUndefined(); // old errors in its log
    expect(of(8, { smart_status: { passed: false } })).toBe('says that it fails');
    expect(of(16, { smart_status: { passed: true } })).toBe('has an attribute below its threshold');
    expect(of(2, { power_mode: 'STANDBY' })).toBeNull();
    expect(of(4, {})).toBeNull();
  });
  test('lvs --reportformat json: thin pools', () => {
    const json = `
  {
      "report": [
          {
              "lv": [
                  {"vg_name":"vg0", "lv_name":"thin", "data_percent":"81.25", "metadata_percent":"12.50"},
                  {"vg_name":"vg1", "lv_name":"pool", "data_percent":"", "metadata_percent":""}
              ]
          }
      ]
  }
`;
    expect(thinPools(json)).toEqual([
      { name: 'vg0/thin', data: 81.25, metadata: 12.5 },
      { name: 'vg1/pool', data: undefined, metadata: undefined },
    ]);
  });
});

describe('clocks', () => {
  test('wrong from the third message on; a late message is no wrong clock; right again at half', () => {
    const clocks = openClocks(5000);
    const hear = (...ahead: number[]) =>
      ahead.map((ms) => clocks.hear('host1', 100_000 + ms, 100_000)?.aheadMs ?? null);
    expect(hear(-20_000, -9000, -10)).toEqual([null, null, null]); // late ones
    expect(clocks.hear('host2', 0, 0)).toBeUndefined();
    const other = openClocks(5000);
    const also = (...ahead: number[]) => ahead.map((ms) => other.hear('host1', 1e6 + ms, 1e6));
    expect(also(8000, 7000, 8100)).toEqual([undefined, undefined, { host: 'host1', aheadMs: 8100 }]);
    expect(also(4000, 4000, 4000, 4000, 4000)).toEqual(Array(5).fill(undefined)); // between the two
    expect(also(100, 100, 100, 100, 100).at(-1)).toEqual({ host: 'host1', aheadMs: undefined });
    expect(also(-60_000, -60_000, -60_000, -60_000, -60_000).at(-1)).toEqual({
      host: 'host1',
      aheadMs: -60_000,
    });
    expect(other.keep(new Set(['host9']))).toEqual(['host1']);
    expect(other.keep(new Set(['host9']))).toEqual([]);
    expect(clockText('host1', -60_000)).toBe("the clock of host1 is 60 s behind the master's");
    expect(clockText('host1', 7_200_000)).toBe("the clock of host1 is 120 min ahead of the master's");
  });
});
