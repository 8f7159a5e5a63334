import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { channels } from '../../shared/contract/channels.ts';
import { realBroker, until } from './bus-kit.ts';
import { partOf, realSmtp } from './smtp-kit.ts';

// The whole list of mails of what befalls a pool: how many, to whom, with which subject, in which order, each begin with its end.
const script = new URL('./alerter-child.ts', import.meta.url).pathname;
const example = (key: string) => channels[key]?.example as Record<string, unknown>;
const PATIENCE = 60_000;
const ADMIN = 'admin@example.org';
let broker: Awaited<ReturnType<typeof realBroker>>;
type Client = Awaited<ReturnType<typeof broker.raw>>;
const clients: Record<string, Client> = {};
let smtp: Awaited<ReturnType<typeof realSmtp>>;
let state: string;
let child: ChildProcess | undefined;
let ears: Client;
const retained = new Map<string, string>();

const hostOf = (topic: string) => topic.split('/')[1] ?? '';
const retain = async (topic: string, body: object | null): Promise<void> => {
  retained.set(topic, hostOf(topic));
  const text = body ? JSON.stringify(body) : '';
  await clients[hostOf(topic)]?.client.publishAsync(`vs/1/${topic}`, text, { qos: 1, retain: true });
};
const status = (host: string, word: 'online' | 'offline') =>
  retain(`hosts/${host}/status`, { ...example('hostStatus'), state: word });
/** As the monitor of a host says it. */
const begins = (host: string, vserver: string, check: string, message: string, more: object = {}) =>
  retain(`hosts/${host}/alerts/${vserver}/${check}`, {
    ts: Date.now(),
    since: Date.now(),
    severity: 'warning',
    message: `${vserver}: ${message}`,
    vserver,
    ...more,
  });
const ends = (host: string, vserver: string, check: string) =>
  retain(`hosts/${host}/alerts/${vserver}/${check}`, null);

function start(): void {
  child = spawn(process.execPath, [script], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      ...broker.environment('master'),
      VS_CONFIG_DIR: state,
      VS_STATE_DIR: state,
      VS_LOG_LEVEL: 'error',
      VS_MAIL_TO: ADMIN,
      VS_SMTP_URL: `smtp://127.0.0.1:${smtp.port}`,
      VS_MAIL_GROUP_SECONDS: '1',
      VS_OFFLINE_SECONDS: '3',
    },
  });
}
async function kill(): Promise<void> {
  const one = child;
  child = undefined;
  if (!one || one.exitCode !== null || one.signalCode !== null) return;
  const gone = new Promise((resolve) => one.once('exit', resolve));
  one.kill('SIGKILL');
  await gone;
}
const wordOf = (raw: string) =>
  [...partOf(raw, 'text/plain').matchAll(/^(BEGINS|WORSE|STILL|ENDS|WAS) {2}/gm)].map((one) => one[1] ?? '');
/** Each mail that arrived: `ADDRESS WORD SUBJECT`, in its order. A mail of several alerts has the words that are in it, each once. */
const list = (to = ADMIN): string[] =>
  smtp.to(to).map(({ raw, subject }) => `${[...new Set(wordOf(raw))].join('+')} ${subject}`);
async function expectMails(wanted: (string | RegExp)[], to = ADMIN): Promise<void> {
  await until(() => list(to).length >= wanted.length, wanted.join(' | '), PATIENCE);
  await sleep(1500); // one mail too many would come now
  expect(list(to)).toEqual(
    wanted.map((one) => (one instanceof RegExp ? expect.stringMatching(one) : one) as string),
  );
}
/** Every end is in the thread of its begin. */
function expectPaired(to = ADMIN): void {
  const mails = smtp.to(to);
  const ids = new Set(mails.map(({ id }) => id));
  for (const { raw, headers } of mails)
    if (wordOf(raw).includes('ENDS')) expect(ids).toContain(headers['in-reply-to']);
  expect(ids.size).toBe(mails.length);
}
/** So many lives of the alerter have said that they hear. */
const lives = () =>
  new Set(
    ears.heard.filter(({ body }) => body['state'] === 'online').map(({ body }) => String(body['session'])),
  ).size;
