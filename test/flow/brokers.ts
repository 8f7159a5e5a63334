import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { connect as connectPlain, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { type IClientOptions, connectAsync } from 'mqtt';
import { hashPassword } from '../../broker/users.ts';
import { freePort } from './free-port.ts';
import { authority, cli } from './tls-kit.ts';

export type Kind = 'embedded' | 'mosquitto' | 'nats';
/** Which broker these tests run against: the projects flow, flow-mosquitto and flow-nats (vitest.config.ts). */
export const kind = (process.env['VS_TEST_BROKER'] ?? 'embedded') as Kind;
export const users = {
  master: 'master',
  host1: 'agent',
  host2: 'agent',
  operator: 'operator',
  viewer: 'viewer',
} as const;
/** What takes longer with a cluster: a leader has to be found, a subscription to be prepared on three nodes. */
export const patience = { embedded: 1, mosquitto: 2, nats: 4 }[kind];

const program = { embedded: process.execPath, mosquitto: 'mosquitto', nats: 'nats-server' }[kind];
/** mosquitto has no flag for its version alone, and -v would start it. */
export const installed =
  spawnSync(program, [kind === 'mosquitto' ? '-h' : '-v'], { timeout: 20_000 }).error === undefined;
if (!installed) console.log(`skipped: ${program} is not installed (deploy/setup.sh does that)`);

export interface Broker {
  directory: string;
  start(): Promise<void>;
  /** Of its first process, while it runs. */
  pid(): number;
  /** All of it, by SIGKILL. */
  kill(): Promise<void>;
  /** One node of a cluster, by SIGKILL; and again. */
  killNode(index: number): Promise<void>;
  startNode(index: number): void;
  /** Ends when it takes a message so often in a row; of a cluster the nodes in turn. */
  answers(times: number): Promise<void>;
  /** A stream to a node as this user: TLS with its certificate where it has one. */
  dial(user: string): Socket;
  url(user: string): string;
  /** What the settings of a process of this user say, besides the url. */
  environment(user: string): Record<string, string>;
  /** The same for mqtt.js. */
  options(user: string): IClientOptions;
  /** A certificate for this name, of an authority that is the pool's or another. */
  certificate(name: string, from: 'pool' | 'elsewhere'): { cert: Buffer; key: Buffer };
}

/** One process of a broker, which can be killed and started again. */
function node(argv: string[], log: string, env: NodeJS.ProcessEnv = process.env) {
  let child: ChildProcess | undefined;
  return {
    start(): void {
      const out = openSync(log, 'a');
      child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['ignore', out, out], env });
    },
    async kill(): Promise<void> {
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child?.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    },
    ended: () => child?.exitCode !== null,
    pid: () => child?.pid ?? 0,
  };
}

