import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { connect } from '../../cli/client.ts';
import { channels } from '../../shared/contract/channels.ts';
import type { Args, CommandName } from '../../shared/contract/commands.ts';
import { realBroker, until } from './bus-kit.ts';
import { partOf, realSmtp } from './smtp-kit.ts';

type Broker = Awaited<ReturnType<typeof realBroker>>;
type Smtp = Awaited<ReturnType<typeof realSmtp>>;
type Raw = Awaited<ReturnType<Broker['raw']>>;
const script = new URL('./alerter-child.ts', import.meta.url).pathname;
const example = (key: string) => channels[key]?.example as Record<string, unknown>;
const PATIENCE = 30_000;
let broker: Broker;
let host1: Raw;
let master: Raw;
/** As the alerter itself, to clear what a killed one left. */
let self: Raw;
let smtp: Smtp;
let state: string;
let child: ChildProcess | undefined;

const retain = (who: Raw, topic: string, body: object | null) =>
  who.client.publishAsync(`vs/1/${topic}`, body ? JSON.stringify(body) : '', { qos: 1, retain: true });
const raise = (subject: string, check = 'disk', more: object = {}) =>
  retain(host1, `hosts/host1/alerts/${subject}/${check}`, {
    ts: Date.now(),
    severity: 'warning',
    message: `${subject}: ${check} is over its threshold`,
    ...more,
  });
const clear = (subject: string, check = 'disk') =>
  retain(host1, `hosts/host1/alerts/${subject}/${check}`, null);

