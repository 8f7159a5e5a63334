import { vi } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { topicsFor } from '../../shared/contract/topics.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { openArchive } from '../../services/orchestrator/archive.ts';
import { type Journals, openJournals } from '../../services/orchestrator/journal.ts';
import type { Planned } from '../../services/orchestrator/plans/planned.ts';
import type { Pool } from '../../services/orchestrator/pool.ts';
import { sagaRunner } from '../../services/orchestrator/runner.ts';
import { temporary } from './temporary.ts';

const quiet = () => undefined;

/** A runner whose hosts answer the lock of a vserver when the test says so, and all else at once. */
export function runnerWorld(
  settings: Partial<ReturnType<typeof loadSettings>> = {},
  journals: Journals = openJournals(temporary('runner')),
  { archive = openArchive(':memory:', quiet) } = {},
) {
  const base = loadSettings({ file: '/nonexistent', env: {} });
  const calls: string[] = [];
  const alerts = new Map<string, string>();
  const retained = new Map<string, SagaState | null>();
  const waiting = new Map<string, () => void>();
  let open = false;
  const bus = {
    target: 'master',
    topics: topicsFor('vs/1'),
    connected: false,
    retain: (topic: string, state: SagaState | null) => void retained.set(topic, state),
    alert: (subject: string, check: string, alert: { message: string } | null) =>
      void alerts.set(`${subject} ${check}`, alert?.message ?? ''),
    event: () => undefined,
    async request(host: string, command: string, args: { name: string }) {
      calls.push(`${command}@${host} ${args.name}`);
      if (command === 'host-agent.lock') {
        if (!open) await new Promise<void>((resolve) => waiting.set(args.name, resolve));
        waiting.delete(args.name);
        return { epoch: epochs.get(args.name) ?? 1, enabled: true, state: 'stopped' };
      }
      return { until: 0, epoch: 1, enabled: true };
    },
  };
  const epochs = new Map<string, number>();
  const pool = { isOnline: () => true, life: () => 'one' } as unknown as Pool;
  const clock = {
    now: () => Date.now(),
    elapsed: () => performance.now(),
    sleep: () => new Promise<void>((resolve) => setTimeout(resolve, 1)),
  };
  const context = { bus, settings: { ...base, ...settings }, log: { warn: quiet, error: quiet } } as never;
  const runner = sagaRunner(context, pool, { clock, journals, archive });
  function planned(name: string, host: string, { epoch = 1, also = undefined as string[] | undefined } = {}) {
    epochs.set(name, epoch);
    const plan = { name, host, epoch, network: 'blue', state: 'stopped' } as VserverState;
    return { kind: 'remove', plan, vserver: name, title: name, ...(also ? { also } : {}) } as Planned;
  }
  return {
    runner,
    calls,
    alerts,
    retained,
    planned,
    remove: (
      name: string,
      host: string,
      {
        dry = false,
        note = '',
        ...options
      }: { dry?: boolean; note?: string; epoch?: number; also?: string[] } = {},
    ) => runner.begin(planned(name, host, options), { name, note }, 'test', dry),
    journal: (id: string) =>
      journals
        .read(id)
        .map((line) => JSON.stringify(line))
        .join('\n'),
    asked: (...names: string[]) =>
      vi.waitFor(
        () => {
          const missing = names.find((name) => !waiting.has(name));
          if (missing) throw new Error(`${missing} is not at work`);
        },
        { timeout: 10_000 },
      ),
    atWork: () => [...waiting.keys()].sort(),
    answer: (name: string) => waiting.get(name)?.(),
    answerAll() {
      open = true;
      for (const resolve of waiting.values()) resolve();
    },
    /** The next life, over the same disk; the life before says no more. */
    restart: () => runnerWorld(settings, journals, { archive }),
  };
}
