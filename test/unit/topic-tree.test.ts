import { expect, test } from 'vitest';
import { createTopicTree } from '../../broker/persistence/topic-tree.ts';
import { matches } from '../../shared/contract/topics.ts';

const topics = [
  'a',
  'a/b',
  'a/b/c',
  'a/x/c',
  'a/b/c/d',
  'b',
  '/a',
  'a/',
  'a//c',
  '$SYS/broker/uptime',
  '$SYS',
];
const filters = [
  '#',
  '+',
  '+/+',
  'a/#',
  'a/+',
  'a/b/#',
  'a/+/c',
  '+/b/#',
  'a/b/c',
  '/+',
  '+/',
  'a/+/',
  '$SYS/#',
];
filters.push('$SYS/+/uptime', '+/broker/#', 'a/b/c/d/#', 'q/#', 'a//c');
/** The rule of MQTT 4.7: as matches(), but a wildcard at the beginning passes over topics with a $. */
const rule = (filter: string, topic: string) =>
  matches(filter, topic) && !(topic.startsWith('$') && /^[+#]/.test(filter));

test('a tree of topics finds by filter what the rule says, each once', () => {
  const tree = createTopicTree<string>();
  for (const topic of topics) tree.set(topic, topic);
  expect(tree.size).toBe(topics.length);
  for (const filter of filters)
    expect([...tree.under(filter)].sort(), filter).toEqual(topics.filter((one) => rule(filter, one)).sort());
});

test('a tree of filters finds by topic what the rule says, each once', () => {
  const tree = createTopicTree<string>();
  for (const filter of filters) tree.set(filter, filter);
  for (const topic of [...topics, 'q', 'q/r', 'z/b/c'])
    expect(tree.over(topic).sort(), topic).toEqual(filters.filter((one) => rule(one, topic)).sort());
});

test('setting twice replaces, deleting leaves the others, and no empty levels stay', () => {
  const tree = createTopicTree<number>();
  tree.set('a/b/c', 1);
  tree.set('a/b', 2);
  tree.set('a/b', 3);
  expect([tree.size, tree.get('a/b'), tree.get('a')]).toEqual([2, 3, undefined]);
  tree.delete('a/b');
  tree.delete('a/b');
  tree.delete('never/there');
  expect([...tree.under('#')]).toEqual([1]);
  tree.delete('a/b/c');
  expect([tree.size, ...tree.under('#')]).toEqual([0]);
  tree.set('a/b/c', 4);
  expect([...tree.under('a/#')]).toEqual([4]);
});

test('fifty thousand topics: the first values of any filter are there far sooner than a look at all of them', () => {
  const tree = createTopicTree<number>();
  for (let host = 0; host < 500; host++)
    for (let name = 0; name < 100; name++) tree.set(`vs/1/hosts/host${host}/vservers/v${name}/state`, host);
  const took = (filter: string, most: number) => {
    const times = Array.from({ length: 20 }, () => {
      const begin = performance.now();
      const found = tree.under(filter);
      for (let n = 0; n < most; n++) found.next();
      return performance.now() - begin;
    });
    return times.sort((a, b) => a - b)[10] ?? 0;
  };
  const all = took('#', 50_000);
  expect(took('vs/1/hosts/host77/commands/#', 1)).toBeLessThan(all / 4);
  expect(took('vs/1/hosts/+/vservers/v7/state', 500)).toBeLessThan(all / 4);
  expect(took('#', 16)).toBeLessThan(all / 4);
});
