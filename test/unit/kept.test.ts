import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { cp, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { checkSnapshot, everyText, parseEvery } from '../../cli/snapshot/names.ts';
import { configAfter } from '../../services/orchestrator/sagas/rollback.ts';
import { nextOfAll } from '../../services/snapshot/choice.ts';
import { compareTrees, differenceReader, readable } from '../../services/snapshot/differences.ts';
import type { Driver } from '../../services/snapshot/drivers.ts';
import { openKept } from '../../services/snapshot/kept.ts';
import { mountsOf } from '../../services/snapshot/mounts.ts';
import { orphanWatch, uuidsHere } from '../../services/snapshot/orphans.ts';
import { isDue, nameByTime, periodOf, surplus } from '../../services/snapshot/retention.ts';
import { type KeptRecord, keptCommands, keptName } from '../../shared/contract/kept.ts';
import type { VserverConfig } from '../../shared/contract/vserver.ts';
import { keptCounter } from '../../shared/kept.ts';
import { temporary } from './temporary.ts';

const uuid = '11111111-1111-4111-8111-111111111111';
const other = '22222222-2222-4222-8222-222222222222';
const record = (snapshot: string, more: Partial<KeptRecord> = {}): KeptRecord => ({
  version: 1,
  snapshot,
  vserver: 'web1',
  uuid,
  taken: 1,
  by: 'anna',
  kind: 'manual',
  protected: false,
  ...more,
});
const gone = () => Promise.reject(new Error('not used'));
/** Snapshots as plain copies. */
const driver: Driver = {
  storage: 'btrfs',
  capabilities: { snapshot: true, keep: true, send: true },
  create: gone,
  async snapshot(from, to) {
    await mkdir(dirname(to), { recursive: true });
    await cp(from, to, { recursive: true });
  },
  promote: gone,
  place: gone,
  remove: (path) => rm(path, { recursive: true, force: true }),
  nested: gone,
  settle: () => Promise.resolve(),
  made: gone,
};
const work = temporary('kept');
afterAll(() => rmSync(work, { recursive: true, force: true }));
const directory = join(work, '.kept');
const open = () => openKept(directory, () => Promise.resolve(driver));
const config = {
  version: 1,
  uuid,
  name: 'web1',
  network: 'blue',
  address: '10.60.10.5',
  prefix: 24,
  mac: '02:00:00:00:00:01',
  enabled: false,
  limits: {},
  created: 1,
};
function tree(path: string, of = uuid): string {
  mkdirSync(join(work, path), { recursive: true });
  writeFileSync(join(work, path, 'vserver.json'), JSON.stringify({ ...config, uuid: of }));
  return join(work, path);
}
async function make(snapshot: string, more: Partial<KeptRecord> = {}): Promise<void> {
  const kept = open();
  await kept.prepare(uuid, snapshot);
  await kept.cut(uuid, snapshot, tree('web1'));
  await kept.seal(record(snapshot, more));
}
beforeEach(() => {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work);
});

test('names of snapshots', () => {
  for (const good of ['a', 'before-upgrade', 'auto-20261127T040000Z', '1.2_3', 'A'.repeat(40)]) {
    expect(keptName.safeParse(good).success, good).toBe(true);
    expect(checkSnapshot(good)).toBe(good);
  }
  for (const bad of ['', '.', '..', '.a', 'a.', 'a..b', '-a', 'a/b', 'a b', 'a\n', 'ä', 'A'.repeat(41)]) {
    expect(keptName.safeParse(bad).success, bad).toBe(false);
    expect(() => checkSnapshot(bad)).toThrow(/no name of a snapshot/);
  }
  expect(['hourly', '15m', '6h', '2d', 'weekly'].map(parseEvery)).toEqual([60, 15, 360, 2880, 10_080]);
  expect([60, 15, 360, 2880, 1440].map(everyText)).toEqual([
    'hourly',
    'every 15m',
    'every 6h',
    'every 2d',
    'daily',
  ]);
  for (const bad of ['', '1m', '31d', 'h', '60', 'yearly', '-1h']) expect(() => parseEvery(bad)).toThrow();
  const mount = keptCommands['snapshot.mount'].args;
  for (const path of ['relative', '/a/../b', '/a\nb', ''])
    expect(mount.safeParse({ name: 'web1', snapshot: 'a', directory: path }).success, path).toBe(false);
});

