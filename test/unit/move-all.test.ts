import { expect, test } from 'vitest';
import type { StepContext } from '../../services/orchestrator/executor.ts';
import type { Children } from '../../services/orchestrator/children.ts';
import { restoreHostSteps } from '../../services/orchestrator/sagas/restore-host.ts';
import { moveAll } from '../../services/orchestrator/sagas/move-all.ts';
import { VsError } from '../../shared/errors.ts';

/** A clock on which only sleeping takes time. */
function sleeping() {
  let now = 1000;
  return { now: () => now, elapsed: () => now, sleep: async (ms: number) => void (now += ms) };
}
function seen() {
  const rows: [string, string, string | undefined][] = [];
  const context = {
    signal: new AbortController().signal,
    part: (row) => void rows.push([row.step, row.state, row.message]),
  } as Pick<StepContext, 'signal' | 'part'> as StepContext;
  return { rows, context };
}
const away = () => new VsError('refused', 'host1 is offline', { retryable: true });
const two = { vservers: [{ name: 'web1' }, { name: 'web2' }], parallel: 1 };

test('a host that just restarts is waited for', async () => {
  const clock = sleeping();
  const { rows, context } = seen();
  const back = clock.now() + 3000;
  const went = moveAll(context, { clock: clock as never }, two, async ({ name }) => {
    if (clock.now() < back) throw away();
    return `${name} went`;
  });
  expect(await went).toBe(2);
  expect(rows.find(([, , message]) => message?.startsWith('waits'))?.[2]).toBe('waits: host1 is offline');
  expect(rows.filter(([, state]) => state === 'done').map(([name]) => name)).toEqual(['web1', 'web2']);
});

test('one that stays away is waited for once, not for each', async () => {
  const clock = sleeping();
  const { rows, context } = seen();
  const begun = clock.now();
  const all = moveAll(context, { clock: clock as never }, two, () => Promise.reject(away()));
  await expect(all).rejects.toThrow('web1, web2 stayed');
  expect(clock.now() - begun).toBe(30_000);
  expect(rows.filter(([, state]) => state === 'failed')).toEqual([
    ['web1', 'failed', 'host1 is offline'],
    ['web2', 'failed', 'host1 is offline'],
  ]);
});

test('restore-host waits for what the pool did not say yet after a restart; one that is nowhere is named', async () => {
  const clock = sleeping();
  const heardAt = clock.now() + 3000;
  const { rows, context } = seen();
  const web1 = { host: 'host2', epoch: 2 };
  const pool = {
    of: (name: string) => (name === 'web1' && clock.now() >= heardAt ? [web1] : []),
    locate: () => ({ ...web1, host: 'host3' }), // somebody moved it on meanwhile
  };
  const children = {
    clock,
    deciding: { pool, marks: { forget: async () => undefined } },
    run: async (_context: unknown, child: { plan: () => Promise<unknown> }) => child.plan(),
  } as unknown as Children;
  const vservers = two.vservers.map(({ name }) => ({ name, from: 'host2' }));
  const [step] = restoreHostSteps({ host: 'host1', parallel: 1, vservers, others: [] }, children);
  await expect(step?.do(context)).rejects.toThrow('web1, web2 stayed');
  expect(rows.filter(([, state]) => state === 'failed')).toEqual([
    ['web1', 'failed', 'it is on host3 now, not on host2: left there'],
    ['web2', 'failed', 'nobody owns web2 any more'],
  ]);
  expect(rows).toContainEqual(['web1', 'running', 'waits: nobody owns web1 any more']);
});
