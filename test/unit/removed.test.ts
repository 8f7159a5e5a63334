import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openRemoved } from '../../services/orchestrator/removed.ts';
import { channels } from '../../shared/contract/channels.ts';
import { matches, topicsFor } from '../../shared/contract/topics.ts';
import { temporary } from './temporary.ts';

const uuid = '9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11';
const other = 'ac0f6a52-6f43-4f0f-9d51-7a2d0f7c9a11';
const topic = `vs/1/master/removed/${uuid}`;
const DAY = 86_400_000;
const removed = (epoch: number, ts = Date.now()) => ({ uuid, name: 'web1', host: 'host2', epoch, ts });
const state = (epoch: number) => ({ ...channels['vserverState']?.example, uuid, epoch });

/** A master whose bus says what the test lets it say; `retained` is what the broker keeps. */
function master({ stateDir = temporary('removed'), retained = new Map<string, unknown>(), days = 7 } = {}) {
  const listeners: [string, (topic: string, payload: unknown) => void][] = [];
  const bus = {
    topics: topicsFor('vs/1'),
    retain: (where: string, payload: unknown) =>
      void (payload === null ? retained.delete(where) : retained.set(where, payload)),
    alert: (subject: string, check: string, alert: { message: string }) =>
      void alerts.set(`${subject}/${check}`, alert.message),
    async subscribe(filter: string, listener: (topic: string, payload: unknown) => void) {
      listeners.push([filter, listener]);
      for (const [where, payload] of retained) if (matches(filter, where)) listener(where, payload);
    },
  };
  const alerts = new Map<string, string>();
  const shown: { uuid: string; epoch: number }[] = [];
  const context = {
    bus,
    settings: { STATE_DIR: stateDir, TRASH_DAYS: days },
    log: { warn: () => undefined, error: () => undefined },
  };
  const all = openRemoved(context as never, { all: () => shown as never });
  return {
    ...all,
    stateDir,
    retained,
    alerts,
    shown,
    say(where: string, payload: unknown) {
      for (const [filter, listener] of listeners) if (matches(filter, where)) listener(where, payload);
    },
  };
}

test('what is removed is told, and told again by the next life, whose broker may have lost it', async () => {
  const one = master();
  await one.start();
  await one.add(removed(2));
  expect(one.retained.get(topic)).toMatchObject({ host: 'host2', epoch: 2 });
  await one.add(removed(1)); // a command of long ago
  await one.stop();
  expect(readFileSync(`${one.stateDir}/removed.json`, 'utf8')).toContain('"epoch": 2');
  const next = master({ stateDir: one.stateDir });
  await next.start();
  expect(next.retained.get(topic)).toMatchObject({ host: 'host2', epoch: 2 });
  await next.stop();
});

test('a master that lost its state tells nothing, and clears what its former life told', async () => {
  const one = master();
  await one.start();
  await one.add(removed(2));
  await one.stop();
  const next = master({ retained: one.retained });
  await next.start();
  expect([...next.retained]).toEqual([]);
  await next.stop();
});

test('what lives again is told no more; a state of an older epoch changes nothing', async () => {
  const one = master();
  await one.start();
  await one.add(removed(2));
  one.say('vs/1/hosts/host1/vservers/web1/state', state(1));
  one.say('vs/1/hosts/host1/vservers/web1/state', { ...state(9), uuid: other });
  one.say('vs/1/hosts/host2/vservers/web1/state', null);
  one.say('vs/1/hosts/host2/vservers/web1/state', state(2)); // its owner, that is just giving it up
  expect(one.retained.has(topic)).toBe(true);
  one.say('vs/1/hosts/host3/vservers/web1/state', state(3));
  expect(one.retained.has(topic)).toBe(false);
  await one.stop();
  expect(readFileSync(`${one.stateDir}/removed.json`, 'utf8')).not.toContain(uuid);
});

test.each<[string, number, number, number | undefined, boolean]>([
  ['29 days ago', 29, 7, undefined, true],
  ['31 days ago', 31, 7, undefined, false],
  ['31 days ago, and may lie in a trash for longer', 31, 40, undefined, true],
  ['41 days ago, and was in a trash for 40', 41, 40, undefined, false],
  ['a year ago, and a host that is away still has it', 365, 7, 1, true],
  ['a year ago, and a host has it, owned by nobody', 365, 7, 0, false],
])('%s it was removed: is it told still?', async (_, ago, days, epoch, told) => {
  const one = master({ days });
  await one.start();
  await one.add(removed(2, Date.now() - ago * DAY));
  if (epoch !== undefined) one.shown.push({ uuid, epoch });
  one.look();
  expect(one.retained.has(topic)).toBe(told);
  await one.stop();
});

test.each<[string, string]>([
  ['no JSON', '{"version":1,'],
  ['of another form', '{"version":1,"removed":[{"uuid":"none"}]}'],
])('a damaged file (%s) is kept aside, and what the broker tells counts, in each life', async (_, text) => {
  const one = master({ retained: new Map([[topic, removed(2)]]) });
  writeFileSync(`${one.stateDir}/removed.json`, text);
  await one.start();
  const aside = readdirSync(one.stateDir).find((name) => name.startsWith('removed.json.damaged-')) ?? '';
  expect(readFileSync(`${one.stateDir}/${aside}`, 'utf8')).toBe(text);
  expect(one.alerts.get('orchestrator/removed')).toContain(aside);
  expect(one.retained.get(topic)).toMatchObject({ epoch: 2 });
  // this life ends as if before anything was written: the next one still clears nothing
  await one.stop();
  rmSync(`${one.stateDir}/removed.json`, { force: true });
  const next = master(one);
  await next.start();
  expect(next.all()).toEqual([expect.objectContaining({ uuid, epoch: 2 })]);
  next.say(`vs/1/master/removed/${other}`, 'nothing that is known');
  await next.add({ ...removed(5), uuid: other });
  await next.stop();
  // a person has looked at it: from now on the file alone counts
  rmSync(`${one.stateDir}/${aside}`);
  const last = master({
    stateDir: one.stateDir,
    retained: new Map([[`${topic.slice(0, -1)}0`, removed(3)]]),
  });
  await last.start();
  expect(last.alerts.get('orchestrator/removed')).toBeUndefined();
  expect([...last.retained.keys()].sort()).toEqual([topic, `vs/1/master/removed/${other}`]);
  await last.stop();
});

test('a file that was not read, whatever the reason, is not written over', async () => {
  const one = master();
  const text = JSON.stringify({ version: 1, removed: [{ ...removed(3), uuid: other }] });
  writeFileSync(`${one.stateDir}/removed.json`, text);
  await one.add(removed(2));
  await one.stop();
  expect(one.retained.has(topic)).toBe(true);
  expect(readFileSync(`${one.stateDir}/removed.json`, 'utf8')).toBe(text);
});
