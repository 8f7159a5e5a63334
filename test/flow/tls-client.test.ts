import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type Server, type Socket, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TlsOptions, createServer as createTlsServer } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import { type Bus, connectBus } from '../../shared/bus.ts';
import { createDispatcher } from '../../shared/dispatch.ts';
import { createLog } from '../../shared/log.ts';
import { openTls, type TlsFiles } from '../../shared/bus/tls.ts';
import { freePort } from './free-port.ts';
import { server, tlsBroker, until } from './tls-kit.ts';

let broker: Awaited<ReturnType<typeof tlsBroker>>;
const servers: Server[] = [];
const children: ChildProcess[] = [];
const buses: Bus[] = [];
beforeAll(async () => {
  broker = await tlsBroker();
});
afterAll(async () => {
  for (const one of buses) await one.close();
  for (const one of servers) one.close();
  for (const one of children) one.kill();
  await broker.stop();
});
const listening = (one: Server) =>
  new Promise<number>((resolve) => {
    servers.push(one);
    one.listen(0, '127.0.0.1', () => resolve((one.address() as { port: number }).port));
  });

/** A TLS server that is not the broker; what it hears is kept. */
async function other(files: { cert: string; key: string }, more: TlsOptions = {}) {
  const heard: Buffer[] = [];
  const take = (socket: Socket) => {
    socket.on('error', () => undefined).on('data', (chunk: Buffer) => void heard.push(chunk));
  };
  const options = { cert: readFileSync(files.cert), key: readFileSync(files.key), ...more };
  const port = await listening(createTlsServer(options, take).on('tlsClientError', () => undefined));
  return { url: `mqtts://localhost:${port}`, heard };
}
/** openssl as a server that tells by an alert, as mosquitto does, that it wants a client certificate of this authority. */
async function alerting(files: { cert: string; key: string }, ca: string): Promise<string> {
  const port = await freePort();
  const words = `s_server -accept 127.0.0.1:${port} -cert ${files.cert} -key ${files.key} -CAfile ${ca} -Verify 1 -verify_return_error`;
  const child = spawn('openssl', words.split(' '), { stdio: ['pipe', 'pipe', 'pipe'] });
  children.push(child);
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await until(() => said.includes('ACCEPT'), 'openssl listens');
  return `mqtts://localhost:${port}`;
}
/** What a connection says when it fails. */
async function failure(url: string, files: TlsFiles): Promise<string> {
  const socket = openTls(url, files);
  socket.write('CONNECT with a password');
  socket.resume();
  const error = await new Promise<Error>((resolve) => socket.once('error', resolve));
  return error.message;
}

test('wrong authority, expired, another name, no server: a sentence each, and not a byte reaches the other end', async () => {
  const { own, foreign } = broker;
  const ca = own.ca;
  const cases: [{ cert: string; key: string }, TlsFiles, RegExp][] = [
    [
      foreign.issue('f1', server),
      { ca },
      /shows a certificate of an authority that is not in .*own\.pem \(BROKER_CA\)\.$/,
    ],
    [own.issue('o1', server), {}, /of an authority that this system does not trust: set BROKER_CA\.$/],
    [own.issue('o2', { ...server, days: -1 }), { ca }, /that has expired\.$/],
    [
      own.issue('o3', { ...server, names: 'DNS:broker.example' }),
      { ca },
      /for other names: DNS:broker\.example\.$/,
    ],
    [own.issue('o4', { ...server, usage: 'clientAuth' }), { ca }, /that is not made for a server\.$/],
  ];
  for (const [files, given, sentence] of cases) {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { url, heard } = await other(files, { maxVersion });
      expect(await failure(url, given)).toMatch(sentence);
      await sleep(100);
      expect(Buffer.concat(heard).toString()).toBe('');
    }
  }
});

