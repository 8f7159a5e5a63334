import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { type Server, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { channels } from '../../shared/contract/channels.ts';
import { realBroker, until } from '../flow/bus-kit.ts';
import { type Received, partOf, receivedOf } from '../flow/smtp-kit.ts';

// The alerter and a mail server that people have: OpenSMTPD of Debian (downloaded, not installed), in namespaces of its own.
// In the clear: version 6.8 of Debian 12 fails at any handshake of TLS with the OpenSSL of today. TLS and a login: test/flow/alerter.
const PATIENCE = 60_000;
const full = process.env['VS_TEST_FULL'] === '1';
if (!full) console.log('skipped: mails by way of OpenSMTPD, a package of Debian; VS_TEST_FULL=1 runs it');
const MAIL_USER = 64_003;
const ADMIN = 'admin@example.org';
const GONE = 'gone@example.org';
const here = (name: string) => new URL(name, import.meta.url).pathname;
const example = (key: string) => channels[key]?.example as Record<string, unknown>;

/** Unpacks the package, and gives the server what it needs beside it. */
function prepare(directory: string): void {
  const at = (name: string) => join(directory, name);
  execFileSync('apt-get', ['-qq', 'download', 'opensmtpd'], { cwd: directory, stdio: 'pipe' });
  const [file = ''] = readdirSync(directory).filter((one) => one.endsWith('.deb'));
  execFileSync('dpkg-deb', ['-x', file, 'root'], { cwd: directory });
  const users = { opensmtpd: 64_001, opensmtpq: 64_002, vmail: MAIL_USER };
  const lines = (line: (name: string, id: number) => string) =>
    Object.entries(users)
      .map(([name, id]) => `${line(name, id)}\n`)
      .join('');
  writeFileSync(
    at('passwd.more'),
    lines((name, id) => `${name}:x:${id}:${id}::${at('box')}:/usr/sbin/nologin`),
  );
  writeFileSync(
    at('group.more'),
    lines((name, id) => `${name}:x:${id}:`),
  );
  writeFileSync(at('users'), `${ADMIN}: vmail\n`);
  mkdirSync(at('box'));
  chownSync(at('box'), MAIL_USER, MAIL_USER);
  chmodSync(directory, 0o711);
}

describe.runIf(full)('OpenSMTPD of Debian', () => {
  let directory: string;
  let server: ChildProcess | undefined;
  let door: Server;
  let alerter: ChildProcess | undefined;
  let broker: Awaited<ReturnType<typeof realBroker>>;
  let host1: Awaited<ReturnType<typeof broker.raw>>;
  let master: Awaited<ReturnType<typeof broker.raw>>;

  /** The first process of the namespaces of the server. */
  const inner = (): string => {
    const file = `/proc/${server?.pid}/task/${server?.pid}/children`;
    return existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
  };
  async function start(): Promise<void> {
    server = spawn('bash', [here('opensmtpd.sh'), directory], { stdio: 'ignore' });
    const hears = () => {
      const pid = inner();
      return pid !== '' && /:0019 .* 0A /.test(readFileSync(`/proc/${pid}/net/tcp`, 'utf8'));
    };
    await until(hears, 'it hears on port 25 of its network', PATIENCE);
  }
  async function kill(child: ChildProcess | undefined): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }
  const retain = (topic: string, body: object | null) =>
    host1.client.publishAsync(`vs/1/${topic}`, body ? JSON.stringify(body) : '', { qos: 1, retain: true });
  const fire = (name: string, check: string, more: object = {}) =>
    retain(`hosts/host1/alerts/${name}/${check}`, {
      ts: Date.now(),
      since: Date.now(),
      severity: 'warning',
      message: `${name}: ${check} \u00fcber 90 %`,
      vserver: name,
      ...more,
    });
  const clear = (name: string, check: string) => retain(`hosts/host1/alerts/${name}/${check}`, null);
  /** What lies in the box, in the order of its arrival. */
  const mails = (): Received[] => {
    const box = join(directory, 'box', ADMIN, 'new');
    if (!existsSync(box)) return [];
    return readdirSync(box)
      .map((name) => ({
        raw: readFileSync(join(box, name), 'latin1'),
        at: statSync(join(box, name)).mtimeMs,
      }))
      .toSorted((one, other) => one.at - other.at)
      .map(({ raw }) => receivedOf(raw.replaceAll(/\r?\n/g, '\r\n'), ADMIN));
  };
  const list = () =>
    mails().map(({ raw, subject }) => {
      const [, word = ''] = /^(BEGINS|WORSE|STILL|ENDS|WAS) {2}/m.exec(partOf(raw, 'text/plain')) ?? [];
      return `${word} ${subject}`;
    });
  const alertOf = (check: string) =>
    master.heard.findLast((one) => one.topic === `vs/1/master/alerts/alerter/${check}`)?.text ?? '';

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'vslab-opensmtpd-'));
    prepare(directory);
    await start();
    // one connection, one process in the network of the server: it has no other way in
    door = createServer((socket) => {
      const pid = inner();
      if (pid === '') {
        socket.destroy();
        return;
      }
      const through =
        "const s=require('node:net').connect(25,'127.0.0.1');process.stdin.pipe(s).pipe(process.stdout);s.on('error',()=>process.exit(1))";
      const relay = spawn('nsenter', [`--net=/proc/${pid}/ns/net`, process.execPath, '-e', through], {
        stdio: ['pipe', 'pipe', 'ignore'],
      });
      socket.on('error', () => relay.kill());
      relay.stdin.on('error', () => socket.destroy());
      relay.on('error', () => socket.destroy());
      socket.pipe(relay.stdin);
      relay.stdout.pipe(socket);
    });
    await new Promise<void>((resolve) => void door.listen(0, '127.0.0.1', resolve));
    const { port } = door.address() as { port: number };
    broker = await realBroker();
    host1 = await broker.raw('host1-a');
    master = await broker.raw('operator-a', ['vs/1/master/alerts/#']);
    await retain('hosts/host1/status', { ...example('hostStatus'), state: 'online' });
    writeFileSync(join(directory, 'alerts.conf'), `mail ${ADMIN}\nmail ${GONE} vserver=db1\n`);
    alerter = spawn(process.execPath, [here('../flow/alerter-child.ts')], {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: {
        ...process.env,
        ...broker.environment('master'),
        VS_CONFIG_DIR: directory,
        VS_STATE_DIR: join(directory, 'state'),
        VS_LOG_LEVEL: 'error',
        VS_MAIL_FROM: 'vs-tools@example.org',
        VS_SMTP_URL: `smtp://localhost:${port}`,
        VS_MAIL_GROUP_SECONDS: '0.4',
        VS_OFFLINE_SECONDS: '3',
      },
    });
    await sleep(2500); // until what is heard is all, so that ends count
  }, 120_000);
  afterAll(async () => {
    await kill(alerter);
    await kill(server);
    door?.close();
    await broker?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  test('text, subject and threads arrive as they were sent; whom the server does not know is an alert', async () => {
    const tree = 'first\n.\n..two dots\nFrom here on\nlast';
    await fire('web1', 'memory', { details: { Processes: tree } });
    await until(() => list().length === 1, 'begin', PATIENCE);
    await clear('web1', 'memory');
    await until(() => list().length === 2, 'end', PATIENCE);
    await fire('db1', 'disk');
    await until(() => list().length === 3 && alertOf('refused') !== '', 'refused', PATIENCE);
    expect(list()).toEqual([
      'BEGINS host1:web1:memory \u00fcber 90 %',
      'ENDS host1:web1:memory is over: memory \u00fcber 90 %',
      'BEGINS host1:db1:disk \u00fcber 90 %',
    ]);
    const [begin, end] = mails();
    expect(begin?.headers['received']).toMatch(/by mail\.example\.org \(OpenSMTPD\) with ESMTP/);
    expect(begin?.headers).toMatchObject({ from: '"vs-tools" <vs-tools@example.org>', to: ADMIN });
    expect(partOf(begin?.raw ?? '', 'text/plain')).toContain(
      tree
        .split('\n')
        .map((line) => `    ${line}\n`)
        .join(''),
    );
    expect(begin?.raw).toMatch(/Content-Type: text\/html/);
    expect(end?.headers['in-reply-to']).toBe(begin?.id);
    expect(alertOf('refused')).toContain(`a message to ${GONE} was refused`);
    expect(alertOf('refused')).toMatch(/\b5\d\d 5\.\d\.\d /);
  }, 240_000);

  test('it is away: all waits in its order and is told once when it is back', async () => {
    const before = list();
    await kill(server);
    await fire('web2', 'tmp');
    await until(() => alertOf('mail') !== '', 'an alert', PATIENCE);
    await clear('web2', 'tmp');
    await sleep(3000); // what comes together would be one mail
    await fire('web3', 'swap');
    await sleep(2000);
    expect(list()).toEqual(before);
    await start();
    await until(() => list().length >= before.length + 3, 'all three', PATIENCE);
    await sleep(2000); // one too many would come now
    expect(list().slice(before.length)).toEqual([
      'BEGINS host1:web2:tmp \u00fcber 90 %',
      'ENDS host1:web2:tmp is over: tmp \u00fcber 90 %',
      'BEGINS host1:web3:swap \u00fcber 90 %',
    ]);
    await until(() => alertOf('mail') === '', 'all is well', PATIENCE);
  }, 240_000);
});
