import { expect, test } from 'vitest';
import { bootOrder, changedPlan, inGroups, stopOrder } from '../../services/host-agent/boot-order.ts';
import { vserverConfig } from '../../shared/contract/vserver.ts';

const at = (name: string, order?: number) => ({ name, ...(order === undefined ? {} : { boot: { order } }) });
const names = (groups: { name: string }[][]) =>
  groups.map((group) => group.map(({ name }) => name).join(' '));
const all = [at('web2'), at('db1', 10), at('web1'), at('dns1', 0), at('db2', 10)];

test('lower orders first, those without one last, by name within one; the stop is the exact reverse', () => {
  expect(names(bootOrder(all))).toEqual(['dns1', 'db1 db2', 'web1 web2']);
  expect(names(stopOrder(all))).toEqual(['web2 web1', 'db2 db1', 'dns1']);
  expect(bootOrder([])).toEqual([]);
});

test('a group begins when the one before it has ended, at most so many at a time', async () => {
  const said: string[] = [];
  let running = 0;
  let most = 0;
  const { signal } = new AbortController();
  await inGroups([[1, 2, 3, 4, 5], [6]], { parallel: 2, signal }, async (item) => {
    most = Math.max(most, ++running);
    said.push(`+${item}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
    said.push(`-${item}`);
    running--;
    return 0;
  });
  expect(most).toBe(2);
  expect(said.slice(-2)).toEqual(['+6', '-6']);
  expect(said.filter((one) => one.startsWith('+'))).toHaveLength(6);
});

test('what a start asks to be waited is waited for in its place, but not by the last of all', async () => {
  const { signal } = new AbortController();
  const began = new Map<string, number>();
  const work = async (item: string) => {
    began.set(item, performance.now());
    return item === 'slow' || item === 'last' ? 2 : 0;
  };
  const start = performance.now();
  await inGroups([['slow', 'beside'], ['last']], { parallel: 2, signal }, work);
  const since = (one: string, other: string) => (began.get(one) ?? 0) - (began.get(other) ?? 0);
  expect(since('last', 'slow')).toBeGreaterThan(1900);
  expect(since('beside', 'slow')).toBeLessThan(1900);
  expect(performance.now() - start - since('last', 'slow')).toBeLessThan(1900);
});

test('once the signal is raised nothing else begins, and a delay ends', async () => {
  const given = new AbortController();
  const began: number[] = [];
  await inGroups([[1, 2], [3]], { parallel: 1, signal: given.signal }, async (item) => {
    began.push(item);
    setTimeout(() => given.abort(), 5);
    return 3600;
  });
  expect(began).toEqual([1]);
});

test('a plan changes key by key, null takes one away, and an empty one is none', () => {
  expect(changedPlan(undefined, { order: 3 })).toEqual({ order: 3 });
  expect(changedPlan({ order: 3, delay: 5 }, { order: null, stopTimeout: 60 })).toEqual({
    delay: 5,
    stopTimeout: 60,
  });
  expect(changedPlan({ order: 3 }, { order: null, delay: undefined })).toBeUndefined();
  expect(changedPlan({ order: 3, later: 'key' }, { delay: 1 })).toEqual({ order: 3, later: 'key', delay: 1 });
});

const old = {
  version: 1,
  uuid: '9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11',
  name: 'web1',
  network: 'blue',
  address: '10.60.10.5',
  prefix: 24,
  mac: '02:00:0a:3c:0a:05',
  enabled: true,
  created: 1,
};
test('a vserver.json of before stays valid; a plan out of bounds is refused, a key of tomorrow is held', () => {
  expect(vserverConfig.parse(old)).not.toHaveProperty('boot');
  const boot = { order: 1, tomorrow: true };
  expect(vserverConfig.parse({ ...old, boot }).boot).toEqual(boot);
  for (const wrong of [{ order: -1 }, { order: 1.5 }, { delay: 3601 }, { stopTimeout: 0 }, { order: '1' }])
    expect(vserverConfig.safeParse({ ...old, boot: wrong }).success).toBe(false);
});
