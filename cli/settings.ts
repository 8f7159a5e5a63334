import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { brokerUrl } from '../shared/bus/wire.ts';
import { emptyCore } from '../shared/core-files.ts';
import { VsError } from '../shared/errors.ts';
import { agentSocket } from '../shared/local/lines.ts';

/** What the command line needs of the settings. Read without zod, which would double the time of `vs scan`. */
export interface ClientSettings {
  url: string;
  /** BROKER_KIND; embedded unless given. */
  kind?: string;
  /** PEM files for mqtts:// */
  ca?: string;
  cert?: string;
  key?: string;
  user: string;
  password: string;
  base: string;
  /** The socket of the agent of this host; `only`: the broker is not even asked (--local). */
  agent?: { path: string; only: boolean };
  /** The certificate of the pool's authority, by which sessions know a host. */
  authority?: string;
  /** STREAM_VIA: a command that carries connections to hosts which cannot be reached from here. */
  via?: string;
}

/** vs-tools.conf and, over it, VS_KEY of the environment. A file with a bad line gets the whole check of config/settings.ts. */
export async function clientSettings(env: NodeJS.ProcessEnv = process.env): Promise<ClientSettings> {
  const file = `${env['VS_CONFIG_DIR'] ?? '/etc/vs-tools'}/vs-tools.conf`;
  const values = new Map<string, string>();
  let doubtful = false;
  if (existsSync(file)) {
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      if (/^\s*(#.*)?$/.test(line)) continue;
      const match = /^\s*([A-Z][A-Z0-9_]*)\s*=\s*(.*?)\s*$/.exec(line);
      if (match?.[1]) values.set(match[1], (match[2] ?? '').replace(/^(["'])(.*)\1$/, '$2'));
      else doubtful = true;
    }
  }
  const get = (key: string, otherwise: string) => env[`VS_${key}`] ?? values.get(key) ?? otherwise;
  const socket = values.get('BROKER_SOCKET'); // on the master it is nearer than what its services use
  const near =
    socket && env['VS_BROKER_URL'] === undefined && mayUse(socket) ? `unix://${socket}` : undefined;
  const url = near ?? get('BROKER_URL', 'mqtt://127.0.0.1:1883');
  const tls = get('TLS_DIR', `${get('STATE_DIR', '/var/lib/vs-tools')}/tls`);
  const own = `${env['VS_CONFIG_DIR'] ?? '/etc/vs-tools'}/operator.password`; // of "vs master init", for root
  const isOperator = !get('BROKER_USER', '') && !get('BROKER_PASSWORD_FILE', '') && !get('BROKER_CERT', '');
  const operator = isOperator && mayUse(own);
  const base = get('BASE_TOPIC', 'vs/1');
  const path = get('AGENT_SOCKET', '') || agentSocket(get('RUN_DIR', '/run/vs'));
  const only = env['VS_LOCAL'] === '1';
  // who names a broker in the environment means another pool than that of this machine, such as a lab
  const here = env['VS_BROKER_URL'] === undefined && get('ROLE', 'host') === 'host' && mayUse(path);
  if (doubtful || !brokerUrl.test(url) || !/^[A-Za-z0-9_/-]+$/.test(base)) {
    (await import('../config/settings.ts')).loadSettings({ env }); // names every fault by file and line
  }
  return {
    url,
    kind: get('BROKER_KIND', 'embedded'),
    base,
    ca: get('BROKER_CA', url.startsWith('mqtts:') && mayUse(`${tls}/ca.pem`) ? `${tls}/ca.pem` : ''),
    cert: get('BROKER_CERT', ''),
    key: get('BROKER_KEY', ''),
    user: operator ? 'operator' : get('BROKER_USER', ''),
    // that of this pool before that of a broker, which may be another
    authority:
      (env['VS_BROKER_CA'] ?? (mayUse(`${tls}/ca.pem`) ? '' : get('BROKER_CA', ''))) || `${tls}/ca.pem`,
    via: get('STREAM_VIA', ''),
    password: passwordFrom(operator ? own : get('BROKER_PASSWORD_FILE', '')),
    ...(only || here ? { agent: { path, only } } : {}),
  };
}

function mayUse(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function passwordFrom(file: string): string {
  if (!file) return '';
  try {
    emptyCore();
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new VsError(
      'usage',
      `The password file ${file} (BROKER_PASSWORD_FILE) cannot be read: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
