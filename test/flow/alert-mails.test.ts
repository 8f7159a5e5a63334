import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { channels } from '../../shared/contract/channels.ts';
import { realBroker, until } from './bus-kit.ts';
import { partOf, realSmtp } from './smtp-kit.ts';

// The whole list of mails of what befalls a pool: how many, to whom, with which subject, in which order, each begin with its end.
const script = new URL('./alerter-child.ts', import.meta.url).pathname;
const example = (key: string) => channels[key]?.example as Record<string, unknown>;
const PATIENCE = 60_000;
const [ADMIN, OWNER] = ['admin@example.org', 'owner@example.org'];
let broker: Awaited<ReturnType<typeof realBroker>>;
let host1: Awaited<ReturnType<typeof broker.raw>>;
let smtp: Awaited<ReturnType<typeof realSmtp>>;
let state: string;
let child: ChildProcess | undefined;
const retained = new Set<string>();

const retain = async (topic: string, body: object | null): Promise<void> => {
  retained.add(topic);
  await host1.client.publishAsync(`vs/1/${topic}`, body ? JSON.stringify(body) : '', {
    qos: 1,
    retain: true,
  });
};
const status = (word: 'online' | 'offline') =>
  retain('hosts/host1/status', { ...example('hostStatus'), state: word });
const alertTopic = (subject: string, check: string) => `hosts/host1/alerts/${subject}/${check}`;
/** As the monitor of host1 says it. */
const begins = (subject: string, check: string, message: string, more: object = {}) =>
  retain(alertTopic(subject, check), {
    ts: Date.now(),
    since: Date.now(),
    severity: 'warning',
    message: `${subject === 'host' ? 'host1' : subject}: ${message}`,
    ...(subject === 'host' ? {} : { vserver: subject }),
    ...more,
  });
const ends = (subject: string, check: string) => retain(alertTopic(subject, check), null);

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
async function becomes(wanted: string[], to = ADMIN): Promise<void> {
  await until(() => list(to).length >= wanted.length, wanted.join(' | '), PATIENCE);
  await sleep(1500); // one mail too many would come now
  expect(list(to)).toEqual(wanted);
}
/** Every end is in the thread of its begin. */
function expectPaired(to = ADMIN): void {
  const mails = smtp.to(to);
  const ids = new Set(mails.map(({ id }) => id));
  for (const { raw, headers } of mails)
    if (wordOf(raw).includes('ENDS')) expect(ids).toContain(headers['in-reply-to']);
  expect(ids.size).toBe(mails.length);
}

beforeAll(async () => {
  broker = await realBroker();
  host1 = await broker.raw('host1-a');
});
afterAll(async () => broker.close());
beforeEach(async () => {
  state = mkdtempSync(join(tmpdir(), 'vslab-mails-'));
  smtp = await realSmtp();
  await status('online');
});
afterEach(async () => {
  await kill();
  await smtp.down();
  for (const topic of retained) if (topic.includes('/alerts/')) await retain(topic, null);
  const self = await broker.raw('master-b');
  for (const [subject, check] of [
    ['host1', 'offline'],
    ['host1', 'clock'],
    ['alerter', 'mail'],
  ])
    await self.client.publishAsync(`vs/1/master/alerts/${subject}/${check}`, '', { qos: 1, retain: true });
  rmSync(state, { recursive: true });
});
const settled = () => sleep(2500); // until what is heard is all, so that ends count

test.each([
  ['memory filled', 'memory', 'memory at 97 % of 64 MiB, threshold 80 %', 'warning'],
  ['disk filled', 'disk', 'disk at 96 % of 40 MiB, threshold 85 %', 'critical'],
  ['fork bomb', 'process-hits', 'met its limit of processes 412 times since the last look', 'warning'],
  ['daemon killed', 'daemon-nginx', 'nginx: 0 processes nginx, expected at least 1', 'critical'],
  ['daemon hung', 'daemon-web', 'web: http://localhost/: connected, but no answer came', 'warning'],
  ['socket opened', 'sockets', 'listening sockets have changed: + tcp 0.0.0.0:4444 nc', 'warning'],
])(
  '%s: one mail when it begins and one when it ends, to the admin and to its owner',
  async (_, check, message, severity) => {
    start();
    await settled();
    const details = {
      Processes: '    pid   memory cpu time  process\n      1     4 MB     0:00  /sbin/init',
    };
    await begins('web1', check, message, { severity, mailto: [OWNER], details });
    await becomes([`BEGINS host1:web1:${message}`]);
    const [first] = smtp.to(ADMIN);
    expect(partOf(first?.raw ?? '', 'text/plain')).toContain('\n          1     4 MB     0:00  /sbin/init\n');
    await ends('web1', check);
    const all = [`BEGINS host1:web1:${message}`, `ENDS host1:web1:${check} is over: ${message}`];
    await becomes(all);
    await becomes(all, OWNER);
    expectPaired();
    expectPaired(OWNER);
  },
  120_000,
);

