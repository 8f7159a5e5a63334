import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { inOrder, nextToGo } from '../../services/snapshot/choice.ts';
import type { Driver } from '../../services/snapshot/drivers.ts';
import { openTrash } from '../../services/snapshot/trash.ts';
import { temporary } from './temporary.ts';

const gone = () => Promise.reject(new Error('not used'));
/** A directory that is removed as `dir` does, or whose removal stops in the middle. */
const driver = (remove: Driver['remove'] = (path) => rm(path, { recursive: true, force: true })): Driver => ({
  storage: 'dir',
  capabilities: { snapshot: false, keep: false, send: false },
  create: gone,
  snapshot: gone,
  promote: gone,
  place: gone,
  remove,
  nested: gone,
  settle: () => Promise.resolve(),
  made: gone,
});
const work = temporary('trash');
afterAll(() => rmSync(work, { recursive: true, force: true }));
const path = (...parts: string[]) => join(work, ...parts);
const bin = (days = 7, with_ = driver()) => openTrash(path('.trash'), with_, days);
const uuid = '11111111-1111-4111-8111-111111111111';
const one = { name: 'web1', saga: 'remove-1', uuid, only: true, epoch: 3 };
function tree(name: string): string {
  mkdirSync(path(name, 'rootfs'), { recursive: true });
  writeFileSync(path(name, 'rootfs', 'file'), 'x'.repeat(10_000));
  return path(name);
}
beforeEach(() => {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work);
});

describe('the trash of a host', () => {
  test('takes a tree in once, counts it once, and keeps it for its grace time', async () => {
    const first = await bin().take(tree('web1'), one);
    expect(await bin().take(path('web1'), one)).toEqual(first); // a repeat after a crash
    expect(first.until - first.ts).toBe(7 * 86_400_000);
    await bin().measure(one);
    const listed = await bin().list();
    expect(listed).toMatchObject([{ name: 'web1', saga: 'remove-1', epoch: 3, only: true, files: 3 }]);
    expect(listed[0]?.bytes).toBeGreaterThan(10_000);
    expect(existsSync(path('web1'))).toBe(false);
    expect(await bin().due(Date.now())).toEqual([]);
    expect(await bin().due(first.until)).toHaveLength(1);
  });

  test('a crash before the tree moved: nothing is listed, and the repeat takes it in', async () => {
    tree('web1');
    await bin().take(path('elsewhere'), one); // only its entry was written
    expect(await bin().list()).toEqual([]);
    await bin().take(path('web1'), one);
    expect(await bin().list()).toHaveLength(1);
  });

  test('of one vserver the newest copy stays; another vserver of the same name is no copy of it', async () => {
    await bin().take(tree('a'), one);
    await bin().take(tree('b'), { ...one, saga: 'move-2' });
    await bin().take(tree('c'), { ...one, saga: 'move-3', uuid: '22222222-2222-4222-8222-222222222222' });
    expect((await bin().list()).map((entry) => entry.saga).sort()).toEqual(['move-2', 'move-3']);
  });

  test('a destroy that is cut off leaves nothing that can be brought back, and is done by the next life', async () => {
    await bin().take(tree('web1'), one);
    const cut = bin(
      7,
      driver(async (where) => {
        await rm(join(where, 'rootfs', 'file'));
        throw new Error('power cut');
      }),
    );
    await expect(cut.destroy(one)).rejects.toThrow('power cut');
    expect(existsSync(path('.trash', 'web1.remove-1', 'rootfs'))).toBe(true);
    expect(await bin().list()).toEqual([]);
    expect(await bin().recall(one, path('.staging', 'tree'), path('.staging', 'entry.json'))).toBe(false);
    const [left] = await bin().due(0);
    expect(left).toMatchObject({ name: 'web1', ending: true });
    if (left) await bin().destroy(left);
    expect(readdirSync(path('.trash'))).toEqual([]);
    await bin().destroy(one); // once more does no harm
  });

  test('what is brought back can be given back as it was; both may be repeated', async () => {
    const [to, keep] = [path('.staging', 'web1.s', 'tree'), path('.staging', 'web1.s', 'entry.json')];
    const first = await bin().take(tree('web1'), one);
    for (const _try of [1, 2]) expect(await bin().recall(one, to, keep)).toBe(true);
    expect(readFileSync(join(to, 'rootfs', 'file'), 'utf8')).toHaveLength(10_000);
    expect(readdirSync(path('.trash'))).toEqual([]);
    for (const _try of [1, 2]) await bin().giveBack(one, to, keep);
    expect(await bin().list()).toEqual([first]);
    expect(await bin().recall({ ...one, saga: 'other' }, path('x', 'tree'), path('x', 'entry.json'))).toBe(
      false,
    );
  });

  test('nothing is brought back while it is being destroyed', async () => {
    await bin().take(tree('web1'), one);
    const slow = bin(
      7,
      driver(async (where) => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        await rm(where, { recursive: true, force: true });
      }),
    );
    const destroyed = slow.destroy(one);
    expect(await slow.recall(one, path('.staging', 'tree'), path('.staging', 'entry.json'))).toBe(false);
    await destroyed;
    expect(existsSync(path('.staging', 'tree'))).toBe(false);
  });

  test('an entry of before there were reasons is read, and counts as the only copy', async () => {
    tree('.trash/web1.old-1');
    const old = { version: 1, name: 'web1', saga: 'old-1', uuid, ts: 1, until: 2 };
    writeFileSync(path('.trash', 'web1.old-1.json'), JSON.stringify(old));
    expect(await bin().list()).toMatchObject([{ only: true, why: 'removed' }]);
  });

  test('a damaged entry is told and hides no other', async () => {
    await bin().take(tree('web1'), one);
    writeFileSync(path('.trash', 'web2.x.json'), '{"version":1');
    const told: string[] = [];
    const trash = openTrash(path('.trash'), driver(), 7, (file) => told.push(file));
    expect(await trash.list()).toHaveLength(1);
    expect(told).toEqual([path('.trash', 'web2.x.json')]);
  });
});

describe('what goes when space is needed', () => {
  const old = (ts: number) => ({ ts, only: false });
  const only = (ts: number) => ({ ts, only: true });
  const space = (percent: number) => ({ free: percent, total: 100 });
  test('old copies go before only ones, each the oldest first', () => {
    expect(inOrder([only(1), old(3), only(0), old(2)])).toEqual([old(2), old(3), only(0), only(1)]);
  });
  test.each([
    ['enough is free', [old(1)], 10, undefined],
    ['too little is free', [only(0), old(1), old(2)], 9.9, old(1)],
    ['too little is free, and only copies are there', [only(0)], 3, undefined],
    ['the disk is as good as full', [only(1), only(0)], 2.4, only(0)],
    ['the disk is as good as full, and an old copy is there', [only(0), old(1)], 0, old(1)],
    ['nothing is there', [], 0, undefined],
  ])('%s', (_what, entries, free, expected) => {
    expect(nextToGo(entries, space(free), 10)).toEqual(expected);
  });
  test('it can be switched off', () => {
    expect(nextToGo([old(1)], space(0), 0)).toBeUndefined();
  });
});
