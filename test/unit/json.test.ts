import { expect, test } from 'vitest';
import { parseJson } from '../../shared/json.ts';

const nested = (levels: number, inner = '1') => `${'['.repeat(levels)}${inner}${']'.repeat(levels)}`;

test('JSON from outside may be nested 32 levels deep, and no deeper', () => {
  expect(parseJson(nested(32))).toEqual(JSON.parse(nested(32)));
  expect(() => parseJson(nested(33))).toThrow('it is nested deeper than 32 levels');
  expect(() => parseJson(`{"a":${nested(32)}}`)).toThrow('deeper');
  expect(() => parseJson('['.repeat(1_000_000))).toThrow('deeper');
});
test('brackets in strings do not count, whatever is escaped', () => {
  for (const text of ['['.repeat(100), `\\"${'{'.repeat(100)}`, '\\', '"', `\\\\${'['.repeat(50)}`])
    expect(parseJson(nested(32, JSON.stringify(text)))).toEqual(JSON.parse(nested(32, JSON.stringify(text))));
});
test('many side by side are not deep', () => {
  expect(parseJson(`[${Array.from({ length: 1000 }, () => '[{}]').join(',')}]`)).toHaveLength(1000);
});
test('what is no JSON is a SyntaxError', () => {
  for (const text of ['', '{', '"', '\\', ']]]]', 'nul']) expect(() => parseJson(text)).toThrow(SyntaxError);
});
