import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import { expect, test } from 'vitest';
import type { Connection } from '../../shared/bus/connection.ts';
import { openSubscriptions } from '../../shared/bus/subscriptions.ts';

/** A connection that answers each packet after `milliseconds` for each of its filters, one packet after the other. */
function slowly(cluster: boolean, milliseconds: number, refuses: (filter: string, time: number) => boolean) {
  const asked: string[][] = [];
  let turn = Promise.resolve();
  const times = new Map<string, number>();
  const connection: Connection = {
    connected: true,
    cluster,
    send: async () => undefined,
    subscribe(filters) {
      asked.push(filters);
      const answer = turn.then(async () => {
        await sleep(milliseconds * filters.length);
        return filters.filter((filter) => {
          const time = (times.get(filter) ?? 0) + 1;
          times.set(filter, time);
          return refuses(filter, time);
        });
      });
      turn = answer.then(() => undefined);
      return answer;
    },
    unsubscribe: async () => undefined,
    reconnect: () => undefined,
    end: async () => undefined,
  };
  return { asked, connection };
}
const log = pino({ level: 'silent' });
const never = () => undefined;

test('one broker is asked for all in one packet', async () => {
  const { asked, connection } = slowly(false, 1, () => false);
  const subscriptions = openSubscriptions(connection, ['own/1', 'own/2'], log);
  void subscriptions.add('other/1', never);
  expect(await subscriptions.renew()).toBe(true);
  expect(asked.at(-1)).toEqual(['own/1', 'own/2', 'other/1']);
});

test('a cluster is asked filter by filter, and hears its commands before the others are granted', async () => {
  const { asked, connection } = slowly(true, 5, () => false);
  const subscriptions = openSubscriptions(connection, ['own/1', 'own/2'], log);
  await subscriptions.add('other/1', never);
  await subscriptions.add('other/2', never);
  asked.length = 0;
  expect(await subscriptions.renew()).toBe(true);
  expect(asked).toEqual([['own/1'], ['own/2'], ['other/1']]); // the last is on its way
  await expect.poll(() => asked).toEqual([['own/1'], ['own/2'], ['other/1'], ['other/2']]);
});

test('what a cluster refuses is asked for again, what it granted is not', async () => {
  const { asked, connection } = slowly(true, 1, (filter, time) => filter === 'own/2' && time < 3);
  const subscriptions = openSubscriptions(connection, ['own/1', 'own/2', 'own/3'], log);
  expect(await subscriptions.renew()).toBe(true);
  expect(asked).toEqual([['own/1'], ['own/2'], ['own/3'], ['own/2'], ['own/2']]);
});
