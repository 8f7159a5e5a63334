import { expect, test } from 'vitest';
import type { StepContext } from '../../services/orchestrator/executor.ts';
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