test('power cut of a host of 50 vservers, or its agent killed for long: one alert for the host, none for its vservers; what fired goes on', async () => {
  start();
  await begins('web1', 'disk', 'disk at 96 %', { mailto: [OWNER] });
  await becomes(['BEGINS host1:web1:disk at 96 %']);
  await settled();
  await status('offline'); // its last will
  await until(() => list().length === 2, 'the host', PATIENCE);
  expect(list()[1]).toMatch(/^BEGINS host1:host1:host1 is unknown since /);
  await ends('web1', 'disk'); // as a broker that lost it
  await sleep(3000);
  expect(list()).toHaveLength(2);
  await begins('web1', 'disk', 'disk at 96 %', { mailto: [OWNER] }); // the agent is back, and says it again
  await status('online');
  await until(() => list().length === 3, 'it is back', PATIENCE);
  await sleep(3000);
  expect(list().slice(2)).toEqual([
    expect.stringMatching(/^ENDS host1:host1:offline is over: host1 is unknown since /),
  ]);
  await ends('web1', 'disk');
  await becomes(['BEGINS host1:web1:disk at 96 %', 'ENDS host1:web1:disk is over: disk at 96 %'], OWNER);
  expect(list().at(-1)).toBe('ENDS host1:web1:disk is over: disk at 96 %');
  expect(list()).toHaveLength(4);
  expectPaired();
}, 240_000);

test('an agent that is killed and back within the time that a host may be away: no mail at all', async () => {
  start();
  await settled();
  await status('offline');
  await sleep(500);
  await status('online');
  await sleep(5000);
  expect(list()).toEqual([]);
}, 60_000);

test('the broker is down for a while, then the master: what began and ended meanwhile is told once, nothing twice', async () => {
  start();
  await begins('web1', 'memory', 'memory at 97 %');
  await becomes(['BEGINS host1:web1:memory at 97 %']);
  await broker.kill();
  await sleep(2000);
  await broker.start();
  await until(() => host1.client.connected, 'the host is back', PATIENCE);
  await status('online');
  await begins('web1', 'memory', 'memory at 97 %'); // agents say again what fires
  await begins('web1', 'disk', 'disk at 96 %');
  const both = ['BEGINS host1:web1:memory at 97 %', 'BEGINS host1:web1:disk at 96 %'];
  await becomes(both);
  await kill(); // the master is away
  await ends('web1', 'memory');
  await begins('db1', 'tmp', '/tmp at 99 %');
  await sleep(1000);
  start();
  const later = ['BEGINS host1:db1:/tmp at 99 %', 'ENDS host1:web1:memory is over: memory at 97 %'];
  await until(() => list().length >= 4, 'what came meanwhile', PATIENCE);
  await sleep(1500);
  expect(list().slice(0, 2)).toEqual(both);
  expect(list().slice(2).toSorted()).toEqual(later);
  expectPaired();
}, 240_000);

test('flapping at every poll: one begin, one end, and no more', async () => {
  start();
  await settled();
  for (let round = 0; round < 12; round++) {
    await begins('web1', 'cpu', 'cpu at 99 %');
    await sleep(150);
    await ends('web1', 'cpu');
    await sleep(150);
  }
  await until(() => list().length > 0, 'begin', PATIENCE);
  expect(list()).toEqual(['BEGINS host1:web1:cpu at 99 %']);
}, 120_000);

test('50 vservers of one host at once, each with its owner: one mail to the admin, one to each owner, and as many at the end', async () => {
  start();
  await settled();
  const names = Array.from({ length: 50 }, (_, index) => `web${index}`);
  const ownerOf = (name: string) => `${name}@example.org`;
  await Promise.all(
    names.map((name) => begins(name, 'memory', 'memory at 97 %', { mailto: [ownerOf(name)] })),
  );
  await until(() => names.every((name) => list(ownerOf(name)).length === 1), 'begin', PATIENCE);
  const toAdmin = list().length;
  expect(toAdmin).toBeLessThanOrEqual(2); // one, unless the machine took longer than the grouping to raise them
  expect(list()[0]).toMatch(/^BEGINS host1:\d+ alerts:memory at 97 %$/);
  await Promise.all(names.map((name) => ends(name, 'memory')));
  await until(() => names.every((name) => list(ownerOf(name)).length === 2), 'end', PATIENCE);
  for (const name of names)
    expect(list(ownerOf(name))).toEqual([
      `BEGINS host1:${name}:memory at 97 %`,
      `ENDS host1:${name}:memory is over: memory at 97 %`,
    ]);
  expect(list().length - toAdmin).toBeLessThanOrEqual(2);
  expectPaired();
}, 240_000);

test('a clock that is wrong is one mail, and one when it is right again', async () => {
  start();
  await settled();
  const says = (aheadMs: number) =>
    host1.client.publishAsync(
      'vs/1/hosts/host1/metrics',
      JSON.stringify({ ts: Date.now() + aheadMs, load_1: 1 }),
    );
  for (let left = 4; left > 0; left--) await says(90_000);
  await becomes(["BEGINS host1:host1:the clock of host1 is 90 s ahead of the master's"]);
  for (let left = 6; left > 0; left--) await says(0);
  await becomes([
    "BEGINS host1:host1:the clock of host1 is 90 s ahead of the master's",
    "ENDS host1:host1:clock is over: the clock of host1 is 90 s ahead of the master's",
  ]);
  expect(smtp.mails).toHaveLength(2);
}, 120_000);