/** A broker of the kind that is tested, configured by what `vs broker config` writes, with its users; all passwords are `right`. */
export async function openBroker(directory: string, more: Record<string, string> = {}): Promise<Broker> {
  const secret = await hashPassword('right');
  const list = Object.fromEntries(Object.entries(users).map(([name, role]) => [name, { role, ...secret }]));
  writeFileSync(join(directory, 'broker-users.json'), JSON.stringify({ users: list }), { mode: 0o600 });
  writeFileSync(join(directory, 'password'), 'right', { mode: 0o600 });
  const log = join(directory, 'broker.log');
  const ports = [await freePort(), await freePort(), await freePort()];
  const [first = 0, second = 0] = ports;
  const base = { ...process.env, VS_CONFIG_DIR: directory, VS_STATE_DIR: directory };

  let pool: ReturnType<typeof authority> | undefined;
  /** Writes the configuration as a person would. */
  function configure(...words: string[]): void {
    pool = authority(directory, 'own');
    pool.issue('broker', { usage: 'serverAuth,clientAuth', names: 'DNS:localhost,IP:127.0.0.1' });
    for (const name of Object.keys(users)) pool.issue(name);
    const at = (file: string) => join(directory, file);
    const files = ['--cert', at('broker.pem'), '--key', at('broker.key'), '--ca', at('own.pem')];
    const data = at(kind === 'nats' ? 'data/NODE' : 'data');
    mkdirSync(at('data'));
    const rest = ['--run-as', 'root', '--data', data];
    execFileSync(process.execPath, [cli, 'broker', 'config', kind, ...files, ...rest, ...words], {
      env: base,
    });
  }
  /** With a certificate: all with NATS, agents and the master with mosquitto. */
  const certified = (user: string) =>
    kind === 'nats' || (kind === 'mosquitto' && user !== 'operator' && user !== 'viewer');
  const own = () => join(directory, 'own.pem');
  const pair = (user: string) => [join(directory, `${user}.pem`), join(directory, `${user}.key`)] as const;
  const portsFor = (user: string): number[] => {
    if (kind === 'nats') return ports;
    return [kind === 'mosquitto' && !certified(user) ? second : first];
  };
  let turn = 0;

  const nodes: ReturnType<typeof node>[] = [];
  if (kind === 'embedded')
    nodes.push(
      node([process.execPath, cli, 'service', 'broker'], log, {
        ...base,
        VS_BROKER_LISTEN: `127.0.0.1:${first}`,
        VS_LOG_LEVEL: 'error',
        ...more,
      }),
    );
  else if (kind === 'mosquitto') {
    configure('--listen', `127.0.0.1:${first}`, '--password-listen', `127.0.0.1:${second}`);
    nodes.push(node(['mosquitto', '-c', join(directory, 'mosquitto/mosquitto.conf')], log));
  } else {
    const routes = [await freePort(), await freePort(), await freePort()];
    const names = ports.map((port, index) => `n${index + 1}=127.0.0.1:${port}:${routes[index]}`);
    configure('--nodes', names.join(','));
    for (const name of ['n1', 'n2', 'n3'])
      nodes.push(node(['nats-server', '-c', join(directory, `nats/${name}/nats.conf`)], log));
  }

  const dial = (user: string, port = portsFor(user)[turn++ % portsFor(user).length] ?? 0): Socket => {
    if (kind === 'embedded') return connectPlain({ port, host: '127.0.0.1', noDelay: true });
    const [cert, key] = pair(user);
    const shown = certified(user) ? { cert: readFileSync(cert), key: readFileSync(key) } : {};
    const socket = connectTls({ port, host: '127.0.0.1', ca: readFileSync(own()), ...shown });
    return socket.setNoDelay(true);
  };
  const options = (user: string): IClientOptions => ({
    host: '127.0.0.1',
    port: portsFor(user)[turn++ % portsFor(user).length] ?? 0,
    username: user,
    ...(certified(user) ? {} : { password: 'right' }),
    ...(kind === 'embedded'
      ? {}
      : {
          protocol: 'mqtts' as const,
          ca: readFileSync(own()),
          ...(certified(user) ? { cert: readFileSync(pair(user)[0]), key: readFileSync(pair(user)[1]) } : {}),
        }),
  });
  /** Takes a message of QoS 1: all parts of it work. */
  async function answers(times = 1): Promise<void> {
    const end = Date.now() + 80_000;
    let why: unknown = 'no PUBACK';
    let inRow = 0;
    while (Date.now() < end && !nodes[0]?.ended()) {
      try {
        const client = await Promise.race([
          connectAsync({ ...options('master'), clientId: 'master-ready', reconnectPeriod: 0 }),
          sleep(5000).then(() => Promise.reject(new Error('no CONNACK'))),
        ]);
        const taken = client.publishAsync('vs/1/master/events/ready', '{}', { qos: 1 }).then(() => true);
        const done = await Promise.race([taken.catch(() => false), sleep(3000)]);
        client.stream.destroy();
        inRow = done ? inRow + 1 : 0;
        if (inRow === times) return;
      } catch (error) {
        inRow = 0;
        if (why === 'no PUBACK') why = error; // the first one: mqtt.js cannot load its parts a second time
      }
      await sleep(50);
    }
    const said = readFileSync(log, 'utf8').slice(-2000);
    throw new Error(`the broker does not answer (${String(why)}): ${said}`);
  }
  return {
    directory,
    pid: () => nodes[0]?.pid() ?? 0,
    async start(): Promise<void> {
      for (const one of nodes) one.start();
      await answers();
    },
    kill: async () => void (await Promise.all(nodes.map((one) => one.kill()))),
    answers,
    killNode: async (index) => nodes[index]?.kill(),
    startNode: (index) => nodes[index]?.start(),
    dial,
    url: (user) =>
      portsFor(user)
        .map((port) => `${kind === 'embedded' ? 'mqtt' : 'mqtts'}://127.0.0.1:${port}`)
        .join(','),
    environment: (user) => ({
      VS_BROKER_KIND: kind,
      VS_BROKER_USER: user,
      ...(certified(user)
        ? { VS_BROKER_CERT: pair(user)[0], VS_BROKER_KEY: pair(user)[1] }
        : { VS_BROKER_PASSWORD_FILE: join(directory, 'password') }),
      ...(kind === 'embedded' ? {} : { VS_BROKER_CA: own() }),
    }),
    options,
    certificate(name, from) {
      const made = (from === 'pool' ? pool : authority(directory, 'elsewhere'))?.issue(`${from}-${name}`, {
        cn: name,
      });
      if (!made) throw new Error('this broker has no TLS here');
      return { cert: readFileSync(made.cert), key: readFileSync(made.key) };
    },
  };
}

/** The level of the reply topics of a client (docs/brokers.md, "What differs"). */
export const replyLevel = (clientId: string): string =>
  kind === 'embedded' ? clientId : (clientId.split('-')[0] ?? '');