/** The alerter as a process; `more`: settings. */
function start(more: Record<string, string> = {}, stalledMs = 0): void {
  child = spawn(process.execPath, [script], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      ...broker.environment('master'),
      VS_CONFIG_DIR: state,
      VS_STATE_DIR: state,
      VS_LOG_LEVEL: 'error',
      VS_MAIL_TO: 'admin@example.org',
      VS_MAIL_FROM: 'vs-tools@example.org',
      VS_SMTP_URL: `smtp://127.0.0.1:${smtp.port}`,
      VS_MAIL_GROUP_SECONDS: '0.4',
      VS_OFFLINE_SECONDS: '1',
      VS_ALERT_SETTLE_SECONDS: '1',
      STALLED_MS: String(stalledMs),
      ...more,
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
const filesIn = (folder: string) =>
  existsSync(join(state, 'alerter', folder))
    ? readdirSync(join(state, 'alerter', folder)).filter((one) => /^\d+\.json$/.test(one))
    : [];
const queued = () => filesIn('queue');
/** Which alerts mails told of, by Message-ID once: `BEGINS web1`. */
function told(to = 'admin@example.org'): string[] {
  const once = new Map(smtp.to(to).map((one) => [one.id, one]));
  return [...once.values()].flatMap(({ raw }) =>
    [...partOf(raw, 'text/plain').matchAll(/^(BEGINS|WORSE|STILL|ENDS|WAS) {2}host1:(\S+)/gm)].map(
      ([, kind, name]) => `${kind} ${name}`,
    ),
  );
}
const alertOf = (check: string) =>
  master.heard.findLast((one) => one.topic === `vs/1/master/alerts/alerter/${check}`)?.text ?? '';

beforeAll(async () => {
  broker = await realBroker();
  host1 = await broker.raw('host1-a');
  master = await broker.raw('operator-a', ['vs/1/master/alerts/#']);
  self = await broker.raw('master-b');
  await retain(host1, 'hosts/host1/status', example('hostStatus'));
});
afterAll(async () => broker.close());
beforeEach(async () => {
  state = mkdtempSync(join(tmpdir(), 'vslab-alerter-'));
  smtp = await realSmtp();
});
afterEach(async () => {
  await kill();
  await smtp.down();
  await retain(host1, 'hosts/host1/status', example('hostStatus'));
  for (const [subject, check] of raised) await clear(subject, check);
  raised.length = 0;
  for (const check of ['mail', 'refused', 'config'])
    await retain(self, `master/alerts/alerter/${check}`, null);
  await retain(self, 'master/alerts/host1/offline', null);
  rmSync(state, { recursive: true });
});
const raised: [string, string][] = [];
async function fire(subject: string, check = 'disk', more: object = {}): Promise<void> {
  raised.push([subject, check]);
  await raise(subject, check, more);
}

test('an alert is one mail when it begins and one in its thread when it ends', async () => {
  start();
  await fire('web1');
  await until(() => told().length === 1, 'begin', PATIENCE);
  await sleep(2000); // all was heard, so ends count
  await clear('web1');
  await until(() => told().length === 2, 'end', PATIENCE);
  const [begin, end] = smtp.mails;
  expect(smtp.subjects()).toEqual([
    'host1:web1:disk is over its threshold',
    'host1:web1:disk is over: disk is over its threshold',
  ]);
  expect(end?.headers['in-reply-to']).toBe(begin?.id);
  expect(end?.headers['references']).toBe(begin?.id);
  expect(begin?.headers).toMatchObject({
    from: '"vs-tools" <vs-tools@example.org>',
    to: 'admin@example.org',
    'auto-submitted': 'auto-generated',
  });
  await until(() => queued().length === 0, 'nothing waits', PATIENCE);
}, 120_000);

test('50 vservers of one host at once are one mail; the host away is one alert, and they are stale', async () => {
  start();
  const names = Array.from({ length: 50 }, (_, index) => `web${index}`);
  await Promise.all(names.map((name) => fire(name)));
  await until(() => told().length === 50, 'all of them', PATIENCE);
  expect(smtp.mails.length).toBeLessThanOrEqual(2); // one, unless the machine took longer than the grouping to raise them
  const before = smtp.mails.length;
  await retain(host1, 'hosts/host1/status', { ...example('hostStatus'), state: 'offline' });
  await until(() => smtp.mails.length === before + 1, 'the host', PATIENCE);
  expect(smtp.subjects().at(-1)).toContain('host1:host1:host1 is unknown since');
  await Promise.all(names.map((name) => clear(name))); // as a broker that lost them
  await sleep(3000);
  expect(smtp.mails.length).toBe(before + 1);
  await retain(host1, 'hosts/host1/status', example('hostStatus'));
  await until(() => told().filter((one) => one.startsWith('ENDS web')).length === 50, 'they end', PATIENCE);
  expect(told().filter((one) => one.endsWith(' host1'))).toEqual(['BEGINS host1', 'ENDS host1']);
}, 120_000);

test('whom its monitor.conf names is told besides, of begin and end, and hears nothing of others', async () => {
  writeFileSync(join(state, 'alerts.conf'), 'mail night@example.org severity=critical\n');
  start();
  const mailto = ['anna@example.org', 'not an address'];
  await fire('web1', 'disk', { mailto });
  await fire('web2', 'disk', { severity: 'critical' });
  await until(() => told('anna@example.org').length === 1 && told().length === 1, 'begin', PATIENCE);
  await until(() => told('night@example.org').length === 1, 'the critical one', PATIENCE);
  await raise('web1', 'disk', { mailto: ['ben@example.org'] }); // its file has changed meanwhile
  await until(() => told('ben@example.org').length === 1, 'he as well', PATIENCE);
  await sleep(1500);
  await clear('web1');
  await clear('web2');
  const all = ['admin', 'anna', 'ben', 'night'];
  await until(() => all.every((one) => told(`${one}@example.org`).length === 2), 'end', PATIENCE);
  expect(all.map((one) => told(`${one}@example.org`).join())).toEqual([
    'BEGINS web1,ENDS web1',
    'BEGINS web1,ENDS web1',
    'BEGINS web1,ENDS web1',
    'BEGINS web2,ENDS web2',
  ]);
  expect(new Set(smtp.mails.map(({ to }) => to))).toEqual(new Set(all.map((one) => `${one}@example.org`)));
}, 120_000);

test('SMTP is down: nothing is lost, nothing twice, the order is kept, and an alert says so; a restart in between is no matter', async () => {
  await smtp.down();
  start();
  for (const [index, name] of ['one', 'two', 'three'].entries()) {
    await fire(name);
    await until(() => queued().length === index + 1, name, PATIENCE);
  }
  await until(() => alertOf('mail') !== '', 'an alert', PATIENCE);
  await kill();
  start();
  await sleep(500);
  await smtp.start();
  await until(() => told().length === 3, 'all three', PATIENCE);
  expect(told()).toEqual(['BEGINS one', 'BEGINS two', 'BEGINS three']);
  await until(() => queued().length === 0 && alertOf('mail') === '', 'all is well', PATIENCE);
  expect(smtp.mails).toHaveLength(3);
}, 120_000);

test('a permanent refusal is an alert, the mail lies aside, and others get theirs; a temporary one waits for itself alone', async () => {
  smtp.rules.refused.add('gone@example.org');
  smtp.rules.later.add('full@example.org');
  writeFileSync(join(state, 'alerts.conf'), 'mail gone@example.org,full@example.org,admin@example.org\n');
  start();
  await fire('web1');
  await until(() => alertOf('refused') !== '' && told().length === 1, 'refused', PATIENCE);
  expect(alertOf('refused')).toContain('a message to gone@example.org was refused');
  expect(alertOf('refused')).toContain('550 no such user here');
  await until(() => filesIn('refused').length === 1 && queued().length === 1, 'aside', PATIENCE);
  smtp.rules.later.clear();
  await until(() => told('full@example.org').length === 1, 'the other one', PATIENCE);
  expect(smtp.subjects().filter((one) => one.includes('alerter'))).toEqual([]); // mails do not tell of mails
}, 120_000);

test('killed at any moment: each alert is told, none twice but with the same Message-ID', async () => {
  smtp.rules.slowMs = 30;
  const names = Array.from({ length: 24 }, (_, index) => `web${index}`);
  for (const [index, name] of names.entries()) {
    start({}, index % 3 === 0 ? 60 : 0);
    await fire(name);
    await sleep(700 + ((index * 137) % 900));
    if (index % 4 === 3) await kill();
    else if (index % 2 === 1) await kill();
    else {
      await until(() => smtp.mails.length > 0 || index === 0, 'some mail', PATIENCE);
      await kill();
    }
  }
  start();
  await until(() => names.every((name) => told().includes(`BEGINS ${name}`)), 'all of them', PATIENCE);
  await until(() => queued().length === 0, 'empty', PATIENCE);
  expect(told().toSorted()).toEqual(names.map((name) => `BEGINS ${name}`).toSorted());
}, 240_000);

test('a login over STARTTLS; a password file that others may read is not used', async () => {
  await smtp.down();
  const { authority } = await import('./tls-kit.ts');
  const issued = authority(state, 'ca').issue('smtp', {
    names: 'DNS:localhost,IP:127.0.0.1',
    usage: 'serverAuth',
  });
  smtp = await realSmtp({
    user: 'vs',
    password: 'geheim',
    key: readFileSync(issued.key),
    cert: readFileSync(issued.cert),
  });
  const file = join(state, 'smtp.password');
  writeFileSync(file, 'geheim\n', { mode: 0o644 });
  chmodSync(file, 0o644);
  start({
    VS_SMTP_USER: 'vs',
    VS_SMTP_PASSWORD_FILE: file,
    VS_SMTP_CA: join(state, 'ca.pem'),
    VS_SMTP_URL: `smtp://localhost:${smtp.port}`,
  });
  await fire('web1');
  await until(() => alertOf('mail').includes('chmod 600'), 'an alert', PATIENCE);
  chmodSync(file, 0o600);
  await until(() => told().length === 1, 'sent', PATIENCE);
  expect(smtp.mails[0]).toMatchObject({ secure: true, user: 'vs' });
}, 120_000);

test('what people say survives a restart: ack, silence; history; a test tells how it went', async () => {
  start();
  const client = await connect(await broker.settings('operator'));
  const ask = <K extends CommandName>(name: K, args: Args<K>) => client.request('master', name, args);
  try {
    await fire('web1');
    await until(() => told().length === 1, 'begin', PATIENCE);
    const acked = await ask('alerter.ack', { subject: 'web1', check: 'disk', why: 'disk ordered' });
    expect(acked.alerts).toMatchObject([{ subject: 'web1', ack: { by: 'operator', why: 'disk ordered' } }]);
    await ask('alerter.silence', { subject: 'db*', check: '*', for: 3_600_000, why: 'restoring' });
    await expect(ask('alerter.ack', { subject: 'web9', check: 'disk' })).rejects.toThrow(
      'no alert disk of web9 fires',
    );
    await kill();
    start();
    await fire('db1');
    await fire('web2');
    await until(() => told().length === 2, 'web2', PATIENCE);
    expect(told()).toEqual(['BEGINS web1', 'BEGINS web2']);
    const { alerts, silences } = await ask('alerter.list', {});
    expect(alerts.map((one) => [one.subject, one.silenced, one.ack?.by])).toEqual(
      expect.arrayContaining([
        ['web1', false, 'operator'],
        ['db1', true, undefined],
        ['web2', false, undefined],
      ]),
    );
    expect(silences).toMatchObject([{ subject: 'db*', by: 'operator' }]);
    expect(await ask('alerter.unsilence', { subject: 'db*', check: '*' })).toEqual({ removed: 1 });
    await until(() => told().includes('BEGINS db1'), 'what still fires after a silence', PATIENCE);
    await clear('web2');
    await until(() => told().includes('ENDS web2'), 'end', PATIENCE);
    expect((await ask('alerter.history', { limit: 50 })).alerts).toMatchObject([
      { subject: 'web2', check: 'disk', count: 1 },
    ]);
    smtp.rules.refused.add('gone@example.org');
    expect(await ask('alerter.test', {})).toEqual({
      sent: [{ channel: 'mail:admin@example.org', ok: true }],
    });
    expect((await ask('alerter.test', { to: 'gone@example.org' })).sent).toMatchObject([
      { ok: false, error: expect.stringContaining('550') as string },
    ]);
  } finally {
    client.close();
  }
}, 120_000);

test('webhook and program get the alert; a fault in alerts.conf is an alert, and its lines of before stay', async () => {
  const heard: { url: string; token: string | undefined; body: Record<string, unknown> }[] = [];
  let code = 503;
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      if (code === 200)
        heard.push({
          url: request.url ?? '',
          token: request.headers.authorization,
          body: JSON.parse(text) as Record<string, unknown>,
        });
      response.writeHead(code).end();
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const at = (file: string) => join(state, file);
  writeFileSync(at('token'), 'geheim\n', { mode: 0o600 });
  writeFileSync(at('program'), `#!/bin/sh\n[ "$1" = "; touch x" ] && cat >>${at('out')}\n`, { mode: 0o755 });
  const conf = `webhook http://127.0.0.1:${port}/pool-alerts format=ntfy token-file=${at('token')}\nexec -- ${at('program')} "; touch x"\n`;
  writeFileSync(at('alerts.conf'), conf);
  try {
    start();
    await fire('web1');
    await until(() => existsSync(at('out')) && queued().length === 1, 'the program', PATIENCE);
    code = 200;
    await until(() => heard.length === 1, 'the webhook, later', PATIENCE);
    expect(heard).toMatchObject([
      {
        url: '/',
        token: 'Bearer geheim',
        body: { topic: 'pool-alerts', title: 'host1:web1:disk is over its threshold' },
      },
    ]);
    expect(JSON.parse(readFileSync(at('out'), 'utf8'))).toMatchObject({
      severity: 'warning',
      notices: [{ kind: 'begin', subject: 'web1' }],
    });
    expect(told()).toEqual(['BEGINS web1']); // no mail line takes it, so MAIL_TO
    writeFileSync(at('alerts.conf'), `${conf}mial x@example.org\n`);
    await until(() => alertOf('config').includes('alerts.conf:3:1: expected mail'), 'the fault', PATIENCE);
    await until(() => heard.length === 2, 'it is told by what is in force', PATIENCE);
    writeFileSync(at('alerts.conf'), conf);
    await until(() => alertOf('config') === '', 'mended', PATIENCE);
  } finally {
    server.close();
  }
}, 120_000);
