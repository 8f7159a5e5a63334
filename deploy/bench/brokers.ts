import { spawn } from 'node:child_process';
import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hashPassword } from '../../broker/users.ts';
import { memoryOf, vs } from './kit.ts';
import type { benchAuthority } from './certificates.ts';

export const kinds = ['vs', 'mosquitto'] as const;
export type Kind = (typeof kinds)[number];
export interface BenchBroker {
  kind: Kind;
  port: number;
  tlsPort: number;
  /** Seconds of processor time since its start. */
  cpu(): number;
  /** Resident bytes. */
  memory(): number;
  stop(): Promise<void>;
}

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
const answers = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.on('error', () => resolve(false)).on('connect', () => socket.destroy());
  });

/** Password and certificate users: master, operator, and as many hosts, whose topics only they may write. */
async function ours(directory: string, hosts: string[]): Promise<void> {
  const secret = await hashPassword('bench');
  const users = Object.fromEntries([
    ...['master', 'operator'].map((name) => [name, { role: name, ...secret }]),
    ...hosts.map((name) => [name, { role: 'agent', ...secret }]),
  ]) as object;
  writeFileSync(join(directory, 'users.json'), JSON.stringify({ users }), { mode: 0o600 });
}

/** The same for mosquitto: its password file (PBKDF2), access by pattern, and what docs/brokers.md advises. */
function theirs(directory: string, hosts: string[], ports: { port: number; tlsPort: number }): void {
  const at = (file: string) => join(directory, file);
  const salt = randomBytes(12);
  const hash = pbkdf2Sync('bench', salt, 101, 64, 'sha512').toString('base64');
  const all = ['master', 'operator', ...hosts];
  const entry = `$7$101$${salt.toString('base64')}$${hash}`;
  writeFileSync(at('passwords'), all.map((name) => `${name}:${entry}\n`).join(''), { mode: 0o600 });
  const access = ['master', 'operator'].map((name) => `user ${name}\ntopic readwrite vs/1/#\n`);
  writeFileSync(at('access'), `${access.join('')}pattern readwrite vs/1/hosts/%u/#\n`, { mode: 0o600 });
  writeFileSync(
    at('mosquitto.conf'),
    `user root
set_tcp_nodelay true
allow_anonymous false
password_file ${at('passwords')}
acl_file ${at('access')}
max_queued_messages 1000
max_inflight_messages 100
persistence true
persistence_location ${directory}/
log_dest none
listener ${ports.port} 127.0.0.1
listener ${ports.tlsPort} 127.0.0.1
cafile ${at('ca.pem')}
certfile ${at('broker.pem')}
keyfile ${at('broker.key')}
require_certificate true
use_identity_as_username true
`,
  );
}

/** Starts one of the two, with the same users, access, listeners and certificates. */
export async function startBroker(
  kind: Kind,
  hosts: string[],
  authority: ReturnType<typeof benchAuthority>,
): Promise<BenchBroker> {
  const directory = mkdtempSync(join(tmpdir(), 'vslab-bench-'));
  const at = (file: string) => join(directory, file);
  const pair = authority.issue('localhost', 'server');
  writeFileSync(at('ca.pem'), authority.ca);
  writeFileSync(at('broker.pem'), pair.cert);
  writeFileSync(at('broker.key'), pair.key, { mode: 0o600 });
  const ports = { port: await freePort(), tlsPort: await freePort() };
  if (kind === 'vs') await ours(directory, hosts);
  else theirs(directory, hosts, ports);
  const main = new URL('cli/main.ts', `file://${vs}`).pathname;
  const argv =
    kind === 'vs'
      ? [process.execPath, main, 'service', 'broker']
      : ['prlimit', '--nofile=16384', 'mosquitto', '-c', at('mosquitto.conf')];
  const child = spawn(argv[0] ?? '', argv.slice(1), {
    stdio: ['ignore', 'ignore', kind === 'vs' ? 'inherit' : 'ignore'],
    env: {
      ...process.env,
      PATH: `${process.env['PATH']}:/usr/sbin:/sbin`,
      VS_CONFIG_DIR: directory,
      VS_STATE_DIR: directory,
      VS_LOG_LEVEL: 'error',
      VS_BROKER_LISTEN: `127.0.0.1:${ports.port}`,
      VS_BROKER_TLS_LISTEN: `127.0.0.1:${ports.tlsPort}`,
      VS_BROKER_TLS_CERT: at('broker.pem'),
      VS_BROKER_TLS_KEY: at('broker.key'),
      VS_BROKER_TLS_CA: at('ca.pem'),
      VS_BROKER_USERS: at('users.json'),
    },
  });
  let failure = '';
  child.once('error', (error) => (failure = error.message));
  child.once('exit', (code, signal) => (failure ||= `ended with ${code ?? signal}`));
  const stop = async () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL'); // an orderly end writes down what nobody will read
      await gone;
    }
    rmSync(directory, { recursive: true, force: true });
  };
  for (let round = 0; !(await answers(ports.tlsPort)); round++) {
    if (failure || round > 200) {
      await stop();
      throw new Error(`the broker ${kind} does not listen: ${failure || 'not within 10 s'}`);
    }
    await sleep(50);
  }
  const processFile = (name: string) => readFileSync(`/proc/${child.pid}/${name}`, 'utf8');
  return {
    kind,
    ...ports,
    stop,
    cpu() {
      const threads = readdirSync(`/proc/${child.pid}/task`);
      // nanoseconds on a processor; ticks would count what interrupts it as well
      return (
        threads.reduce((sum, one) => sum + Number(processFile(`task/${one}/schedstat`).split(' ')[0]), 0) /
        1e9
      );
    },
    memory: () => memoryOf(child.pid ?? 0),
  };
}
