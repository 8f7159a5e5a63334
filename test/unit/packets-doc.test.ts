import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { table } from '../real/packets/table.ts';

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
const text = read('../../docs/packets.md');
const files = { P: 'packets', I: 'isolation', N: 'network', R: 'policy-routing' };

test('each test that docs/packets.md names is there', () => {
  const cited = [...text.matchAll(/\b([PINR]) ((?:"[^"]+"(?:, | and )?)+)/g)].flatMap(([, file, names]) =>
    [...(names ?? '').matchAll(/"([^"]+?)(?: \.\.\.)?"/g)].map(([, name = '']) => ({
      file: files[file as keyof typeof files],
      name,
    })),
  );
  expect(cited.length).toBeGreaterThan(15);
  const isThere = ({ file, name }: (typeof cited)[number]) =>
    new RegExp(`^test\\(['"\`]${name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}`, 'm').test(
      read(`../real/${file}.test.ts`),
    );
  expect(cited.filter((one) => !isThere(one))).toEqual([]);
});

test('it says how many rows the packet table has', () => {
  expect(text).toContain(`${table.length} rows`);
});
