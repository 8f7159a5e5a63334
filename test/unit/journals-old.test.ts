import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import { type CommandName, commands } from '../../shared/contract/commands.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { topicsFor } from '../../shared/contract/topics.ts';
import { VsError } from '../../shared/errors.ts';
import { sealKey } from '../../shared/seal.ts';
import { openArchive } from '../../services/orchestrator/archive.ts';
import { type Journals, type Line, parseJournal } from '../../services/orchestrator/journal.ts';
import type { Pool } from '../../services/orchestrator/pool.ts';
import { sagaRunner } from '../../services/orchestrator/runner.ts';
import { temporary } from './temporary.ts';

const folder = new URL('../fixtures/journals', import.meta.url).pathname;
/** One of each kind and end, as written by each version whose format differs: early, transport, channel, checksum. */
const fixtures = readdirSync(folder).filter((name) => name.endsWith('.jsonl'));

/** Secrets in commands are sealed for each host. */
const key = sealKey({ STATE_DIR: temporary('key') });

const settings = loadSettings({ file: '/nonexistent', env: {} });

type World = Record<'owner' | 'running' | 'trees' | 'staging' | 'locks', Set<string>>;
const world = (owner: string, running: string): World => ({
  owner: new Set(owner ? [owner] : []),
  running: new Set(running ? [running] : []),
  trees: new Set(owner ? [owner] : []),
  staging: new Set(),
  locks: new Set(),
});
/** What each step does to the world, and its undo. */
function effects(
  source: string,
  target: string,
): Record<string, [(w: World) => void, ((w: World) => void)?]> {
  const both = [source, target];
  return {
    lock: [(w) => both.forEach((host) => w.locks.add(host)), (w) => w.locks.clear()],
    stage: [(w) => w.staging.add(target), (w) => w.staging.clear()],
    stop: [(w) => w.running.delete(source), (w) => w.running.add(source)],
    adopt: [(w) => [w.trees.add(target), w.staging.delete(target)], (w) => w.trees.delete(target)],
    'give up': [(w) => w.owner.delete(source)],
    'take over': [(w) => w.owner.add(target)],
    own: [(w) => w.owner.add(target), (w) => w.owner.delete(target)],
    start: [(w) => w.running.add(target), (w) => w.running.delete(target)],
    'clean up': [(w) => [w.trees.delete(source), w.staging.clear(), w.locks.clear()]],
    trash: [(w) => [w.trees.clear(), w.locks.clear()]],
    unlock: [(w) => [w.staging.clear(), w.locks.clear()]],
  };
}
/** Hosts that are in the state in which these lines left them; `half`: what was begun last has happened. */
function worldAfter(kind: string, lines: Line[], half: boolean): World {
  const isStopped = String((lines[0]?.['state'] as SagaState | undefined)?.id).endsWith('-stopped');
  const now =
    kind === 'create' ? world('', '') : world('host1', kind === 'move' && !isStopped ? 'host1' : '');
  const table = kind === 'move' ? effects('host1', 'host2') : effects('host1', 'host1');
  for (const [index, line] of lines.entries()) {
    const [run, undo] = table[line.step ?? ''] ?? [];
    const isLast = index === lines.length - 1;
    if (line.kind === 'succeeded' || (line.kind === 'started' && isLast && half)) run?.(now);
    if (line.kind === 'undone' || (line.kind === 'undoing' && isLast && half)) undo?.(now);
  }
  return now;
}

/** Journals in memory: how they lie on the disk is the matter of another test. */
function memoryJournals(id: string, lines: Line[]): Journals {
  const kept = [...lines];
  return {
    append: (_id, entry) => void kept.push({ ts: Date.now(), ...entry }),
    read: () => structuredClone(kept),
    ids: () => [id],
    has: () => true,
    remove: () => undefined,
  };
}
/** One finished saga is never archived, so it stays empty. */
const archive = openArchive(':memory:', () => undefined);