test('a plain server, an old TLS, refused or missing client certificates, files that cannot be read', async () => {
  const { own, foreign } = broker;
  const plain = await listening(createServer((socket) => void socket.on('error', () => undefined).end()));
  const banner = await listening(
    createServer((socket) => void socket.on('error', () => undefined).end('hello, I am no TLS')),
  );
  const shown = own.issue('o5', server);
  const old = await other(shown, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' });
  const stranger = foreign.issue('stranger');
  expect(await failure(`mqtts://localhost:${plain}`, own)).toMatch(
    /does not speak TLS: is it the plain port/,
  );
  expect(await failure(`mqtts://localhost:${banner}`, own)).toMatch(
    /does not speak TLS: is it the plain port/,
  );
  expect(await failure(old.url, own)).toMatch(/1\.2 or newer is needed/);
  expect(await failure(broker.url, { ca: '/none.pem' })).toMatch(
    /^The file \/none\.pem \(BROKER_CA\) cannot be read/,
  );
  expect(await failure(broker.url, { ca: own.ca, cert: stranger.cert })).toMatch(/go together/);
  expect(await failure(broker.url, { ca: own.ca, cert: stranger.cert, key: shown.key })).toMatch(
    /cannot be used for TLS/,
  );
  const strict = await alerting(shown, own.ca);
  expect(await failure(strict, { ca: own.ca, ...stranger })).toMatch(
    /refuses the client certificate .*stranger\.pem/,
  );
  expect(await failure(strict, { ca: own.ca })).toMatch(/wants a client certificate: set BROKER_CERT/);
});

test('vs: exit code 4 and one sentence, 2 when it is our own file; a certificate needs no password', async () => {
  const { vs, own, foreign } = broker;
  const good = own.issue('operator');
  const bad = foreign.issue('someone', { cn: 'operator' });
  const by = ({ cert, key }: { cert: string; key: string }) => ({
    VS_BROKER_CERT: cert,
    VS_BROKER_KEY: key,
    VS_BROKER_PASSWORD_FILE: '',
  });
  const words = ['listen', '$SYS/broker/version', '--count', '1'];
  expect(vs(words, by(good))).toMatchObject({ status: 0, stderr: '' });
  expect(vs(words, { VS_BROKER_URL: `mqtts://127.0.0.1:${broker.ports.tls}` })).toMatchObject({ status: 0 });
  const cases: [NodeJS.ProcessEnv, number, RegExp][] = [
    [by(bad), 4, /refuses the user "operator": it refuses the client certificate .*someone\.pem/],
    [{ ...by(good), VS_BROKER_USER: 'viewer' }, 4, /refuses the client certificate/],
    [{ ...by(good), VS_BROKER_CA: foreign.ca }, 4, /an authority that is not in .*foreign\.pem/],
    [{ VS_BROKER_CA: '/none.pem' }, 2, /^vs: The file \/none\.pem \(BROKER_CA\) cannot be read/],
    [{ VS_BROKER_URL: `mqtt://localhost:${broker.ports.tls}` }, 4, /closed the connection|ECONNRESET/],
  ];
  for (const [environment, status, sentence] of cases) {
    const result = vs(words, environment);
    expect([result.status, result.stderr]).toEqual([status, expect.stringMatching(sentence)]);
    expect(result.stderr.trim().split('\n')).toHaveLength(1);
  }
});

test('a bus says why it does not come in, and enters with a renewed certificate, without a restart', async () => {
  const files = broker.own.issue('host1', { days: -1 });
  const settings = loadSettings({
    env: {
      VS_CONFIG_DIR: broker.directory,
      VS_BROKER_URL: broker.url,
      VS_BROKER_USER: 'host1',
      VS_BROKER_CA: broker.own.ca,
      VS_BROKER_CERT: files.cert,
      VS_BROKER_KEY: files.key,
    },
  });
  const lines: string[] = [];
  const log = createLog('fatal', 'test');
  log.warn = ((facts: { error?: string }) => void lines.push(facts.error ?? '')) as never;
  const dispatcher = createDispatcher({}, () => undefined);
  const bus = connectBus({ settings, target: 'host1', dispatcher, log });
  buses.push(bus);
  let ready = false;
  bus.onConnect(() => (ready = true));
  await until(() => lines.length > 0, 'a reason');
  expect(lines[0]).toBe(
    `The broker at ${broker.url} refuses the client certificate ${files.cert} (BROKER_CERT).`,
  );
  expect(ready).toBe(false);
  broker.own.issue('host1');
  await until(() => ready, 'the bus is connected', 20_000);
});