describe('the kept snapshots of a host', () => {
  test('one is listed when it is whole, and never before', async () => {
    const kept = open();
    await kept.prepare(uuid, 'one');
    expect(await kept.list(uuid)).toEqual([]);
    await kept.cut(uuid, 'one', tree('web1'));
    expect(await kept.list(uuid)).toEqual([]);
    expect(keptCounter(directory)(uuid)).toBe(0);
    await kept.seal(record('one', { taken: 5 }));
    await make('two', { taken: 3 });
    expect((await kept.list(uuid)).map((one) => one.snapshot)).toEqual(['two', 'one']);
    expect(existsSync(join(kept.tree(uuid, 'one'), 'vserver.json'))).toBe(true);
    expect(keptCounter(directory)(uuid)).toBe(2);
    await expect(kept.prepare(uuid, 'one')).rejects.toThrow(/already/);
  });
  test('nothing is sealed that was not cut, nor cut that was not prepared', async () => {
    const kept = open();
    await expect(kept.cut(uuid, 'one', tree('web1'))).rejects.toThrow(/prepared/);
    await kept.prepare(uuid, 'one');
    await expect(kept.seal(record('one'))).rejects.toThrow(/not made/);
    await kept.abandon(uuid, 'one');
    expect(readdirSync(join(directory, uuid))).toEqual([]);
  });
  test('what a crash left in the making or the removal is not listed, and goes', async () => {
    await make('whole');
    await open().prepare(uuid, 'half');
    await open().cut(uuid, 'half', tree('web1'));
    mkdirSync(join(directory, uuid, '.old.gone', 'tree'), { recursive: true });
    mkdirSync(join(directory, `.${other}.gone`, 'x', 'tree'), { recursive: true });
    expect((await open().list(uuid)).map((one) => one.snapshot)).toEqual(['whole']);
    expect(await open().uuids()).toEqual([uuid]);
    await open().clear(0); // of this life: it is being made
    expect(readdirSync(join(directory, uuid))).toContain('.half.new');
    await open().clear(Infinity);
    expect(readdirSync(join(directory, uuid))).toEqual(['whole']);
    expect(readdirSync(directory)).toEqual([uuid]);
  });
  test('a damaged record hides no other, and is told', async () => {
    await make('one');
    await make('two');
    writeFileSync(join(directory, uuid, 'one', 'record.json'), '{');
    const told: string[] = [];
    const kept = openKept(
      directory,
      () => Promise.resolve(driver),
      (file) => told.push(file),
    );
    expect((await kept.list(uuid)).map((one) => one.snapshot)).toEqual(['two']);
    expect(told).toEqual([join(directory, uuid, 'one', 'record.json')]);
  });
  test('they go with another uuid, and all at once', async () => {
    await make('one', { protected: true });
    const kept = open();
    await kept.rekey(uuid, other);
    await kept.rekey(uuid, other); // a repeat
    expect(await kept.uuids()).toEqual([other]);
    await kept.forget(other);
    await kept.forget(other);
    expect(await kept.uuids()).toEqual([]);
  });
  test('whose tree is where: in place, staged, in the trash; a damaged one stops all tidying', async () => {
    expect(await uuidsHere(work)).toEqual(new Set());
    tree('web1');
    tree('.staging/web2.copy-1/tree', other);
    expect(await uuidsHere(work)).toEqual(new Set([uuid, other]));
    rmSync(join(work, 'web1'), { recursive: true });
    tree('.trash/web1.remove-1');
    writeFileSync(join(work, '.trash/web1.remove-1.json'), '{}');
    expect(await uuidsHere(work)).toEqual(new Set([uuid, other]));
    writeFileSync(join(work, '.trash/web1.remove-1/vserver.json'), '{');
    expect(await uuidsHere(work)).toBeUndefined();
    const watch = orphanWatch();
    const here = new Set([other]);
    expect(watch([uuid, other], here)).toEqual([]); // it may be on its way from one place to another
    expect(watch([uuid, other], undefined)).toEqual([]);
    expect(watch([uuid, other], here)).toEqual([]);
    expect(watch([uuid, other], here)).toEqual([uuid]);
  });
});

