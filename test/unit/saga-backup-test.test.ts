import { expect, test } from 'vitest';
import type { Agents } from '../../services/orchestrator/agent.ts';
import type { Plan } from '../../services/orchestrator/build.ts';
import { hostForTest, trialName } from '../../services/orchestrator/plans/backup-test.ts';
import type { BackupProof } from '../../shared/contract/backup.ts';
import { VsError } from '../../shared/errors.ts';
import { fresh, life } from './copies-kit.ts';
import { dying } from './saga-kit.ts';

const TIME = { timeout: 60_000 };
const plan: Plan = {
  kind: 'backup-test',
  plan: {
    name: 'web1-test',
    of: 'web1',
    source: 'master',
    target: 'host2',
    sourceAddress: '10.0.0.9',
    copy: 'rsync',
    channel: 'tls',
    bytes: 1e6,
    files: 10,
    backup: { repository: 'main', id: '20261127T030000Z' },
    taken: 1,
    patience: 1000,
  },
};

/** A host and a repository in memory; `good`: what a try finds. */
function world(good = true) {
  const here = { held: false, locked: false, staged: false, running: false };
  const proofs: BackupProof[] = [];
  const calls: string[] = [];
  const fault: { at?: number } = {};
  const act: Record<string, (args: never) => object | void> = {
    'repository.hold': () => void (here.held = true),
    'repository.free': () => void (here.held = false),
    'host-agent.lock': () => ((here.locked = true), { state: 'stopped', epoch: 0, enabled: false }),
    'host-agent.unlock': () => void (here.locked = false),
    'snapshot.allocate': () => ((here.staged = true), { free: 1e9 }),
    'snapshot.discard': () => {
      if (here.running) throw new Error('what runs lies there');
      here.staged = false;
    },
    'transfer.open': () => ({ address: '10.0.0.2', port: 1, secret: 'SECRET', received: [] }),
    'transfer.send': () => {
      if (!here.held) throw new Error('nobody keeps the backup');
      return { bytes: 100, ms: 1, began: 1, treeBytes: 100, treeFiles: 1 };
    },
    'host-agent.try': () => {
      if (!here.locked || !here.staged) throw new Error('nothing is staged');
      here.running = true; // and its agent may be killed before it ends it
      return {
        ms: 5,
        checks: [
          { check: 'init', ok: true, message: 'it runs' },
          { check: 'DAEMON=web', ok: good, message: good ? 'well' : 'refused' },
        ],
      };
    },
    'host-agent.end-try': () => void (here.running = false),
    'repository.prove': ({ proof }: { proof: BackupProof }) => void proofs.push(proof),
  };
  const agents: Agents = {
    seal: (_host, secret) => `sealed ${secret.length}`,
    async ask(_host, command, args, context, options) {
      context.command(`${command}${options?.tag ?? ''}`);
      calls.push(command);
      const result = act[command]?.(args as never) ?? {};
      if (calls.length === fault.at) throw new VsError('failed', 'it broke');
      return result as never;
    },
  };
  return { agents, calls, fault, here, proofs };
}
const nothing = { held: false, locked: false, staged: false, running: false };

test('a good backup is proved, a bad one is named; nothing of either is left', async () => {
  const good = world();
  const done = await life(fresh(), plan, good.agents);
  expect(done).toMatchObject({ result: 'done' });
  expect(done.message).toMatch(/20261127T030000Z of web1 is proved/);
  expect([good.here, good.proofs]).toEqual([
    nothing,
    [expect.objectContaining({ ok: true, host: 'host2', ms: 5 })],
  ]);
  const bad = world(false);
  const undone = await life(fresh(), plan, bad.agents);
  expect(undone).toMatchObject({ result: 'undone' });
  expect(undone.message).toMatch(/is not proved: .*DAEMON=web: refused/);
  expect([bad.here, bad.proofs]).toEqual([nothing, [expect.objectContaining({ ok: false })]]);
});

test(
  'each call failing once: nothing is left, and what was not looked at is not called proved',
  TIME,
  async () => {
    const dry = world();
    await life(fresh(), plan, dry.agents);
    for (let at = 1; at <= dry.calls.length; at++) {
      const one = world();
      one.fault.at = at;
      const { result } = await life(fresh(), plan, one.agents);
      const what = `call ${at}: ${dry.calls[at - 1]}`;
      expect([what, result, one.here]).toEqual([what, 'undone', nothing]);
      if (at < dry.calls.indexOf('repository.prove')) expect([what, one.proofs]).toEqual([what, []]);
    }
  },
);

test(
  'a crash at each line of the journal ends with the same proof, and with nothing left',
  TIME,
  async () => {
    for (const good of [true, false])
      for (const written of [true, false])
        for (let last = 1; ; last++) {
          const one = world(good);
          const journals = fresh();
          const crashed = await life(dying(journals, last, written), plan, one.agents).then(
            () => false,
            () => true,
          );
          if (!crashed) break;
          if (journals.read('s1').some((line) => line.kind === 'end')) continue;
          const { result } = await life(journals, plan, one.agents);
          expect([last, result, one.here]).toEqual([last, good ? 'done' : 'undone', nothing]);
          expect([last, new Set(one.proofs.map(({ ok }) => ok))]).toEqual([last, new Set([good])]);
        }
  },
);

test('it is called as nobody else is', () => {
  expect(trialName('web1', new Set())).toBe('web1-test');
  expect(trialName('web1', new Set(['web1-test', 'web1-test2']))).toBe('web1-test3');
  expect(trialName('a'.repeat(32), new Set())).toBe(`${'a'.repeat(27)}-test`);
});

test('the host that tries it has room for it, or it is said why none has', () => {
  const host = (name: string, free: number, memory: number) => ({
    host: name,
    cpus: 2,
    mem_bytes: 8e9,
    mem_free_bytes: memory,
    storage: { free } as never,
  });
  const all = [host('host1', 1e9, 4e9), host('host2', 9e9, 1e9), host('host3', 9e9, 4e9)];
  expect(hostForTest(all, { bytes: 2e9, memory: 2e9 })).toBe('host3');
  expect(hostForTest(all, { bytes: 2e9, memory: undefined })).toBe('host2');
  expect(() => hostForTest(all.slice(0, 2), { bytes: 2e9, memory: 2e9 })).toThrow(
    /host1 has 1\.0 GB of disk free, not 2\.2 GB; host2 has 1\.0 GB of memory free/,
  );
});
