import { expect, test } from 'vitest';
import { compile } from '../../services/firewall/compile.ts';
import type { Counters } from '../../services/firewall/counters.ts';
import {
  type CountRecord,
  keysOf,
  observe,
  titled,
  titlesOf,
  totalOf,
  withKeys,
} from '../../services/firewall/counts.ts';
import { rulesOf } from './firewall-kit.ts';

const of = (packets: number) => ({ packets, bytes: packets * 100 });
const found = (accepted: number, denied: number, rules: Record<string, number> = {}): Counters => ({
  rules: new Map(),
  keyed: new Map(Object.entries(rules).map(([key, packets]) => [key, of(packets)])),
  handle: 1,
  accepted: of(accepted),
  denied: of(denied),
  unmatched: of(denied),
});
/** What was seen in turn, by table. */
const after = (looks: [table: string, found: Counters, uuid?: string][]) =>
  totalOf(
    looks.reduce<CountRecord | undefined>(
      (known, [table, one, uuid = 'u']) => observe(known, { uuid, table, found: one }),
      undefined,
    ) as CountRecord,
  );

test('a rule is the same with other blanks and comments, in another line; of equal ones the first is the first', () => {
  const one = [
    ...keysOf(
      rulesOf('allow from any tcp/80\ndeny from any comment "a # b"\nallow from any tcp/80').rules,
    ).values(),
  ];
  const other = [
    ...keysOf(
      rulesOf(
        'log\ndeny  from any comment "a # b" # x\n\tallow from   any tcp/80#y\nallow from any tcp/80\nallow from any tcp/81',
      ).rules,
    ).values(),
  ];
  expect(new Set(one).size).toBe(3);
  expect(other.slice(0, 3)).toEqual([one[1], one[0], one[2]]);
  expect(one).not.toContain(other[3]);
});

test('each counter of the compiled rules has the key of its rule', () => {
  const firewall = rulesOf('allow from any tcp/80,443\ndeny from any log limit 1/second');
  const keys = keysOf(firewall.rules);
  const rules = withKeys(compile(firewall), keys);
  expect(rules.match(/comment "r1 [0-9a-f]{12}"/g)).toHaveLength(2);
  expect(rules).toContain(`counter drop comment "r2 ${keys.get('r2')}"`);
  expect(rules.match(/comment "r\d+"/)).toBeNull();
  expect(rules).toContain('comment "default"');
});

test('counts go on over loads and starts; of rules that are gone nothing is kept', () => {
  expect(after([['t1', found(5, 1, { a: 5 })]]).accepted).toEqual(of(5));
  const same = after([
    ['t1', found(5, 1, { a: 5 })],
    ['t1', found(7, 2, { a: 7 })],
  ]);
  expect([same.accepted, same.denied, same.rules]).toEqual([of(7), of(2), { a: of(7) }]);
  const loaded = after([
    ['t1', found(7, 2, { a: 4, b: 3 })],
    ['t2', found(1, 0, { a: 1, c: 0 })],
    ['t3', found(2, 1, { a: 1, c: 1 })],
  ]);
  expect([loaded.accepted, loaded.unmatched, loaded.rules]).toEqual([of(10), of(3), { a: of(6), c: of(1) }]);
  // after a boot namespaces and tables may have the numbers of before
  const booted = after([
    ['t1', found(7, 2, { a: 7 })],
    ['t1', found(1, 0, { a: 1 })],
  ]);
  expect(booted.rules).toEqual({ a: of(8) });
});

test('a clone counts for itself', () => {
  const clone = after([
    ['t1', found(7, 2, { a: 7 }), 'original'],
    ['t2', found(1, 0, { a: 1 }), 'clone'],
  ]);
  expect(clone.accepted).toEqual(of(1));
});

test('in metrics a rule has the name of its comment, else of its line; the same name is one figure', () => {
  const { rules } = rulesOf(
    'allow from any tcp/80 comment "Web pages!"\nallow from any tcp/81\nallow to any tcp/80 comment "web pages"\ndeny from any comment "  "',
  );
  const titles = titlesOf(rules);
  expect(titles.map(({ title }) => title)).toEqual(['web_pages', 'f_line3', 'web_pages', 'f_line5']);
  const [one, two, three] = titles.map(({ key }) => key);
  const counts = after([['t1', found(9, 0, { [one ?? '']: 2, [two ?? '']: 3, [three ?? '']: 4 })]]);
  expect(titled(titles, counts)).toEqual([
    { title: 'web_pages', ...of(6) },
    { title: 'f_line3', ...of(3) },
  ]);
});
