import { expect, test } from 'vitest';
import { places } from '../../services/orchestrator/queue.ts';

const saga = (id: string, ...hosts: string[]) => ({ id, hosts });

test.each([
  { name: 'nobody runs', running: [], waiting: [saga('a', 'h1', 'h2')], free: ['a'], waits: {} },
  {
    name: 'a host is full',
    running: [saga('x', 'h1', 'h2'), saga('y', 'h1', 'h3')],
    waiting: [saga('a', 'h4', 'h1')],
    free: [],
    waits: { a: 'waits for a free place on h1 (2 of 2)' },
  },
  {
    name: 'the later one does not pass the earlier one at a host that both need',
    running: [saga('x', 'h1'), saga('y', 'h1'), saga('z', 'h2')],
    waiting: [saga('a', 'h1', 'h2'), saga('b', 'h2', 'h3'), saga('c', 'h3')],
    free: ['c'],
    waits: {
      a: 'waits for a free place on h1 (2 of 2)',
      b: 'waits for a free place on h2 (1 of 2, 1 before it)',
    },
  },
  {
    name: 'as many begin as there are places',
    running: [],
    waiting: [saga('a', 'h1'), saga('b', 'h1'), saga('c', 'h1')],
    free: ['a', 'b'],
    waits: { c: 'waits for a free place on h1 (0 of 2, 2 before it)' },
  },
  {
    name: 'who needs no place',
    running: [saga('x', 'h1'), saga('y', 'h1')],
    waiting: [saga('p')],
    free: ['p'],
    waits: {},
  },
])('$name', ({ running, waiting, free, waits }) => {
  const now = places(running, waiting, 2);
  expect(now.free).toEqual(free);
  expect(Object.fromEntries(now.waits)).toEqual(waits);
});
