import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hashPassword } from '../../broker/users.ts';
import { freePort } from './free-port.ts';

export const cli = new URL('../../cli/main.ts', import.meta.url).pathname;
export const MB = 1024 * 1024;

export async function until(what: () => boolean, why: string, ms = 8000): Promise<void> {
  const end = Date.now() + ms;
  while (!what()) {
    if (Date.now() > end) throw new Error(`waited in vain: ${why}`);
    await sleep(20);
  }
}

/** A certificate authority of openssl in a directory. */
export function authority(directory: string, name: string) {
  const at = (file: string) => join(directory, file);
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const key = (file: string) =>
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', at(`${file}.key`));
  key(name);
  const ca = at(`${name}.pem`);
  openssl(
    'req',
    '-x509',
    '-new',
    '-key',
    at(`${name}.key`),
    '-subj',
    `/CN=${name}`,
    '-days',
    '2',
    '-out',
    ca,
  );
  return {
    ca,
    /** Makes FILE.pem and FILE.key; days may be negative. */
    issue(file: string, { cn = file, names = '', usage = 'clientAuth', days = 2 } = {}) {
      key(file);
      const [pem, request, extensions] = [at(`${file}.pem`), at(`${file}.csr`), at(`${file}.ext`)];
      openssl('req', '-new', '-key', at(`${file}.key`), '-subj', `/CN=${cn}`, '-out', request);
      writeFileSync(
        extensions,
        `basicConstraints=CA:FALSE\nextendedKeyUsage=${usage}\n${names && `subjectAltName=${names}\n`}`,
      );
      // prettier-ignore
      openssl('x509', '-req', '-in', request, '-CA', ca, '-CAkey', at(`${name}.key`), '-CAcreateserial', '-days', String(days), '-extfile', extensions, '-out', pem);
      return { cert: pem, key: at(`${file}.key`) };
    },
  };
}
export type Authority = ReturnType<typeof authority>;
export const server = { usage: 'serverAuth', names: 'DNS:localhost,IP:127.0.0.1' };

/** A broker process with TLS (`ports.tls`) and WebSocket (`ports.ws`), and what speaks to it. */
export async function tlsBroker(more: NodeJS.ProcessEnv = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'vslab-tls-'));
  const own = authority(directory, 'own');
  const foreign = authority(directory, 'foreign');
  const shown = own.issue('broker', server);
  const secret = await hashPassword('right');
  const roles = { master: 'master', host1: 'agent', operator: 'operator', viewer: 'viewer' };
  const users = Object.fromEntries(Object.entries(roles).map(([name, role]) => [name, { role, ...secret }]));
  writeFileSync(join(directory, 'users.json'), JSON.stringify({ users }), { mode: 0o600 });
  writeFileSync(join(directory, 'password'), 'right', { mode: 0o600 });
  const ports = { tls: await freePort(), ws: await freePort() };
  const log = { text: '' };
  const broker: ChildProcess = spawn(process.execPath, [cli, 'service', 'broker'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      VS_CONFIG_DIR: directory,
      VS_STATE_DIR: directory,
      VS_BROKER_LISTEN: '',
      VS_BROKER_TLS_LISTEN: `127.0.0.1:${ports.tls}`,
      VS_BROKER_WS_LISTEN: `127.0.0.1:${ports.ws}`,
      VS_BROKER_TLS_CERT: shown.cert,
      VS_BROKER_TLS_KEY: shown.key,
      VS_BROKER_TLS_CA: own.ca,
      VS_BROKER_TLS_RELOAD_SECONDS: '1',
      VS_BROKER_USERS: join(directory, 'users.json'),
      VS_LOG_LEVEL: 'info',
      ...more,
    },
  });
  broker.once('exit', (code) => code && console.error(`the broker ended with ${code}: ${log.text}`));
  for (const stream of [broker.stdout, broker.stderr])
    stream?.on('data', (chunk: Buffer) => (log.text += chunk.toString()));
  for (let reached = false; !reached; await sleep(50)) {
    if (broker.exitCode !== null) throw new Error(`the broker ended: ${log.text}`);
    reached = await new Promise<boolean>((resolve) => {
      const socket = connect(ports.ws, '127.0.0.1', () => resolve(true));
      socket.on('error', () => resolve(false)).on('connect', () => socket.destroy());
    });
  }
  return {
    directory,
    own,
    foreign,
    ports,
    log,
    pid: broker.pid ?? 0,
    url: `mqtts://localhost:${ports.tls}`,
    /** One `vs` command against this broker; by password unless told otherwise. */
    vs(words: string[], environment: NodeJS.ProcessEnv = {}) {
      const env = {
        ...process.env,
        VS_CONFIG_DIR: directory,
        VS_BROKER_URL: `mqtts://localhost:${ports.tls}`,
        VS_BROKER_CA: own.ca,
        VS_BROKER_USER: 'operator',
        VS_BROKER_PASSWORD_FILE: join(directory, 'password'),
        ...environment,
      };
      const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...words], {
        encoding: 'utf8',
        timeout: 20_000,
        env,
      });
      return { status, stdout, stderr };
    },
    async stop(): Promise<void> {
      if (broker.exitCode === null) {
        const gone = new Promise((resolve) => broker.once('exit', resolve));
        broker.kill('SIGTERM');
        await gone;
      }
      rmSync(directory, { recursive: true });
    },
  };
}
