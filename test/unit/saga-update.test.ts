import { describe, expect, test } from 'vitest';
import type { Agents } from '../../services/orchestrator/agent.ts';
import { buildSaga } from '../../services/orchestrator/build.ts';
import type { Children } from '../../services/orchestrator/children.ts';
import { execute } from '../../services/orchestrator/executor.ts';
import type { Journals } from '../../services/orchestrator/journal.ts';
import type { UpdateHostPlan } from '../../services/orchestrator/plans/update-hosts.ts';
import { updateHostsSteps } from '../../services/orchestrator/sagas/update-hosts.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { VsError } from '../../shared/errors.ts';
import { fresh } from './copies-kit.ts';
import { dying, quietly } from './saga-kit.ts';

const info = (version: string) => ({
  file: `vs-tools_${version}_amd64.deb`,
  version,
  bytes: 1000,
  sha256: '0'.repeat(64),
});
const plan: UpdateHostPlan = {
  host: 'host1',
  from: '0.1.0',
  to: '0.2.0',
  sourceAddress: '10.98.0.1',
  package: info('0.2.0'),
  back: info('0.1.0'),
  sendBack: true,
};

/** A host with dpkg in memory: an installation takes a few looks, the version before comes back by itself after 15 minutes. */
function host(more: { installs?: string; dies?: boolean; ails?: boolean } = {}) {
  let now = 0;
  const clock = {
    now: () => now,
    elapsed: () => now,
    sleep: async (ms: number) => void (now += Math.max(ms, 1)),
  };
  const world = { version: '0.1.0', packages: [] as string[], settled: [] as string[] };
  let note: { saga: string; until: number; to: string; backAt: number | undefined } | undefined;
  let endpoint: string | undefined;
  const calls: string[] = [];
  const fault: { at?: number } = {};
  function tick(): void {
    if (!note) return;
    if (now >= note.until && note.until >= 0) {
      world.version = more.installs ?? note.to;
      if (note.to === '0.1.0') world.version = '0.1.0';
      note.until = -1;
    }
    if (note.backAt !== undefined && now >= note.backAt) {
      world.version = '0.1.0';
      note.backAt = undefined;
    }
  }
  const stage = () => {
    if (!note) return 'none';
    if (note.until >= 0) return 'at work';
    return world.version === '0.2.0' ? 'installed' : world.version === '0.1.0' ? 'back' : 'failed';
  };
  const act: Record<string, (args: Record<string, unknown>) => object> = {
    'host-agent.update-look': ({ saga }) => ({
      version: world.version,
      data: 1,
      architecture: 'amd64',
      stage: note?.saga === saga ? stage() : 'none',
    }),
    'doctor.look': () => ({
      findings:
        more.ails && world.version === '0.2.0'
          ? [{ check: 'networks', result: 'fail', message: 'blue is gone' }]
          : [],
    }),
    'transfer.open-package': (args) => {
      endpoint = (args['package'] as { file: string }).file;
      return { address: '10.98.0.11', port: 1, secret: 'SECRET' };
    },
    'transfer.send-package': () => {
      if (!endpoint) throw new Error('nobody listens');
      world.packages.push(endpoint);
      endpoint = undefined;
      return { bytes: 1000, ms: 1 };
    },
    'host-agent.update-install': ({ saga, package: of, backSeconds }) => {
      if (note?.saga === saga) return {};
      for (const one of [of, plan.back])
        if (!world.packages.includes((one as { file: string }).file)) throw new Error('no package');
      note = { saga: String(saga), until: now + 5000, to: '0.2.0', backAt: now + Number(backSeconds) * 1000 };
      return {};
    },
    'host-agent.update-back': ({ saga }) => {
      if (note?.saga === saga && note && stage() !== 'back')
        Object.assign(note, { to: '0.1.0', until: now + 5000 });
      return {};
    },
    'host-agent.update-settle': ({ saga }) => {
      if (note?.saga === saga) {
        world.settled.push(world.version);
        note = undefined;
      }
      return {};
    },
  };
  const agents: Agents = {
    seal: (_host, secret) => `sealed ${secret.length}`,
    async ask(at, command, args, context, options) {
      context.command(`${command}${options?.tag ?? ''}`);
      tick();
      calls.push(command);
      if (at === 'host1' && more.dies && world.version === '0.2.0')
        throw new VsError('unavailable', 'host1 is offline');
      const result = act[command]?.(args as Record<string, unknown>) ?? {}; // it may have happened although the answer is an error
      if (calls.length === fault.at) throw new VsError('failed', 'no space left');
      return result as never;
    },
  };
  return { agents, calls, clock, fault, world };
}
type Host = ReturnType<typeof host>;