async function openAll(lines: string[]): Promise<void> {
  state = mkdtempSync(join(tmpdir(), 'vslab-mails-'));
  writeFileSync(join(state, 'alerts.conf'), lines.map((line) => `${line}\n`).join(''));
  smtp = await realSmtp();
  await Promise.all(['host1', 'host2'].map((host) => status(host, 'online')));
  const before = lives();
  start();
  await until(() => lives() > before, 'the alerter', PATIENCE);
  await sleep(2000); // until what is heard is all, so that ends count
}
async function closeAll(): Promise<void> {
  await kill();
  await smtp.down();
  for (const topic of retained.keys()) if (topic.includes('/alerts/')) await retain(topic, null);
  const self = await broker.raw('master-b');
  for (const about of ['host1/clock', 'host2/offline', 'alerter/mail', 'alerter/refused'])
    await self.client.publishAsync(`vs/1/master/alerts/${about}`, '', { qos: 1, retain: true });
  rmSync(state, { recursive: true });
}

beforeAll(async () => {
  broker = await realBroker();
  for (const host of ['host1', 'host2']) clients[host] = await broker.raw(`${host}-a`);
  ears = await broker.raw('operator-a', ['vs/1/master/status']);
});
afterAll(async () => broker.close());

const cases = [
  ['memory filled', 'memory', 'memory at 97 % of 64 MiB, threshold 80 %', 'warning'],
  ['disk filled', 'disk', 'disk at 96 % of 40 MiB, threshold 85 %', 'critical'],
  ['fork bomb', 'process-hits', 'met its limit of processes 412 times since the last look', 'warning'],
  ['daemon killed', 'daemon-nginx', 'nginx: 0 processes nginx, expected at least 1', 'critical'],
  ['daemon hung', 'daemon-web', 'web: http://localhost/: connected, but no answer came', 'warning'],
  ['socket opened', 'sockets', 'listening sockets have changed: + tcp 0.0.0.0:4444 nc', 'warning'],
  ['vserver crashed', 'crashed', 'crashed on host1: its init was ended by signal 9 (Killed)', 'warning'],
] as const;
const CROWD = 50;
/** A host may name 50 people a day; the cases take theirs. */
const OWNERS = 50 - cases.length;
// each has a place of its own, for what comes at once to one place is one mail
const adminOf = (check: string) => `${check}-admin@example.org`;
const ownerOf = (name: string) => `${name}-owner@example.org`;
const [AWAY, FLAPS, MANY, CLOCK] = ['away', 'flaps', 'crowd', 'clock'].map((one) => `${one}@example.org`);

