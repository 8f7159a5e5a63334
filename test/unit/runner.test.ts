import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { openJournals } from '../../services/orchestrator/journal.ts';
import { runnerWorld } from './runner-kit.ts';

test('two on a host run, the third waits in a visible state and runs in its turn', async () => {
  const world = runnerWorld();
  const first = world.remove('web1', 'host1');
  const second = world.remove('web2', 'host1');
  const third = world.remove('web3', 'host1');
  const other = world.remove('web4', 'host2');
  await world.asked('web1', 'web2', 'web4');
  expect(world.runner.show(third.state.id).saga.waits).toBe('waits for a free place on host1 (2 of 2)');
  expect(world.journal(third.state.id)).toContain('"kind":"waits"');
  expect(world.atWork()).toEqual(['web1', 'web2', 'web4']);
  world.answer('web1');
  await world.asked('web3');
  expect((await first.ended).result).toBe('done');
  expect(world.runner.show(third.state.id).saga.waits).toBeUndefined();
  for (const name of ['web2', 'web3', 'web4']) world.answer(name);
  for (const one of [second, third, other]) expect((await one.ended).result).toBe('done');
});

test('one that waits is aborted at once, and leaves the row', async () => {
  const world = runnerWorld({ SAGAS_PER_HOST: 1 });
  const first = world.remove('web1', 'host1');
  const second = world.remove('web2', 'host1');
  const third = world.remove('web3', 'host1');
  await world.asked('web1');
  const { result, message } = await world.runner.abort(second.state.id, 'anna');
  expect([result, message]).toEqual(['undone', expect.stringContaining('aborted by anna')]);
  expect(world.calls.filter((call) => call.includes('web2'))).toEqual([]);
  world.answer('web1');
  await world.asked('web3');
  world.answer('web3');
  expect([(await first.ended).result, (await third.ended).result]).toEqual(['done', 'done']);
});

test('two on one vserver never: also while it waits, after a restart, when stuck, for a dry run, or a name given twice', async () => {
  const world = runnerWorld({ SAGAS_PER_HOST: 1 });
  world.remove('web1', 'host1');
  world.remove('web2', 'host1');
  const again = (name: string, dry = false) => world.remove(name, 'host1', { dry });
  expect(() => again('web1')).toThrow(/a saga has web1 already/);
  expect(() => again('web2')).toThrow(/a saga has web2 already/);
  expect(() => again('web2', true)).toThrow(/a saga has web2 already/);
  expect(() => world.remove('web9', 'host2', { also: ['web2', 'web2'] })).toThrow(/a saga has web2 already/);
  const twice = world.remove('web5', 'host2', { also: ['web5'] });
  await world.asked('web1', 'web5');
  world.answer('web5');
  expect((await twice.ended).result).toBe('done');
  world.remove('web5', 'host2'); // let go once, and free

  const life = world.restart();
  life.runner.resume();
  expect(() => life.remove('web1', 'host1')).toThrow(/a saga has web1 already/);
  expect(() => life.remove('web2', 'host1')).toThrow(/a saga has web2 already/);
  await life.asked('web1');
  expect(life.atWork()).toEqual(['web1', 'web5']); // web2 waits as it did
  life.answer('web1');
  await life.asked('web2');
});

test('a child is begun once in all lives of its parent, and its end is told again', async () => {
  const world = runnerWorld({ SAGAS_PER_HOST: 1 });
  const parent = { id: 'evacuate-1', signal: new AbortController().signal } as never;
  const one = (life: typeof world) =>
    life.runner.children.run(parent, {
      kind: 'remove',
      tag: 'web1',
      args: {},
      plan: async () => life.planned('web1', 'host1'),
    });
  void one(world);
  await world.asked('web1');
  const life = world.restart();
  life.runner.resume();
  const ended = one(life);
  await life.asked('web1');
  expect(life.runner.list(10)).toHaveLength(1);
  life.answer('web1');
  const { id, result, parent: of } = await ended;
  expect([result, of]).toEqual(['done', 'evacuate-1']);
  expect(await one(life)).toMatchObject({ id, result: 'done' });
  expect(life.journal(id).match(/"kind":"begin"/g)).toHaveLength(1);
  const aborted = { id: 'evacuate-2', signal: AbortSignal.abort() } as never;
  const child = { kind: 'remove' as const, tag: 'x', args: {}, plan: vi.fn<() => Promise<never>>() };
  await expect(life.runner.children.run(aborted, child)).rejects.toThrow(/was aborted/);
  expect(child.plan).not.toHaveBeenCalled();
});

test('a full disk of the master is waited for: no effect before its line, an alert, and on by itself', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'vs-full-'));
  const journals = openJournals(directory);
  let full = false;
  const world = runnerWorld(
    {},
    {
      ...journals,
      append(id, line) {
        if (full)
          throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
        journals.append(id, line);
      },
    },
  );
  const one = world.remove('web1', 'host1', { epoch: 0 });
  await world.asked('web1');
  full = true;
  world.answer('web1');
  await vi.waitFor(() =>
    expect(world.alerts.get('web1 journal')).toMatch(/no space left.*goes on by itself/),
  );
  expect(world.runner.show(one.state.id).saga).toMatchObject({
    result: 'running',
    waits: expect.stringContaining('journal'),
  });
  expect(() => world.remove('web2', 'host1')).toThrow(/cannot be written.*nothing was changed/);
  await expect(world.runner.abort(one.state.id, 'anna')).rejects.toThrow(/no space left/);
  const before = world.calls.length;
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(world.calls).toHaveLength(before);
  full = false;
  world.answerAll();
  expect((await one.ended).result).toBe('done');
  expect(world.alerts.get('web1 journal')).toBe('');
  expect(readFileSync(join(directory, `${one.state.id}.jsonl`), 'utf8')).not.toContain('"waits":"');
});
