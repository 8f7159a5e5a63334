import { expect, test } from 'vitest';
import { guide } from '../vm/guide.ts';

test('the guide of the first fifteen minutes is read as it is printed', () => {
  const block = guide();
  expect(block(2)).toEqual(['apt-get install ./vs-tools_VERSION_amd64.deb']);
  expect(block(3)).toContain('systemctl enable --now vs-broker vs-master');
  expect(block(4)[0]).toMatch(/^vs join \S+ --token host1\.\S+$/);
  expect(block(4, 1)).toEqual(['vs host list', 'vs doctor --all']);
  expect(block(5)[0]).toMatch(/^vs create web1 10\.60\.10\.5 /);
  expect(block(6)).toContain('vs move web1 host2');
  expect(() => block(9)).toThrow('no block 1 in section 9');
});
