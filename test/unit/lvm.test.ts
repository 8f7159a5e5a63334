import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import { keepsSnapshots } from '../../shared/contract/snapshot.ts';
import { type DriverSettings, driverOf } from '../../services/snapshot/drivers.ts';
import { isSnapshotPlace, links, otherMounts, volumeOf } from '../../services/snapshot/lvm-places.ts';
import {
  faultsOf,
  firstSize,
  inExtents,
  nextSize,
  parseVolumes,
} from '../../services/snapshot/lvm-report.ts';
import { lostText } from '../../services/snapshot/lvm-thick.ts';
import { whySmaller } from '../../services/snapshot/volume-quota.ts';
import { beginSize } from '../../services/snapshot/lvm-thin.ts';

const MiB = 1024 ** 2;
const work = mkdtempSync(join(tmpdir(), 'vs-lvm-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

/** A line of a report, as lvs of LVM 2.03.31 writes it. */
const line = (more: Record<string, string>) => ({
  vg_name: 'vg',
  lv_name: 'one',
  lv_size: '104857600',
  lv_attr: 'Vwi-aotz--',
  data_percent: '',
  metadata_percent: '',
  origin: '',
  pool_lv: '',
  lv_tags: '',
  vg_free: '1073741824',
  vg_extent_size: '4194304',
  ...more,
});
const reportOf = (...lines: Record<string, string>[]) =>
  JSON.stringify({ report: [{ lv: lines.map(line) }], log: [] });
const one = (more: Record<string, string>) => {
  const [found] = parseVolumes(reportOf(more));
  if (!found) throw new Error('no volume');
  return found;
};

describe('the report of lvs', () => {
  test('thin pool, thin volume, snapshot, and what else there is', () => {
    const found = parseVolumes(
      reportOf(
        { lv_name: 'pool', lv_attr: 'twi-aotz--', data_percent: '91.50', metadata_percent: '11.02' },
        { lv_name: 'vs-0123456789ab', pool_lv: 'pool', lv_tags: 'vs-tools-1,other', data_percent: '3.1' },
        { lv_name: 'snap', lv_attr: 'swi-a-s---', origin: 'vservers', data_percent: '0.00' },
        { lv_name: 'root', lv_attr: '-wi-ao----' },
      ),
    );
    expect(found.map(({ kind, percent }) => [kind, percent])).toEqual([
      ['pool', 91.5],
      ['thin', 3.1],
      ['snapshot', 0],
      ['other', undefined],
    ]);
    expect(found[1]).toMatchObject({ tags: ['vs-tools-1', 'other'], pool: 'pool', size: 100 * MiB });
    expect(found[0]?.metadata).toBe(11.02);
  });

  test.each([
    ['swi-a-s---', false],
    ['owi-aos---', false],
    ['swi-I-s---', true],
    ['Swi-I-s---', true],
    ['swi-S-s---', true],
    ['Vwi-aotz--', false],
  ])('%s: lost is %s', (lv_attr, lost) => expect(one({ lv_attr }).lost).toBe(lost));

  test.each(['', 'no volume group', '{"report":[{"lv":[{"lv_name":"x"}]}]}', '[]'])(
    'what is no report is refused with a sentence: %s',
    (text) => expect(() => parseVolumes(text)).toThrow(/lvs answered/),
  );
  test('a group without volumes', () => expect(parseVolumes('{"report":[{"lv":[]}],"log":[]}')).toEqual([]));
});

describe('a thick snapshot', () => {
  const extent = 4 * MiB;
  test('begins as a share of its volume, in whole extents, and with what there is if that is less', () => {
    const of = { size: 1000 * MiB, extent };
    expect(firstSize({ ...of, free: 500 * MiB }, 10)).toBe(100 * MiB);
    expect(firstSize({ ...of, free: 500 * MiB }, 10.1)).toBe(104 * MiB);
    expect(firstSize({ ...of, free: 43 * MiB }, 10)).toBe(40 * MiB);
    expect(firstSize({ ...of, free: 3 * MiB }, 10)).toBeUndefined();
  });
  test('is doubled at half, as far as the group has it, and not when it is lost', () => {
    const of = { size: 100 * MiB, extent, lost: false };
    expect(nextSize({ ...of, percent: 49.9, free: 500 * MiB })).toBeUndefined();
    expect(nextSize({ ...of, percent: 50, free: 500 * MiB })).toBe(200 * MiB);
    expect(nextSize({ ...of, percent: 80, free: 21 * MiB })).toBe(120 * MiB);
    expect(nextSize({ ...of, percent: 80, free: 3 * MiB })).toBeUndefined();
    expect(nextSize({ ...of, percent: 100, free: 500 * MiB, lost: true })).toBeUndefined();
  });
  test('that overflowed says where, and what to do', () =>
    expect(lostText(one({ lv_attr: 'swi-I-s---', origin: 'vservers' }))).toMatch(
      /overflowed: more changed on vg\/vservers .* 100 MiB .*vgextend/,
    ));
  test('whole extents, upwards', () => expect(inExtents(101 * MiB, extent)).toBe(104 * MiB));
});

test('a file system that cannot become as small says how small it can', () => {
  const said =
    'resize2fs ended with exit code 1: resize2fs 1.47.2 (1-Jan-2025); resize2fs: New size smaller than minimum (65830)';
  expect(whySmaller(new Error(said))).toBe('its files and its tables need 258 MiB');
  expect(whySmaller(new Error('e2fsck was killed'))).toBe('e2fsck was killed');
});

test('a thin volume begins with room for what comes, and some more', () => {
  expect(beginSize(0)).toBe(256 * MiB);
  expect(beginSize(1000 * MiB)).toBe(2000 * MiB);
});

test('a full pool, its full metadata, and a volume that nobody has are told', () => {
  const pool = one({
    lv_name: 'pool',
    lv_attr: 'twi-aotz--',
    data_percent: '93.4',
    metadata_percent: '90.0',
  });
  const tag = 'vs-tools-1';
  const [used, left, other] = [
    one({ lv_name: 'vs-a', lv_tags: tag }),
    one({ lv_name: 'vs-b', lv_tags: tag }),
    one({ lv_name: 'vs-c', lv_tags: 'vs-tools-2' }),
  ];
  const faults = faultsOf([pool, used, left, other], tag, new Set(['vs-a']), 'pool');
  expect(faults).toEqual([
    expect.stringMatching(/^the data of the thin pool vg\/pool is 93 % full.*lvextend -L/),
    expect.stringMatching(/^the metadata .* 90 % full.*poolmetadatasize/),
    expect.stringMatching(/^the volume vg\/vs-b belongs to no tree.*lvremove vg\/vs-b$/),
  ]);
  expect(faultsOf([{ ...pool, percent: 89, metadata: 1 }, used], tag, new Set(['vs-a']), 'pool')).toEqual([]);
});

describe('trees that are links to volumes', () => {
  const name = (digit: string) => `vs-${digit.repeat(12)}`;
  const put = (path: string, volume: string) => {
    mkdirSync(join(work, path, '..'), { recursive: true });
    symlinkSync(join(work, '.volumes', volume, 'tree'), join(work, path));
  };
  test('are found in every place of a host, and not inside of a root file system', async () => {
    put('web1', name('1'));
    put('.staging/web2.saga/tree', name('2'));
    put('.trash/web3.saga', name('3'));
    put('.snapshots/web1/saga.backup', name('4'));
    put('.kept/uuid/daily/tree', name('5'));
    put('.kept/uuid/.weekly.new/tree', name('6'));
    put('old/rootfs/evil', name('7'));
    put('old/evil', name('8'));
    symlinkSync('/etc', join(work, 'elsewhere'));
    expect((await links(work)).map(({ volume }) => volume).toSorted()).toEqual(
      ['1', '2', '3', '4', '5', '6'].map(name),
    );
    expect(await volumeOf(join(work, 'web1'))).toBe(name('1'));
    expect(await volumeOf(join(work, 'elsewhere'))).toBeUndefined();
    expect(await volumeOf(join(work, 'nothing'))).toBeUndefined();
  });
  test('snapshots are read-only, trees are not', () => {
    const places = ['web1', '.staging/web1.saga/tree', '.snapshots/web1/s.l', '.kept/uuid/daily/tree'];
    expect(places.map((path) => isSnapshotPlace(work, join(work, path)))).toEqual([false, false, true, true]);
  });
  test('what else sees a volume is found by its device', () => {
    const place = '/var/lib/vservers/.volumes/vs-111111111111';
    const text = [
      `30 1 254:1 / ${place} rw shared:1 - ext4 /dev/mapper/vg-x rw`,
      '31 1 254:1 /tree/rootfs /run/vs/web1 rw - ext4 /dev/mapper/vg-x rw',
      '32 1 254:2 / /var/lib/vservers/.volumes/vs-222222222222 rw - ext4 /dev/mapper/vg-y rw',
      '33 1 254:1 /tree/rootfs /mnt/a\\040b rw - ext4 /dev/mapper/vg-x rw',
      '',
    ].join('\n');
    expect(otherMounts(text, place)).toEqual(['/run/vs/web1', '/mnt/a b']);
    expect(otherMounts(text, '/var/lib/vservers/.volumes/vs-333333333333')).toEqual([]);
  });
});

describe('the driver of a host', () => {
  const directory = join(work, 'vservers');
  const of = (more: Partial<DriverSettings> = {}) => {
    const { HOST, STORAGE, LVM_POOL, LVM_SNAPSHOT_PERCENT } = loadSettings({ file: '/nonexistent', env: {} });
    return driverOf({ HOST, STORAGE, LVM_POOL, LVM_SNAPSHOT_PERCENT, VSERVER_DIR: directory, ...more });
  };
  test('by its file system, unless STORAGE names one', async () => {
    expect((await of()).storage).toBe('dir');
    expect(existsSync(directory)).toBe(true);
    const thick = await of({ STORAGE: 'lvm' });
    expect([thick.storage, thick.capabilities]).toEqual([
      'lvm',
      { snapshot: true, keep: false, send: false },
    ]);
    const thin = await of({ STORAGE: 'lvm-thin', LVM_POOL: 'vg/pool' });
    expect([thin.storage, thin.capabilities, thin.quota?.how]).toEqual([
      'lvm-thin',
      { snapshot: true, keep: true, send: false },
      'volume',
    ]);
  });
  test('what it needs and does not get is a sentence', async () => {
    await expect(of({ STORAGE: 'lvm-thin' })).rejects.toThrow(/LVM_POOL=GROUP\/POOL/);
    await expect(of({ STORAGE: 'btrfs' })).rejects.toThrow(/another file system/);
  });
  test.each(['pool', 'vg/', '/pool', 'vg/pool/more', '-x/pool', 'vg/-x'])('LVM_POOL is no %s', (pool) =>
    expect(() => loadSettings({ file: '/nonexistent', env: { VS_LVM_POOL: pool } })).toThrow(/GROUP\/POOL/),
  );
  test('hosts of before keep what they make', () => {
    expect(keepsSnapshots({ capabilities: { snapshot: true, send: true } })).toBe(true);
    expect(keepsSnapshots({ capabilities: { snapshot: true, keep: false, send: false } })).toBe(false);
  });
});