describe('retention', () => {
  const HOUR = 3_600_000;
  const plan = { every: 60, keep: 3 };
  test('periods begin in UTC, weeks on Monday', () => {
    const at = Date.UTC(2026, 10, 27, 4, 37);
    expect(periodOf(plan, at)).toBe(Date.UTC(2026, 10, 27, 4));
    expect(periodOf({ every: 1440, keep: 1 }, at)).toBe(Date.UTC(2026, 10, 27));
    expect(periodOf({ every: 10_080, keep: 1 }, at)).toBe(Date.UTC(2026, 10, 23)); // a Monday
    expect(nameByTime(Date.UTC(2026, 10, 27, 4), 'automatic')).toBe('auto-20261127T040000Z');
    expect(keptName.safeParse(nameByTime(at, 'rollback')).success).toBe(true);
  });
  test('over random weeks, clocks set back and hands in it: what stays is what an independent count says', () => {
    let seed = 7;
    const random = (below: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below;
    for (let round = 0; round < 15; round++) {
      const wanted = { every: [15, 60, 360, 1440][random(4)] ?? 60, keep: 1 + random(30) };
      let all: KeptRecord[] = [];
      const made: KeptRecord[] = [];
      let now = Date.UTC(2026, 2, 28) + random(86_400_000);
      for (let look = 0; look < 300; look++) {
        now += random(40) === 0 ? -random(5 * HOUR) : random(HOUR);
        const pick = all[random(all.length + 1)];
        if (pick && random(20) === 0) pick.protected = !pick.protected;
        if (random(15) === 0) all.push(record(`hand-${round}-${look}`, { taken: now }));
        if (isDue(wanted, all, now)) {
          const one = record(`auto-${round}-${look}`, { taken: now, kind: 'automatic' });
          all.push(one);
          made.push(one);
        }
        const free = all
          .filter((one) => one.kind === 'automatic' && !one.protected)
          .map((one) => one.taken)
          .sort((a, b) => b - a);
        const going = surplus(wanted, all);
        // never a hand's, never a protected one, and exactly the newest `keep` of the others stay
        expect(going.every((one) => one.kind === 'automatic' && !one.protected)).toBe(true);
        all = all.filter((one) => !going.includes(one));
        const left = all
          .filter((one) => one.kind === 'automatic' && !one.protected)
          .map((one) => one.taken)
          .sort((a, b) => b - a);
        expect(left).toEqual(free.slice(0, wanted.keep));
        expect(isDue(wanted, made.length ? [...all, ...made] : all, now)).toBe(false); // one a period
      }
    }
  });
  test('for space go old copies, then what the schedule made, then only copies of a full disk; never a hand’s', () => {
    const entry = (only: boolean, ts: number) => ({ only, ts });
    const entries = [entry(true, 1), entry(false, 3), entry(false, 2)];
    const low = { free: 5, total: 100 };
    expect(nextOfAll(entries, ['s'], { free: 50, total: 100 }, 10)).toBeUndefined();
    expect(nextOfAll(entries, ['s'], low, 10)).toEqual({ entry: entries[2] });
    expect(nextOfAll([entry(true, 1)], ['s', 't'], low, 10)).toEqual({ snapshot: 's' });
    expect(nextOfAll([entry(true, 1)], [], low, 10)).toBeUndefined();
    expect(nextOfAll([entry(true, 1)], [], { free: 1, total: 100 }, 10)).toEqual({ entry: entry(true, 1) });
    expect(nextOfAll([], ['s'], low, 0)).toBeUndefined();
  });
});

describe('what differs', () => {
  test('odd names are told exactly', () => {
    expect(readable(Buffer.from('/plain ü'))).toEqual({ path: '/plain ü' });
    expect(readable(Buffer.from('/a\nb'))).toEqual({ path: '/a\\x0ab', raw: 'L2EKYg==' });
    expect(readable(Buffer.from([0x2f, 0xff]))).toEqual({ path: '/\\xff', raw: 'L/8=' });
    expect(readable(Buffer.from('/a\\x0a')).raw).toBeDefined();
  });
  test('lines that come in any pieces, and more than are listed', () => {
    const lines = ['rootfs/a//f 1\0', '//rootfs/a//f 2\0', '\tx//f 1\0', '//\ty//f 1\0', 'rootfs/b//d 755\0'];
    const all = Buffer.from(lines.join(''));
    for (let at = 1; at < all.length; at++) {
      const reader = differenceReader(2);
      reader.add(all.subarray(0, at));
      reader.add(all.subarray(at));
      const { differences, ...counts } = reader.end();
      expect(counts).toEqual({ added: 1, changed: 1, removed: 2, more: true });
      expect(differences.map((one) => `${one.what} ${one.path}`)).toEqual(['changed /a', 'removed \\x09x']);
    }
  });
  test('of two trees', async () => {
    const [one, two] = [join(work, 'one'), join(work, 'two')];
    for (const path of [one, two]) mkdirSync(join(path, 'rootfs', 'dir'), { recursive: true });
    for (const path of [one, two]) writeFileSync(join(path, 'config'), path); // generated: not told
    writeFileSync(join(one, 'rootfs', 'gone'), '');
    writeFileSync(join(two, 'rootfs', 'dir', '\tnew\n'), '');
    writeFileSync(join(two, 'firewall.conf'), '');
    const scratch = join(work, 'scratch');
    const found = await compareTrees(one, two, scratch, 10, new AbortController().signal);
    expect(found.differences.map((each) => `${each.what} ${each.path}`)).toEqual([
      'added firewall.conf',
      'added /dir/\\x09new\\x0a',
      'removed /gone',
    ]);
    expect([found.added, found.changed, found.removed, found.more]).toEqual([2, 0, 1, false]);
    expect(readdirSync(scratch)).toEqual([]);
  });
});

test('where a snapshot is mounted', () => {
  const text = [
    `332 765 0:234 /.kept/${uuid}/one/tree/rootfs /mnt/w\\040x ro - btrfs /dev/loop6 rw`,
    `333 765 0:234 /.kept/${uuid}/one.two/tree/rootfs /mnt/v ro - btrfs /dev/loop6 rw`,
    `334 765 0:234 /.kept/${other}/one/tree/rootfs /mnt/u ro - btrfs /dev/loop6 rw`,
    '335 765 0:234 / /var/lib/vservers rw - btrfs /dev/loop6 rw',
  ].join('\n');
  expect(mountsOf(text, uuid, 'one')).toEqual(['/mnt/w x']);
  expect(mountsOf(text, uuid)).toEqual(['/mnt/w x', '/mnt/v']);
});

test('a rollback changes who it is and where it lives never', () => {
  const now = { ...config, boot: { order: 1 }, snapshotPlan: { every: 60, keep: 2 } } as VserverConfig;
  const then = {
    ...now,
    uuid: other,
    name: 'old',
    address: '10.60.10.9',
    limits: { memory_bytes: 1e9 },
    boot: undefined,
    enabled: true,
    domain: 'example.org',
  } as VserverConfig;
  expect(configAfter(now, then, false)).toBe(now);
  const { boot: _boot, ...rest } = now;
  expect(configAfter(now, then, true)).toEqual({
    ...rest,
    limits: { memory_bytes: 1e9 },
    enabled: true,
    domain: 'example.org',
  });
});
