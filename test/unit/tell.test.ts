import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openTeller } from '../../broker/tell.ts';

type Event = Record<string, unknown>;
const refused = (user: string, topic: string) =>
  ({ user, client: user, address: '10.98.0.11', topic, reason: 'not allowed for role viewer' }) as const;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('the same about the same is told once a minute, then how many there were between', async () => {
  const heard: Event[] = [];
  const { tell, stop } = openTeller((event) => void heard.push(event as Event), 60);
  for (let number = 0; number < 5; number++) tell('publish-refused', refused('anna', 'vs/1/a'));
  tell('publish-refused', refused('anna', 'vs/1/b'));
  vi.advanceTimersByTime(10);
  expect(heard.map((one) => [one['topic'], one['more']])).toEqual([
    ['vs/1/a', undefined],
    ['vs/1/b', undefined],
  ]);
  vi.advanceTimersByTime(200);
  stop();
  expect(heard).toHaveLength(3);
  expect(heard[2]).toMatchObject({ topic: 'vs/1/a', more: 4 });
  expect(heard[2]?.['message']).toBe(
    'anna from 10.98.0.11 was not let publish to vs/1/a: not allowed for role viewer, and 4 more like it',
  );
});

test('one user cannot fill the events with topics, nor an address with names; another is told of still', async () => {
  const heard: Event[] = [];
  const { tell, stop } = openTeller((event) => void heard.push(event as Event));
  for (let number = 0; number < 5000; number++) {
    tell('publish-refused', refused('anna', `vs/1/${number}`));
    tell('login-refused', { user: `name${number}`, address: '10.98.0.66', reason: 'wrong user or password' });
  }
  tell('publish-refused', refused('bert', 'vs/1/a'));
  tell('login-refused', { user: 'bert', address: '10.98.0.12', reason: 'wrong user or password' });
  vi.advanceTimersByTime(10);
  stop();
  expect(heard.length).toBeLessThanOrEqual(2 * 21 + 2);
  expect(heard.filter((one) => one['user'] === 'bert')).toHaveLength(2);
});

test('what strangers choose is short, and moves no cursor', async () => {
  const heard: Event[] = [];
  const { tell, stop } = openTeller((event) => void heard.push(event as Event));
  tell('login-refused', {
    user: '\u001b[2J\n',
    client: 'c'.repeat(9000),
    address: '10.98.0.66',
    reason: 'x',
  });
  vi.advanceTimersByTime(10);
  stop();
  const message = String(heard[0]?.['message']);
  expect(message.length).toBeLessThan(300);
  expect(message).toContain('\\u001b[2J\\n');
});