/** The next life of the orchestrator, over this journal and these hosts. */
function life(journals: Journals, now: World) {
  const { plan } = journals.read(journals.ids()[0] ?? '')[0] as { plan?: { plan?: { uuid?: string } } };
  const uuid = plan?.plan?.uuid;
  const calls: string[] = [];
  let passes = 0;
  const need = (ok: boolean, message: string) => {
    if (!ok) throw new VsError('refused', message);
  };
  const act: Record<string, (host: string) => object | void> = {
    'host-agent.lock': (host) => (
      now.locks.add(host),
      { epoch: 3, enabled: true, uuid, state: now.running.has(host) ? 'running' : 'stopped' }
    ),
    'host-agent.unlock': (host) => void now.locks.delete(host),
    'snapshot.allocate': (host) => (now.staging.add(host), { path: '', free: 1e9 }),
    'snapshot.discard': (host) => void now.staging.delete(host),
    'transfer.open': () => ({
      address: '10.98.0.12',
      port: 1,
      secret: 's',
      received: Array.from({ length: passes }, (_one, at) => `p${at}`),
    }),
    'transfer.send': () => (passes++, { bytes: 100, ms: 1, began: 1 }),
    'transfer.suspects': () => ({ files: 0 }),
    'host-agent.prepare': (host) => need(now.staging.has(host), 'nothing is staged'),
    'snapshot.adopt'(host) {
      now.trees.add(host);
      now.staging.delete(host);
    },
    'snapshot.evict'(host) {
      need(!now.owner.has(host), `${host} owns it`);
      now.trees.delete(host);
    },
    'snapshot.trash': (host) => (now.trees.delete(host), { until: 0 }),
    'host-agent.stop': (host) => void now.running.delete(host),
    'host-agent.start'(host) {
      need(now.owner.has(host), `${host} does not own it`);
      now.running.add(host);
    },
    'host-agent.release'(host) {
      need(!now.running.has(host), 'it runs');
      now.owner.delete(host);
      return { epoch: 3, enabled: true };
    },
    'host-agent.claim': (host) => void now.owner.add(host),
    'network.check': () => ({}),
    'template.ensure': () => ({ kind: 'busybox' }),
    'host-agent.install': () => ({ bytes: 1, files: 1 }),
  };
  const bus = {
    target: 'master',
    topics: topicsFor('vs/1'),
    connected: false,
    retain: () => undefined,
    alert: () => undefined,
    event: () => undefined,
    async request(host: string, command: CommandName, args: object) {
      calls.push(`${command}@${host}`);
      commands[command].args.parse(args); // a plan that was not migrated has not all of them
      const answer = act[command]?.(host) ?? {};
      if (now.running.size > 1 || now.owner.size > 1) throw new Error('two of them');
      return answer;
    },
  };
  const pool = {
    isOnline: () => true,
    life: () => 'one',
    info: () => ({ seal: key }),
    all: () => [],
  } as unknown as Pool;
  const quiet = () => undefined;
  const runner = sagaRunner({ bus, settings, log: { warn: quiet, error: quiet } } as never, pool, {
    journals,
    archive,
    clock: { now: () => Date.now(), elapsed: () => performance.now(), sleep: () => Promise.resolve() },
  });
  runner.resume();
  return { runner, calls };
}
test('there is a journal of each version', () => {
  const versions = new Set(fixtures.map((name) => name.split('-')[1]));
  expect([...versions].sort()).toEqual(['channel', 'checksum', 'early', 'transport']);
});

test.each(fixtures)(
  '%s, cut at each line, is taken to its end by this version',
  { timeout: 60_000 },
  async (name) => {
    const text = readFileSync(join(folder, name), 'utf8').trimEnd().split('\n');
    const { lines } = parseJournal(Buffer.from(`${text.join('\n')}\n`), name);
    const { id = '', kind = 'move' } = (lines[0]?.['state'] ?? {}) as Partial<SagaState>;
    for (let count = 1; count <= lines.length; count++) {
      const some = lines.slice(0, count);
      const isOpen = ['started', 'undoing'].includes(some.at(-1)?.kind ?? '');
      for (const half of isOpen ? [false, true] : [false]) {
        const now = worldAfter(kind, some, half);
        const { runner, calls } = life(memoryJournals(id, some), now);
        const isOver = some.at(-1)?.kind === 'end';
        if (runner.show(id).saga.result === 'stuck') await runner.again(id, 'anna');
        else if (isOver) expect(calls).toEqual([]);
        await vi.waitFor(() => expect(runner.show(id).saga.result).not.toBe('running'), {
          interval: 2,
          timeout: 10_000,
        });
        const { result, message } = runner.show(id).saga;
        const isBack = some.some((line) => line.kind === 'failed');
        expect([count, half, result], message).toEqual([count, half, isBack ? 'undone' : 'done']);
        if (isOver) continue;
        const there = kind === 'move' ? 'host2' : kind === 'create' ? 'host1' : '';
        const before = kind === 'create' ? '' : 'host1';
        const at = result === 'done' ? there : before;
        expect([...now.owner], `line ${count}`).toEqual(at ? [at] : []);
        expect([...now.trees], `line ${count}`).toEqual(at ? [at] : []);
        expect([...now.staging, ...now.locks], `line ${count}`).toEqual([]);
        const isRunning = kind === 'create' ? result === 'done' : kind === 'move' && !id.endsWith('-stopped');
        expect([...now.running], `line ${count}`).toEqual(isRunning ? [at] : []);
      }
    }
  },
);