describe('at once, in one life of the alerter', () => {
  beforeAll(() =>
    openAll([
      ...cases.map(([, check]) => `mail ${adminOf(check)} vserver=web1 check=${check}`),
      `mail ${FLAPS} vserver=flap1`,
      `mail ${MANY} vserver=shop*`,
      `mail ${AWAY} host=host2`,
      `mail ${CLOCK} check=clock`,
    ]),
  );
  afterAll(closeAll);

  test.concurrent('memory or disk filled, a fork bomb, a daemon killed or hung, a socket opened, a vserver crashed: each is one mail when it begins and one when it ends, to whom it concerns and to its owner', async () => {
    const details = {
      Processes: '    pid   memory cpu time  process\n      1     4 MB     0:00  /sbin/init',
    };
    for (const [, check, message, severity] of cases)
      await begins('host1', 'web1', check, message, { severity, mailto: [ownerOf(check)], details });
    const places = cases.flatMap(([, check]) => [adminOf(check), ownerOf(check)]);
    const have = (count: number) => () => places.every((to) => list(to).length >= count);
    await until(have(1), 'they begin', PATIENCE);
    for (const [, check] of cases) await ends('host1', 'web1', check);
    await until(have(2), 'they end', PATIENCE);
    for (const [title, check, message] of cases)
      for (const to of [adminOf(check), ownerOf(check)]) {
        expect(list(to), title).toEqual([
          `BEGINS host1:web1:${message}`,
          `ENDS host1:web1:${check} is over: ${message}`,
        ]);
        const [first] = smtp.to(to);
        const text = partOf(first?.raw ?? '', 'text/plain');
        expect(text).toContain('\n          1     4 MB     0:00  /sbin/init\n');
        expectPaired(to);
      }
  }, 120_000);

  test.concurrent('an agent that is killed and back soon: no mail; power cut of a host, or its agent killed for long: one alert for the host, none for its vservers; what fired goes on', async () => {
    const told = { mailto: [ownerOf('db1')] };
    await status('host2', 'offline');
    await sleep(500);
    await status('host2', 'online');
    await begins('host2', 'db1', 'disk', 'disk at 96 %', told);
    await until(() => list(AWAY).length === 1, 'what fires there', PATIENCE);
    await status('host2', 'offline'); // its last will
    await until(() => list(AWAY).length === 2, 'the host', PATIENCE);
    await ends('host2', 'db1', 'disk'); // as a broker that lost it
    await sleep(1500);
    expect(list(AWAY)).toHaveLength(2);
    await begins('host2', 'db1', 'disk', 'disk at 96 %', told); // the agent is back, and says it again
    await status('host2', 'online');
    const begun = [
      'BEGINS host2:db1:disk at 96 %',
      /^BEGINS host2:host2:host2 is unknown since /,
      /^ENDS host2:host2:offline is over: host2 is unknown since /,
    ];
    await expectMails(begun, AWAY);
    await ends('host2', 'db1', 'disk');
    await expectMails([...begun, 'ENDS host2:db1:disk is over: disk at 96 %'], AWAY);
    expect(list(ownerOf('db1'))).toEqual([
      'BEGINS host2:db1:disk at 96 %',
      'ENDS host2:db1:disk is over: disk at 96 %',
    ]);
    expectPaired(AWAY);
  }, 240_000);

  test.concurrent('flapping at every poll: one begin, one end, and no more', async () => {
    for (let round = 0; round < 12; round++) {
      await begins('host1', 'flap1', 'cpu', 'cpu at 99 %');
      await sleep(150);
      await ends('host1', 'flap1', 'cpu');
      await sleep(150);
    }
    // its end is told once it was quiet for long: after the 12th time an hour
    await expectMails(['BEGINS host1:flap1:cpu at 99 %'], FLAPS);
  }, 120_000);

  test.concurrent('50 vservers of one host at once: one mail to whom they concern, one to each owner, and as many at the end', async () => {
    const names = Array.from({ length: CROWD }, (_, index) => `shop${index}`);
    const owned = names.slice(0, OWNERS);
    const mailto = (name: string) => (owned.includes(name) ? { mailto: [ownerOf(name)] } : {});
    await Promise.all(names.map((name) => begins('host1', name, 'memory', 'memory at 97 %', mailto(name))));
    await until(() => owned.every((name) => list(ownerOf(name)).length === 1), 'begin', PATIENCE);
    const begun = list(MANY).length;
    expect(begun).toBeLessThanOrEqual(2); // one, unless the machine took longer than the grouping to raise them
    expect(list(MANY)[0]).toMatch(/^BEGINS host1:\d+ alerts:memory at 97 %$/);
    await Promise.all(names.map((name) => ends('host1', name, 'memory')));
    await until(() => owned.every((name) => list(ownerOf(name)).length === 2), 'end', PATIENCE);
    for (const name of owned)
      expect(list(ownerOf(name))).toEqual([
        `BEGINS host1:${name}:memory at 97 %`,
        `ENDS host1:${name}:memory is over: memory at 97 %`,
      ]);
    await until(() => list(MANY).length > begun, 'the end of all', PATIENCE);
    expect(list(MANY).length - begun).toBeLessThanOrEqual(2);
    expectPaired(MANY);
  }, 240_000);

  test.concurrent('a clock that is wrong is one mail, and one when it is right again', async () => {
    const says = (aheadMs: number) =>
      clients['host1']?.client.publishAsync(
        'vs/1/hosts/host1/metrics',
        JSON.stringify({ ts: Date.now() + aheadMs, load_1: 1 }),
      );
    const saysUntilMail = async (aheadMs: number, count: number, why: string) => {
      const saying = setInterval(() => void says(aheadMs), 200);
      await until(() => list(CLOCK).length >= count, why, PATIENCE).finally(() => clearInterval(saying));
    };
    const what = "the clock of host1 is 10 min ahead of the master's";
    await saysUntilMail(600_000, 1, 'begin');
    await saysUntilMail(0, 2, 'end');
    await expectMails([`BEGINS host1:host1:${what}`, `ENDS host1:host1:clock is over: ${what}`], CLOCK);
  }, 120_000);

  // after those above, which run side by side
  test('nobody else was told of all that, and nobody more often', () => {
    const places = new Map([
      [FLAPS, 1],
      [AWAY, 4],
      [CLOCK, 2],
      [ownerOf('db1'), 2],
    ]);
    for (const [, check] of cases) for (const to of [adminOf(check), ownerOf(check)]) places.set(to, 2);
    for (let at = 0; at < OWNERS; at++) places.set(ownerOf(`shop${at}`), 2);
    const others = smtp.mails.filter(({ to }) => to !== MANY);
    const counted = Object.groupBy(others, ({ to }) => to);
    const found = Object.entries(counted).map(([to, mails]) => [to, mails?.length]);
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(places));
  });
});

