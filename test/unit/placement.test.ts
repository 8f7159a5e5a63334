import { assert, array, integer, nat, property, record } from 'fast-check';
import { expect, test } from 'vitest';
import type { Deciding } from '../../services/orchestrator/plans/planned.ts';
import { roomsOf } from '../../services/orchestrator/rooms.ts';
import { type Need, type Room, placeAll } from '../../services/orchestrator/placement.ts';

const GB = 1e9;
const need = (name: string, memory: number, disk = 0, network = 'blue'): Need => ({
  name,
  network,
  memory: memory * GB,
  disk: disk * GB,
});
const room = (host: string, memory: number, disk: number, more: Partial<Room> = {}): Room => ({
  host,
  memory: { free: memory * GB, total: 16 * GB },
  disk: { free: disk * GB, total: 100 * GB },
  networks: ['blue'],
  vservers: [],
  ...more,
});
const to = (needs: Need[], rooms: Room[]) => Object.fromEntries(placeAll(needs, rooms));

test('each goes where the scarcer of memory and disk stays most, and what was placed counts', () => {
  const rooms = [room('h2', 8, 90), room('h3', 6, 90)];
  expect(to([need('a', 3), need('b', 3), need('c', 3)], rooms)).toEqual({
    a: { to: 'h2' },
    b: { to: 'h3' },
    c: { to: 'h2' },
  });
  expect(to([need('a', 0, 40)], [room('h2', 16, 45), room('h3', 2, 90)])).toEqual({ a: { to: 'h3' } });
});

test('large ones are placed first, so that small ones fill what is left', () => {
  const rooms = [room('h2', 5, 90), room('h3', 4, 90)];
  expect(to([need('small', 1), need('large', 5), need('middle', 3)], rooms)).toEqual({
    large: { to: 'h2' },
    middle: { to: 'h3' },
    small: { to: 'h3' },
  });
});

test('who cannot go has the reason, the others go', () => {
  const rooms = [room('h2', 2, 10, { vservers: ['b'] }), room('h3', 1, 20, { networks: ['green'] })];
  expect(
    to([need('a', 1), need('b', 1), need('c', 1, 0, 'red'), need('d', 3), need('e', 0, 9.9)], rooms),
  ).toEqual({
    a: { to: 'h2' },
    b: { why: 'h2 has a vserver b already' },
    c: { why: 'none of h2, h3 has network red' },
    d: { why: 'it needs 3.0 GB of memory; h2 has most, 2.0 GB' },
    e: { why: 'it needs 10.4 GB of disk; h2 has most, 10.0 GB' },
  });
  expect(to([need('a', 1)], [])).toEqual({
    a: { why: 'there is no other host that is online and may be chosen' },
  });
});

test('snapshots need room where they go along, and nowhere else', () => {
  const web = { ...need('web', 1, 10), along: 40 * GB };
  const [h2, h3] = [room('h2', 8, 45, { sends: true }), room('h3', 4, 20)];
  expect(to([web], [h2, h3])).toEqual({ web: { to: 'h3' } });
  expect(to([web], [{ ...h2, disk: { free: 60 * GB, total: 100 * GB } }])).toEqual({ web: { to: 'h2' } });
  expect(to([web], [h2])).toEqual({ web: { why: 'it needs 52.5 GB of disk; h2 has most, 45.0 GB' } });
  expect(to([web, need('b', 1, 10)], [{ ...h2, disk: { free: 60 * GB, total: 100 * GB } }])).toMatchObject({
    web: { to: 'h2' },
    b: { why: 'it needs 10.5 GB of disk; h2 has most, 7.5 GB' },
  });
});

test('no host is ever filled beyond what it has, and the largest goes where it fits', () => {
  const needs = array(record({ memory: nat(8), disk: nat(50) }), { maxLength: 12 });
  const rooms = array(record({ memory: integer({ min: 0, max: 16 }), disk: nat(100) }), { maxLength: 5 });
  assert(
    property(needs, rooms, (some, hosts) => {
      const all = some.map((one, index) => need(`v${index}`, one.memory, one.disk));
      const there = hosts.map((one, index) => room(`h${index}`, one.memory, one.disk));
      const places = placeAll(all, there);
      expect(places.size).toBe(all.length);
      for (const { host, memory, disk } of there) {
        const here = all.filter((one) => {
          const place = places.get(one.name);
          return place && 'to' in place && place.to === host;
        });
        expect(here.reduce((sum, one) => sum + one.memory, 0)).toBeLessThanOrEqual(memory.free);
        expect(here.reduce((sum, one) => sum + one.disk, 0)).toBeLessThanOrEqual(disk.free);
      }
      const largest = all.toSorted((a, b) => b.memory - a.memory || b.disk - a.disk)[0];
      const fits = (one: Need) =>
        there.some(({ memory, disk }) => memory.free >= one.memory && disk.free >= one.disk * 1.05);
      if (largest && fits(largest)) expect(places.get(largest.name)).toHaveProperty('to');
    }),
  );
});

test('never a host that is offline, left out by slaves.conf, evacuated, or the one that is left; one that --to names may be left out there', () => {
  const pool = {
    hosts: () => ['h1', 'h2', 'h3', 'h4', 'h5'],
    isOnline: (host: string) => host !== 'h2',
    info: () => ({
      mem_free_bytes: 1,
      mem_bytes: 2,
      storage: { free: 3, total: 4, capabilities: { send: true } },
      networks: ['blue'],
    }),
    all: () => [{ host: 'h5', name: 'web9' }],
  };
  const marks = { get: (host: string) => (host === 'h3' ? {} : undefined) };
  const deciding = { pool, marks } as unknown as Deciding;
  expect(roomsOf(deciding, 'h1', undefined, ['h4']).map((one) => [one.host, one.vservers])).toEqual([
    ['h5', ['web9']],
  ]);
  expect(roomsOf(deciding, 'h1', ['h2', 'h3', 'h4'], ['h4']).map((one) => one.host)).toEqual(['h4']);
});
