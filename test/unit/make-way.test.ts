import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { makeWay } from '../../services/orchestrator/make-way.ts';
import { openOwed } from '../../services/orchestrator/owed.ts';
import { channels } from '../../shared/contract/channels.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { type VserverState, vserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { temporary } from './temporary.ts';

const web1: VserverState = vserverState.parse(channels['vserverState']?.example);
const move = { ...(channels['sagaState']?.example as SagaState), id: 'move-1' };
const debt = { host: 'host1', name: 'web1', saga: 'move-1' };

/** A move of web1 that waits for host1, which is dead; `forsake`: what becomes of it. */
function world(forsake: () => Promise<SagaState>) {
  const stateDir = temporary('make-way');
  const onDisk = () => (JSON.parse(readFileSync(`${stateDir}/owed.json`, 'utf8')) as { owed: unknown }).owed;
  const context = {
    settings: { STATE_DIR: stateDir },
    log: { warn: () => undefined },
    bus: { request: async () => ({ answers: null }) },
  };
  const pool = {
    of: () => [web1],
    isOnline: () => false,
    requireHost: () => undefined,
    info: () => undefined,
  };
  const sagas = {
    homeless: () => undefined,
    list: () => [move],
    stranded: () => ({ move, target: 'host2' }),
    forsake,
  };
  const owed = openOwed(context as never, pool, () => false);
  const args = { name: 'web1', host: 'host2', confirm: 'web1' };
  return {
    onDisk,
    owed,
    run: (dryRun: boolean) =>
      makeWay(
        { deciding: { context, pool } as never, sagas: sagas as never, owed },
        { ...args, dryRun },
        'anna',
      ),
  };
}

test('what a saga leaves on a dead host is owed on the disk before the saga is ended', async () => {
  const seen: unknown[] = [];
  const one = world(async () => (seen.push(one.onDisk()), { ...move, result: 'done' }));
  const dry = await one.run(true);
  expect([dry.finish?.ended, one.owed.all()]).toEqual([undefined, []]);
  const { finish } = await one.run(false);
  expect((await finish?.ended)?.result).toBe('done');
  expect(seen).toEqual([[debt]]);
  expect(one.onDisk()).toEqual([debt]);
});

test('nothing is owed when the saga could not be ended', async () => {
  const one = world(() => Promise.reject(new VsError('refused', 'saga move-1 has ended')));
  await expect(one.run(false)).rejects.toThrow('has ended');
  await expect.poll(one.onDisk, { timeout: 10_000 }).toEqual([]);
});
