import { describe, expect, test } from 'vitest';
import type { Agents } from '../../services/orchestrator/agent.ts';
import type { Plan } from '../../services/orchestrator/build.ts';
import type { BackupPlan } from '../../services/orchestrator/plans/backup.ts';
import { VsError } from '../../shared/errors.ts';
import { fresh, life } from './copies-kit.ts';
import { dying } from './saga-kit.ts';

const TIME = { timeout: 60_000 };
const uuid = '9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11';
const backup = (more: Partial<BackupPlan> = {}): Plan => ({
  kind: 'backup',
  plan: {
    name: 'web1',
    source: 'host1',
    target: 'master',
    sourceAddress: '10.0.0.1',
    copy: 'rsync',
    channel: 'tls',
    bytes: 1e6,
    files: 10,
    kind: 'snapshot',
    mode: 'cold',
    stop: true,
    repository: 'main',
    uuid,
    epoch: 1,
    running: true,
    enabled: true,
    ...more,
  },
});
const modes: [string, Partial<BackupPlan>][] = [
  ['hot, by a snapshot', { mode: 'hot', stop: false }],
  ['hot, live', { mode: 'hot', stop: false, kind: 'live' }],
  ['cold, by a snapshot', {}],
  ['cold, stopped meanwhile', { kind: 'stopped' }],
  ['of one that is stopped', { kind: 'stopped', stop: false, running: false }],
];

/** A host and a repository in memory. What a person does comes before the call of that name. */
function world(start: { running: boolean; person?: { before: string; running: boolean } }) {
  const here = { running: start.running, locked: false, snapshot: false, open: false, sealed: 0 };
  const calls: string[] = [];
  const fault: { at?: number; text?: string } = {};
  const did = new Set<string>();
  const act: Record<string, (args: { saga?: string }) => object | void> = {
    'host-agent.lock': () => (
      (here.locked = true),
      { state: here.running ? 'running' : 'stopped', epoch: 1, uuid }
    ),
    'host-agent.unlock': () => void (here.locked = false),
    'host-agent.stop': () => void (here.running = false),
    'host-agent.start': () => {
      if (!here.locked) throw new Error('it is started and not held');
      here.running = true;
    },
    'snapshot.renew': () => void (here.snapshot = true),
    'snapshot.take': () => ((here.snapshot = true), { frozenMs: 12 }),
    'snapshot.list': () => ({ snapshots: here.snapshot ? [{ saga: 's1', label: 'backup', ts: 1 }] : [] }),
    'snapshot.remove': () => void (here.snapshot = false),
    'repository.open': () => ((here.open = true), { resumed: false, shares: 'links', free: 1e9 }),
    'repository.discard': () => void (here.open = false),
    'repository.seal': ({ saga = '' }) => {
      if (!here.open && !did.has(saga)) throw new VsError('conflict', 'nothing is open');
      if (!did.has(saga)) here.sealed++;
      did.add(saga);
      here.open = false;
      return { backup: { id: '20261127T030000Z', addedBytes: 5 } };
    },
    'transfer.open': () => ({ address: '10.0.0.2', port: 1, secret: 'SECRET', received: [] }),
    'transfer.send': () => ({ bytes: 100, ms: 1, began: 1, treeBytes: 100, treeFiles: 1 }),
  };
  const agents: Agents = {
    seal: (_host, secret) => `sealed ${secret.length}`,
    async ask(_host, command, args, context, options) {
      context.command(`${command}${options?.tag ?? ''}`);
      if (start.person?.before === command) here.running = start.person.running;
      calls.push(command);
      const result = act[command]?.(args as object) ?? {};
      if (calls.length === fault.at) throw new VsError('failed', fault.text ?? 'it broke');
      return result as never;
    },
  };
  return { agents, calls, fault, here };
}

describe.each(modes)('%s', (_name, more) => {
  const start = { running: more.running ?? true };
  const whole = { running: start.running, locked: false, snapshot: false, open: false, sealed: 1 };

  test(
    'each call failing once: it runs as before, nothing is held, and half a backup is none',
    TIME,
    async () => {
      const dry = world(start);
      expect((await life(fresh(), backup(more), dry.agents)).result).toBe('done');
      expect(dry.here).toEqual(whole);
      for (let at = 1; at <= dry.calls.length; at++) {
        const one = world(start);
        one.fault.at = at;
        const { result } = await life(fresh(), backup(more), one.agents);
        const what = `call ${at}: ${dry.calls[at - 1]}`;
        const sealed = one.here.sealed;
        expect([what, { ...one.here, snapshot: false }]).toEqual([what, { ...whole, sealed }]);
        expect([what, sealed], what).toEqual([what, at < dry.calls.indexOf('repository.seal') + 1 ? 0 : 1]);
        if (at <= dry.calls.indexOf('repository.seal')) expect(result, what).toBe('undone');
        // what could not be cleared away after a good backup stays for the next one
        if (result === 'undone') expect(one.here.snapshot, what).toBe(false);
      }
    },
  );
  test('a crash at each line of the journal', TIME, async () => {
    for (const written of [true, false])
      for (let last = 1; ; last++) {
        const one = world(start);
        const journals = fresh();
        const crashed = await life(dying(journals, last, written), backup(more), one.agents).then(
          () => false,
          () => true,
        );
        if (!crashed) break;
        if (journals.read('s1').some((line) => line.kind === 'end')) continue;
        const { result } = await life(journals, backup(more), one.agents);
        expect([last, result, one.here]).toEqual([last, 'done', whole]);
      }
  });
});

test('who was stopped by a person meanwhile is not started: before the lock, and after it ran again', async () => {
  const before = world({ running: true, person: { before: 'host-agent.lock', running: false } });
  expect((await life(fresh(), backup(), before.agents)).result).toBe('done');
  expect(before.calls).not.toContain('host-agent.start');
  expect(before.here.running).toBe(false);
  const after = world({ running: true, person: { before: 'transfer.send', running: false } });
  const sent = world({ running: true });
  await life(fresh(), backup(), sent.agents);
  after.fault.at = sent.calls.indexOf('transfer.send') + 1;
  expect((await life(fresh(), backup(), after.agents)).result).toBe('undone');
  expect(after.here).toMatchObject({ running: false, locked: false });
});

test('a repository that is full keeps nothing, and says so', async () => {
  const one = world({ running: true });
  const dry = world({ running: true });
  await life(fresh(), backup(), dry.agents);
  one.fault.at = dry.calls.indexOf('transfer.send') + 1;
  one.fault.text = 'no space left for the copy: rsync';
  const { message } = await life(fresh(), backup(), one.agents);
  expect(message).toMatch(/the repository main is full/);
  expect(one.here).toMatchObject({ running: true, open: false, snapshot: false, sealed: 0 });
});
