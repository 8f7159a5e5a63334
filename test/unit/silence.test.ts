import { expect, test } from 'vitest';
import { checkFinish } from '../../services/orchestrator/finish.ts';
import { requireSilence } from '../../services/orchestrator/silence.ts';
import { channels } from '../../shared/contract/channels.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { type VserverState, vserverState } from '../../shared/contract/vserver.ts';

const web1: VserverState = vserverState.parse(channels['vserverState']?.example);
const move = { ...(channels['sagaState']?.example as SagaState), id: 'move-1' };
const OTHER = '02:ff:ff:ff:ff:ff';

test.each<[string, { answers: string | null; taken6?: boolean }, string]>([
  ['nobody answers', { answers: null }, 'nobody has them'],
  [
    'somebody answers',
    { answers: OTHER },
    `10.60.10.5 of web1 is in use: ${OTHER} answers there on network blue`,
  ],
  ['somebody answers at the IPv6 address', { answers: null, taken6: true }, 'fd60:10::5 of web1 is in use'],
])('%s: the addresses are free, or it is said who has them', async (_, found, sentence) => {
  const asked: object[] = [];
  const said = await requireSilence(async (question) => (asked.push(question), found), web1, 'web1').then(
    () => 'nobody has them',
    String,
  );
  expect(said).toContain(sentence);
  expect(asked).toEqual([{ network: 'blue', address: '10.60.10.5', address6: 'fd60:10::5' }]);
});

test.each<[string, { answers?: string; reached?: boolean }, string]>([
  ['nobody answers', {}, 'the move is finished on host2, without host1'],
  [
    'it answers itself',
    { answers: web1.mac },
    `as web1 (${web1.mac}): host1 is not dead, only cut off from the master`,
  ],
  ['its host answers', { reached: true }, 'host1 still answers at 10.98.0.11: it is not dead'],
  ['something else answers', { answers: OTHER }, `10.60.10.5 of web1 is in use: ${OTHER} answers there`],
])('a move whose source is said to be dead, and %s: finished, or refused', async (_, found, sentence) => {
  const asked = new Set<string>();
  async function request(host: string, command: string) {
    asked.add(host);
    return { answers: command === 'network.reach' ? found.reached === true : (found.answers ?? null) };
  }
  const deciding = {
    context: { bus: { request } },
    pool: { requireHost: () => undefined, info: () => ({ address: '10.98.0.11' }) },
  };
  const args = { name: 'web1', host: 'host2', confirm: 'web1' };
  const said = await checkFinish(deciding as never, args as never, web1, { move, target: 'host2' }).then(
    ({ state }) => state.title,
    String,
  );
  expect(said).toContain(sentence);
  expect([...asked]).toEqual(['host2']);
});
