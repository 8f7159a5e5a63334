import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { locate } from '../../services/orchestrator/locate.ts';
import { openNoselect } from '../../services/orchestrator/noselect.ts';
import { lost } from '../../services/orchestrator/plans/recover.ts';
import { requirePlace } from '../../services/orchestrator/plans/put.ts';
import type { Pool } from '../../services/orchestrator/pool.ts';
import { type Source, pickSource } from '../../services/orchestrator/sources.ts';
import { commands } from '../../shared/contract/commands.ts';
import { type VserverState, vserverState } from '../../shared/contract/vserver.ts';
import { temporary } from './temporary.ts';

const one = (host: string, more: Partial<VserverState> = {}): VserverState =>
  vserverState.parse({
    host,
    name: 'web1',
    state: 'stopped',
    enabled: false,
    address: '10.60.10.5',
    mac: '02:1a:2b:3c:4d:5e',
    network: 'blue',
    epoch: 1,
    uuid: '9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11',
    limits: {},
    ts: 1,
    ...more,
  });
const other = '11111111-6f43-4f0f-9d51-7a2d0f7c9a11';
const running = { state: 'running' } as const;

describe('where a vserver is', () => {
  test.each<[string, VserverState[], string | RegExp, string[]?]>([
    ['nowhere', [], /no vserver web1/],
    ['of another name', [one('host1', { name: 'web2' })], /no vserver web1/],
    ['the only one that has it', [one('host1')], 'host1'],
    ['the only one that has it, owned by nobody', [one('host1', { epoch: 0 })], 'host1'],
    ['where it runs', [one('host1', { uuid: other, enabled: true }), one('host2', running)], 'host2'],
    ['else where it is enabled', [one('host1', { uuid: other }), one('host2', { enabled: true })], 'host2'],
    ['else the only one that is owned', [one('host1', { epoch: 0 }), one('host2')], 'host2'],
    [
      'enabled and not owned does not count',
      [one('host1', { epoch: 0, enabled: true }), one('host2', { uuid: other })],
      'host2',
    ],
    ['two that run', [one('host2', running), one('host1', { ...running, uuid: other })], /host1 and host2/],
    [
      'two that are enabled',
      [one('host1', { enabled: true }), one('host2', { enabled: true, uuid: other })],
      /host1 and host2; name the host/,
    ],
    ['two that are neither', [one('host1'), one('host2', { uuid: other })], /host1 and host2/],
    [
      'a dead host that had it running when another one took over',
      [one('host1', { ...running, enabled: true, epoch: 3 }), one('host2', { epoch: 4 })],
      'host2',
    ],
    [
      'the same epochs of two vservers say nothing',
      [one('host1', { ...running, epoch: 3 }), one('host2', { ...running, epoch: 4, uuid: other })],
      /host1 and host2/,
    ],
    [
      'not on a host that is noselect',
      [one('host1', { enabled: true }), one('host3', running)],
      'host1',
      ['host3'],
    ],
    ['on one that is noselect when no other has it', [one('host3', running)], 'host3', ['host3']],
    [
      'an old copy elsewhere is not preferred to the vserver on a noselect host',
      [one('host1', { epoch: 0 }), one('host3', { ...running, epoch: 2 })],
      'host3',
      ['host3'],
    ],
  ])('%s', (_, known, expected, noselect = []) => {
    const found = () => locate('web1', known, new Set(noselect)).host;
    if (typeof expected === 'string') expect(found()).toBe(expected);
    else expect(found).toThrow(expected);
  });

  test('slaves.conf is read again when it changes; one with a fault leaves what was known', () => {
    const directory = temporary('noselect');
    const file = join(directory, 'slaves.conf');
    const hosts = openNoselect({ CONFIG_DIR: directory });
    expect([...hosts()]).toEqual([]);
    writeFileSync(file, 'host1\nhost3:noselect\n');
    expect([...hosts()]).toEqual(['host3']);
    writeFileSync(file, 'host3:nosuch option at all\n');
    expect([...hosts()]).toEqual(['host3']);
    writeFileSync(file, 'host1:noselect\nhost3\n');
    expect([...hosts()]).toEqual(['host1']);
  });
});