test('the broker is down for a while, then the master: what began and ended meanwhile is told once, nothing twice', async () => {
  onTestFinished(closeAll);
  await openAll([]);
  await begins('host1', 'web1', 'memory', 'memory at 97 %');
  await expectMails(['BEGINS host1:web1:memory at 97 %']);
  await broker.kill();
  await sleep(2000);
  await broker.start();
  await until(() => clients['host1']?.client.connected === true, 'the host is back', PATIENCE);
  await status('host1', 'online');
  await begins('host1', 'web1', 'memory', 'memory at 97 %'); // agents say again what fires
  await begins('host1', 'web1', 'disk', 'disk at 96 %');
  const both = ['BEGINS host1:web1:memory at 97 %', 'BEGINS host1:web1:disk at 96 %'];
  await expectMails(both);
  await kill(); // the master is away
  await ends('host1', 'web1', 'memory');
  await begins('host1', 'db1', 'tmp', '/tmp at 99 %');
  await sleep(1000);
  start();
  const later = ['BEGINS host1:db1:/tmp at 99 %', 'ENDS host1:web1:memory is over: memory at 97 %'];
  await until(() => list().length >= 4, 'what came meanwhile', PATIENCE);
  await sleep(1500);
  expect(list().slice(0, 2)).toEqual(both);
  expect(list().slice(2).toSorted()).toEqual(later);
  expectPaired();
}, 240_000);

test('SMTP is down, then refuses one of two for good: what began and ended meanwhile comes once, in its order, and he who is refused stops nobody', async () => {
  onTestFinished(closeAll);
  const gone = 'gone@example.org';
  await openAll([`mail ${ADMIN}`, `mail ${gone} vserver=db1`]);
  await begins('host1', 'web1', 'memory', 'memory at 97 %');
  const first = 'BEGINS host1:web1:memory at 97 %';
  await expectMails([first]);
  await smtp.down();
  await ends('host1', 'web1', 'memory');
  await sleep(3000); // what comes together would be one mail
  await begins('host1', 'web2', 'disk', 'disk at 96 %');
  await sleep(3000);
  expect(list()).toEqual([first]);
  smtp.rules.refused.add(gone);
  await smtp.start();
  const more = ['ENDS host1:web1:memory is over: memory at 97 %', 'BEGINS host1:web2:disk at 96 %'];
  await expectMails([first, ...more]);
  await begins('host1', 'db1', 'tmp', '/tmp at 99 %');
  await expectMails([first, ...more, 'BEGINS host1:db1:/tmp at 99 %']);
  expect(list(gone)).toEqual([]);
  expect(new Set(smtp.mails.map(({ to }) => to))).toEqual(new Set([ADMIN]));
  expectPaired();
}, 240_000);
