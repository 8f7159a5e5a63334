import { readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { SagaState } from '../../shared/contract/saga.ts';
import { openArchive } from '../../services/orchestrator/archive.ts';
import { openJournals } from '../../services/orchestrator/journal.ts';
import { runnerWorld } from './runner-kit.ts';
import { temporary } from './temporary.ts';

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

test('an abort that comes once more, right behind the end, is refused, and adds nothing to the journal', async () => {
  const journals = openJournals(temporary('runner'));
  let again: Promise<unknown> | undefined;
  const world = runnerWorld(
    { SAGAS_PER_HOST: 1 },
    {
      ...journals,
      append(id, line) {
        journals.append(id, line);
        if (line.kind === 'end')
          queueMicrotask(() => {
            again = world.runner.abort(id, 'bert').catch(String);
          });
      },
    },
  );
  world.remove('web1', 'host1');
  const { state } = world.remove('web2', 'host1');
  await world.runner.abort(state.id, 'anna');
  expect(await again).toContain('has ended');
  expect(journals.read(state.id).at(-1)?.kind).toBe('end');
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

test('a saga is over when it has ended well or was undone, and nobody knows before a start is complete', async () => {
  const world = runnerWorld();
  const { state, ended } = world.remove('web1', 'host1');
  await world.asked('web1');
  expect(world.runner.isOver(state.id)).toBe(false);
  const life = world.restart();
  expect([life.runner.isOver(state.id), life.runner.isOver('forgotten')]).toEqual([false, false]);
  life.runner.resume();
  expect([life.runner.isOver(state.id), life.runner.isOver('forgotten')]).toEqual([false, true]);
  life.answerAll();
  await vi.waitFor(() => expect(life.runner.isOver(state.id)).toBe(true), { timeout: 10_000 });
  world.answerAll();
  await ended;
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
  expect(life.runner.list({ limit: 10 })).toHaveLength(1);
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
  const directory = temporary('full');
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
  await vi.waitFor(
    () => expect(world.alerts.get('web1 journal')).toMatch(/no space left.*goes on by itself/),
    { timeout: 10_000 },
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

test('a host is given up only by a word that is on the disk: else its saga goes on and asks it', async () => {
  const journals = openJournals(temporary('forsake'));
  let full = true;
  const world = runnerWorld(
    {},
    {
      ...journals,
      append(id, line) {
        if (full && line.kind === 'abort') throw new Error('ENOSPC: no space left on device, write');
        journals.append(id, line);
      },
    },
  );
  const one = world.remove('web1', 'host1');
  const other = world.remove('web2', 'host1');
  await world.asked('web1', 'web2');
  await expect(world.runner.forsake(one.state.id, 'host1', 'anna')).rejects.toThrow(/it is not aborted/);
  full = false;
  const forsaken = world.runner.forsake(other.state.id, 'host1', 'anna');
  world.answerAll();
  expect([(await one.ended).result, (await forsaken).result]).toEqual(['done', 'undone']);
  expect(world.calls).toContain('host-agent.release@host1 web1');
  expect(world.calls).not.toContain('host-agent.unlock@host1 web2');
});

/** Changes a character in a line of a journal, as a failing disk does. */
function spoil(file: string, line: number): void {
  const lines = readFileSync(file, 'utf8').split('\n');
  lines[line - 1] = lines[line - 1]?.replace(/"kind":"(.)/, '"kind":"_') ?? '';
  writeFileSync(file, lines.join('\n'));
}

test('a damaged journal holds its own vserver only, says so, and is forgotten once the file is moved away', async () => {
  const directory = temporary('damaged');
  const world = runnerWorld({}, openJournals(directory));
  const { state } = world.remove('web1', 'host1');
  await world.asked('web1');
  const file = join(directory, `${state.id}.jsonl`);
  spoil(file, 2);
  const life = runnerWorld({}, openJournals(directory));
  life.runner.resume();
  const [listed] = life.runner.list({ limit: 10 });
  expect(listed).toMatchObject({ id: state.id, vserver: 'web1', result: 'stuck' });
  expect(listed?.message).toMatch(/\.jsonl:2 is damaged/);
  expect(life.alerts.get('web1 saga')).toMatch(/\.jsonl:2 is damaged/);
  expect(() => life.remove('web1', 'host1')).toThrow(/a saga has web1 already/);
  await expect(life.runner.again(state.id)).rejects.toThrow(/\.jsonl:2 is damaged/);
  const other = life.remove('web2', 'host1');
  await life.asked('web2');
  life.answer('web2');
  expect((await other.ended).result).toBe('done');
  renameSync(file, `${file}.away`);
  expect(life.runner.list({ limit: 10, running: true })).toEqual([]);
  expect(life.alerts.get('web1 saga')).toBe('');
  life.remove('web1', 'host1');
  await life.asked('web1');
});

test('as long as a damaged journal could be about any vserver nothing begins; a mended one goes on by itself', async () => {
  const directory = temporary('damaged');
  const world = runnerWorld({}, openJournals(directory));
  const { state } = world.remove('web1', 'host1');
  const running = world.remove('web2', 'host1');
  await world.asked('web1', 'web2');
  const file = join(directory, `${state.id}.jsonl`);
  const good = readFileSync(file);
  spoil(file, 1);
  const life = runnerWorld({}, openJournals(directory));
  life.runner.resume();
  expect(life.runner.damaged()).toMatchObject([{ id: state.id, known: false }]);
  expect(life.alerts.get('orchestrator journal')).toMatch(/\.jsonl:1 is damaged/);
  expect(() => life.remove('web3', 'host2')).toThrow(/no saga begins.*\.jsonl:1 is damaged/);
  await life.asked('web2'); // what runs is not it, and goes on
  life.answer('web2');
  await vi.waitFor(() => expect(life.runner.show(running.state.id).saga.result).toBe('done'), {
    timeout: 10_000,
  });
  writeFileSync(file, good);
  life.remove('web3', 'host2');
  await life.asked('web1', 'web3');
  expect(life.alerts.get('orchestrator journal')).toBe('');
  expect(life.runner.damaged()).toEqual([]);
});

test(
  'finished sagas go to the archive, are shown from there after a restart, and leave it with their topics',
  { timeout: 60_000 },
  async () => {
    const directory = temporary('archive');
    const settings = { SAGAS_KEPT: 20 };
    const parts = () => ({
      archive: openArchive(join(directory, 'archive.db'), (message) => expect.unreachable(message)),
    });
    const world = runnerWorld(settings, openJournals(directory), parts());
    world.answerAll();
    const ids: string[] = [];
    for (let count = 0; count < 120; count++) {
      const { state, ended } = world.remove(`web${count}`, 'host1');
      ids.push(state.id);
      expect((await ended).result).toBe('done');
    }
    const plain = readdirSync(directory).filter((name) => name.endsWith('.jsonl'));
    expect(plain.length).toBeLessThanOrEqual(70);
    const life = runnerWorld(settings, openJournals(directory), parts());
    life.runner.resume();
    const listed = life.runner.list({ limit: 1000 }).map((one) => one.id);
    expect(listed).toEqual(ids.toReversed().slice(0, plain.length + 20));
    const oldest = listed.at(-1) ?? '';
    expect(plain).not.toContain(`${oldest}.jsonl`);
    const { saga, journal } = life.runner.show(oldest);
    expect([saga.result, journal[0]?.kind, journal.at(-1)?.kind]).toEqual(['done', 'begin', 'end']);
    expect(life.runner.list({ limit: 10, vserver: saga.vserver }).map((one) => one.id)).toEqual([oldest]);
    const pruned = ids.slice(0, 120 - listed.length);
    expect(pruned.map((id) => world.retained.get(`vs/1/sagas/${id}/state`))).toEqual(pruned.map(() => null));
    expect(() => life.runner.show(pruned[0] ?? '')).toThrow(/there is no saga/);
    await vi.waitFor(() => expect([...life.retained.keys()]).toHaveLength(listed.length), {
      timeout: 10_000,
    });
  },
);

test('a damaged archive is put aside and holds nothing up', () => {
  const directory = temporary('archive');
  writeFileSync(join(directory, 'archive.db'), 'no database at all'.repeat(1000));
  const warn = vi.fn<(message: string) => void>();
  const archive = openArchive(join(directory, 'archive.db'), warn);
  expect(archive.list(10)).toEqual([]);
  expect(warn).toHaveBeenCalledWith(expect.stringContaining('archive of sagas is damaged; it lies in'));
  const state = { id: 'a', vserver: 'web1', started: 1, ended: 2 } as SagaState;
  archive.add([{ state, journal: [{ ts: 1, kind: 'begin' }] }]);
  expect(archive.get('a')).toEqual({ state, journal: [{ ts: 1, kind: 'begin' }] });
  expect(archive.prune(10, 1, 2 + 86_400_001)).toEqual(['a']);
  archive.close();
});