/** A pool of these vservers; `online` are the hosts that can be asked. */
const poolOf = (known: VserverState[], online: string[]) =>
  ({
    of: (name: string) => known.filter((vserver) => vserver.name === name),
    all: () => known,
    isOnline: (host: string) => online.includes(host),
    requireHost: () => ({ networks: ['blue'] }),
  }) as unknown as Pool;

describe('recover', () => {
  test.each<[string, VserverState[], string | RegExp]>([
    ['its host is offline', [one('host1', { epoch: 3 })], 'host1'],
    ['its host is online', [one('host2', { epoch: 3 })], /web1 is on host2, which is online.*vs move web1/],
    ['nowhere', [], /no vserver web1 in the pool.*vs put web1/],
    [
      'the host that has it last is offline, another one has an old copy',
      [one('host1', { epoch: 3 }), one('host2', { epoch: 0 })],
      'host1',
    ],
    [
      'it was recovered already',
      [one('host1', { epoch: 3 }), one('host2', { epoch: 4 })],
      /is on host2, which is online/,
    ],
    ['nobody owns it', [one('host2', { epoch: 0 })], /owned by nobody.*vs remove web1 --host host2/],
  ])('%s', (_, known, expected) => {
    const found = () => lost(poolOf(known, ['host2', 'host3']), 'web1').host;
    if (typeof expected === 'string') expect(found()).toBe(expected);
    else expect(found).toThrow(expected);
  });

  const sources: Source[] = [
    { from: 'host3', entry: 'move-2', taken: 3000, epoch: 2 },
    { from: 'master', taken: 2000, epoch: 1 },
    { from: 'host2', entry: 'move-1', taken: 1000, epoch: 1 },
  ];
  test.each<[string | undefined, string | RegExp]>([
    [undefined, 'host3'],
    ['master', 'master'],
    ['host2', 'host2'],
    ['host4', /no copy of web1 in the trash of host4.*there is the old copy in the trash of host3/],
  ])('from %s', (from, expected) => {
    if (typeof expected === 'string') expect(pickSource(sources, 'web1', from).from).toBe(expected);
    else expect(() => pickSource(sources, 'web1', from)).toThrow(expected);
  });
  test('without any copy there is nothing to recover from', () => {
    expect(() => pickSource([], 'web1', undefined)).toThrow(/so it cannot be recovered/);
  });

  test.each([
    [{ name: 'web1', host: 'host2', confirm: 'web1' }, true],
    [{ name: 'web1', host: 'host2', dryRun: true }, true],
    [{ name: 'web1', host: 'host2' }, false],
    [{ name: 'web1', host: 'host2', confirm: 'web2' }, false],
    [{ name: 'web1', host: 'host2', confirm: 'web2', dryRun: false }, false],
  ])('the command %j counts: %s', (args, good) => {
    expect(commands['orchestrator.recover'].args.safeParse(args).success).toBe(good);
  });
});

describe('what comes to a host', () => {
  const copy = one('host1');
  test.each<[string, VserverState[], Partial<VserverState>, RegExp | undefined]>([
    ['beside nothing', [], {}, undefined],
    ['beside what the dead host had of it', [one('host1')], {}, undefined],
    [
      'beside another one with its address',
      [one('host3', { uuid: other, name: 'db' })],
      {},
      /belongs to db on host3/,
    ],
    [
      'in a network that the host has not',
      [],
      { network: 'green' },
      /host2 has no network green; it has blue/,
    ],
  ])('%s', (_, known, more, refusal) => {
    const place = () => requirePlace(poolOf(known, ['host2']), 'host2', { ...copy, ...more });
    if (refusal) expect(place).toThrow(refusal);
    else expect(place).not.toThrow();
  });
});