function life(journals: Journals, one: Host): Promise<SagaState> {
  const state: SagaState = {
    id: 's1',
    kind: 'update-host',
    vserver: 'host1',
    args: {},
    result: 'running',
    title: '',
    steps: [],
    started: 0,
  };
  const children = { clock: one.clock } as unknown as Children;
  const saga = buildSaga({ kind: 'update-host', plan }, state, one.agents, children);
  expect(saga).toMatchObject({ alone: true, places: ['host1'] });
  return execute(saga, {
    ...quietly(journals),
    retry: { times: 60, waitMs: 20_000 },
    clock: one.clock as never,
  });
}
const run = (one: Host) => life(fresh(), one);

describe('the update of a host', () => {
  test('both packages come, the new version runs, and it is settled once', async () => {
    const one = host();
    const state = await run(one);
    expect([state.result, state.message]).toEqual([
      'done',
      'host1 runs vs-tools 0.2.0; it was 0.1.0. Its vservers ran on.',
    ]);
    expect(one.world).toEqual({
      version: '0.2.0',
      packages: ['vs-tools_0.2.0_amd64.deb', 'vs-tools_0.1.0_amd64.deb'],
      settled: ['0.2.0'],
    });
  });
  test('each call failing once: the version before, or past the settling the new one', async () => {
    const dry = host();
    await run(dry);
    for (let at = 1; at <= dry.calls.length; at++) {
      const one = host();
      one.fault.at = at;
      const { result } = await run(one);
      const isLast = dry.calls[at - 1] === 'host-agent.update-settle';
      expect([at, dry.calls[at - 1], result, one.world.version]).toEqual([
        at,
        dry.calls[at - 1],
        isLast ? 'done' : 'undone',
        isLast ? '0.2.0' : '0.1.0',
      ]);
    }
  });
  test('a crash of the master at each line of the journal: it goes on to its end, and installs once', async () => {
    for (const written of [true, false])
      for (let last = 1; ; last++) {
        const one = host();
        const journals = fresh();
        const crashed = await life(dying(journals, last, written), one).then(
          () => false,
          () => true,
        );
        if (!crashed) break;
        if (journals.read('s1').some((line) => line.kind === 'end')) continue;
        expect([last, (await life(journals, one)).result, one.world.version]).toEqual([
          last,
          'done',
          '0.2.0',
        ]);
      }
  });
  test('an agent that never comes back: its host goes back by itself, and the saga says so', async () => {
    const one = host({ dies: true });
    const state = await run(one);
    expect([state.result, one.world.version]).toEqual(['undone', '0.1.0']);
    expect(state.message).toContain(
      'host1 stays with vs-tools 0.1.0: step "install" failed on host1: the agent of host1 has not come back',
    );
  });
  test('what dpkg did not install, and what its doctor finds with the new version, goes back', async () => {
    const half = await run(host({ installs: '0.1.5' }));
    expect([half.result, half.error?.message]).toEqual([
      'undone',
      'vs-tools 0.2.0 was not installed: failed',
    ]);
    const ill = host({ ails: true });
    const state = await run(ill);
    expect([state.result, ill.world.version, ill.world.settled]).toEqual(['undone', '0.1.0', ['0.1.0']]);
    expect(state.message).toContain('with 0.2.0 the doctor of host1 finds: blue is gone');
  });
});

test('hosts come one after the other; after the first that fails none is touched', async () => {
  let at = 0;
  const began: string[] = [];
  const rows: string[] = [];
  const children = {
    clock: { now: () => 0, elapsed: () => 0, sleep: async () => undefined },
    deciding: { context: { version: '0.2.0' } },
    async run(_context: unknown, { tag }: { tag: string }) {
      began.push(tag);
      expect(++at).toBe(1);
      await Promise.resolve();
      at--;
      return tag === 'host2'
        ? { result: 'undone', message: 'host2 stays with vs-tools 0.1.0' }
        : { result: 'done' };
    },
  } as unknown as Children;
  const hosts = ['host1', 'host2', 'host3'].map((name) => ({ name, from: '0.1.0' }));
  const [step] = updateHostsSteps({ to: '0.2.0', oneWay: false, hosts, others: [], current: 0 }, children);
  const context = {
    signal: new AbortController().signal,
    part: (row: { step: string; state: string }) => rows.push(`${row.step} ${row.state}`),
    say: () => undefined,
  } as never;
  await expect(step?.do(context)).rejects.toThrow('host2 stayed');
  expect(began).toEqual(['host1', 'host2']);
  expect(rows.at(-1)).toBe('host2 failed');
  expect(rows).toContain('host1 done');
});
