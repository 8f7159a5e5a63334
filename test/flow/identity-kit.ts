import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { type IClientOptions, type MqttClient, connectAsync } from 'mqtt';
import { makeRequest, newKey } from '../../shared/openssl.ts';
import { freePort } from './free-port.ts';
import { cli, until } from './tls-kit.ts';

export { cli, until };
/** Throws unless it ended well. */
export function needed(ran: Ran): Ran {
  if (ran.status === 0) return ran;
  throw new Error(`it ended with ${ran.status}: ${ran.stdout}${ran.stderr}`);
}
export interface Ran {
  status: number | null;
  stdout: string;
  stderr: string;
}

const reached = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.on('error', () => resolve(false)).on('connect', () => socket.destroy());
  });

/** A master made by `vs master init`: broker and authority as processes, in a directory of their own. */
export async function realMaster(more: Record<string, string> = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'vslab-identity-'));
  const at = (file: string) => join(directory, file);
  const ports = { tls: await freePort(), join: await freePort() };
  mkdirSync(at('master'));
  const conf = {
    ROLE: 'master',
    STATE_DIR: at('master/state'),
    MANAGEMENT_ADDRESS: '127.0.0.1',
    BROKER_URL: `mqtts://localhost:${ports.tls}`,
    BROKER_LISTEN: '',
    BROKER_TLS_LISTEN: `127.0.0.1:${ports.tls}`,
    BROKER_TLS_RELOAD_SECONDS: '1',
    BROKER_SOCKET: at('broker.sock'),
    JOIN_LISTEN: `127.0.0.1:${ports.join}`,
    ...more,
  };
  const lines = Object.entries(conf).map(([key, value]) => `${key}=${value}\n`);
  writeFileSync(at('master/vs-tools.conf'), lines.join(''));
  const clean = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('VS_')));
  const onMaster = { ...clean, VS_CONFIG_DIR: at('master') };
  const log = { text: '' };
  const running = new Map<string, ChildProcess>();

  function run(words: string[], env: NodeJS.ProcessEnv): Ran {
    const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...words], {
      encoding: 'utf8',
      timeout: 60_000,
      env,
    });
    return { status, stdout, stderr };
  }
  async function start(name: 'broker' | 'authority'): Promise<void> {
    const services = name === 'broker' ? ['broker'] : ['authority', 'orchestrator'];
    const child = spawn(process.execPath, [cli, 'service', ...services], {
      env: onMaster,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const from = log.text.length;
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (log.text += chunk.toString()));
    running.set(name, child);
    if (name === 'broker') {
      while (!(await reached(ports.tls))) {
        if (child.exitCode !== null) throw new Error(`the broker ended: ${log.text}`);
        await sleep(50);
      }
      return;
    }
    await until(() => log.text.slice(from).includes('connected to the broker'), 'the authority', 20_000);
  }
  async function kill(name: 'broker' | 'authority'): Promise<void> {
    const child = running.get(name);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }
  const clients: MqttClient[] = [];
  const pem = (file: string) => readFileSync(at(file), 'utf8');

  return {
    directory,
    at,
    ports,
    log,
    start,
    kill,
    pem,
    conf,
    init: (...words: string[]) => run(['master', 'init', '--yes', ...words], onMaster),
    vs: (...words: string[]) => run(words, onMaster),
    /** As vs, for tests that are a part of the pool themselves and must not be held up. */
    vsBeside: (...words: string[]) =>
      new Promise<Ran>((resolve) => {
        execFile(process.execPath, [cli, ...words], { env: onMaster }, (error, stdout, stderr) =>
          resolve({ status: error ? Number(error.code) : 0, stdout, stderr }),
        );
      }),
    /** `vs` on a machine of that name: directories and address of its own. */
    on: (machine: string, address: string, words: string[]) =>
      run(words, {
        ...clean,
        VS_CONFIG_DIR: at(machine),
        VS_STATE_DIR: at(`${machine}/state`),
        VS_MANAGEMENT_ADDRESS: address,
      }),
    /** A token of `vs host token`, and the words of its line without `vs`. */
    token(name: string, ...words: string[]) {
      const ran = run(['host', 'token', name, ...words], onMaster);
      if (ran.status !== 0) throw new Error(ran.stderr);
      const line = ran.stdout.trim().split(' ').slice(1);
      const token = line.at(-1) ?? '';
      return { line, token, secret: token.split('.')[2] ?? '' };
    },
    /** A key and the request for it, made as `vs join` makes them. */
    async request(name: string) {
      const keyFile = at(`${name}-${Math.random().toString(36).slice(2)}.key`);
      writeFileSync(keyFile, newKey(), { mode: 0o600 });
      return { key: readFileSync(keyFile, 'utf8'), request: await makeRequest(keyFile, name) };
    },
    /** Sends bytes to the join listener; what it answers, undefined when it closes without. */
    ask(body: object | string, { leave = false } = {}): Promise<Record<string, unknown> | undefined> {
      return new Promise((resolve) => {
        const socket = connectTls({ port: ports.join, host: '127.0.0.1', rejectUnauthorized: false });
        let text = '';
        socket.once('secureConnect', () => {
          socket.write(typeof body === 'string' ? body : `${JSON.stringify(body)}\n`, () => {
            if (leave) socket.end(); // destroyed, it would take back what the other side did not read yet
          });
        });
        socket.on('data', (chunk) => (text += String(chunk)));
        socket.on('error', () => undefined);
        // half an answer, of a master that was killed, is none
        socket.on('close', () =>
          resolve(text.endsWith('\n') ? (JSON.parse(text) as Record<string, unknown>) : undefined),
        );
      });
    },
    /** An MQTT client with a certificate and no password. */
    async enter(user: string, files: { cert: string; key: string }, options: IClientOptions = {}) {
      const client = await connectAsync({
        protocol: 'mqtts',
        host: 'localhost',
        port: ports.tls,
        ca: pem('master/state/ca/ca.pem'),
        clientId: `${user}-${clients.length}`,
        username: user,
        reconnectPeriod: 0,
        ...files,
        ...options,
      });
      clients.push(client);
      client.on('error', () => undefined);
      return client;
    },
    /** Key and certificate of a machine that joined. */
    shown: (machine: string) => ({
      cert: pem(`${machine}/state/tls/host.pem`),
      key: pem(`${machine}/state/tls/host.key`),
    }),
    async stop(): Promise<void> {
      for (const client of clients) await client.endAsync(true);
      for (const name of ['authority', 'broker'] as const) await kill(name);
      rmSync(directory, { recursive: true });
    },
  };
}
export type RealMaster = Awaited<ReturnType<typeof realMaster>>;
