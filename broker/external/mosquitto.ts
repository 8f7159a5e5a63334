import type { Settings } from '../../config/settings.ts';
import { rightsOf, type User } from '../users.ts';
import { type ConfigFile, mark } from './file.ts';
import { narrowFilters } from './narrow.ts';

export interface MosquittoOptions {
  out: string;
  /** Where it keeps what is retained and queued. */
  data: string;
  /** Where clients with a certificate, and those with a password, are served: `8883` or `10.0.0.1:8883`. */
  certificates: string;
  passwords: string;
  cert: string;
  key: string;
  ca: string;
  /** PEM file of revoked certificates. */
  crl?: string;
  /** The user that it becomes when root starts it. */
  runAs: string;
}
type Limits = Pick<
  Settings,
  | 'BASE_TOPIC'
  | 'HOMEASSISTANT_PREFIX'
  | 'BROKER_SESSION_HOURS'
  | 'BROKER_QUEUE_MESSAGES'
  | 'BROKER_QUEUE_BYTES'
  | 'BROKER_CONNECTIONS'
  | 'BROKER_PACKET_BYTES'
>;

const listener = (text: string): string => {
  const [, address, port = text] = /^(?:(.*):)?(\d+)$/.exec(text) ?? [];
  return `listener ${port}${address ? ` ${address.replace(/^\[|\]$/g, '')}` : ''}`;
};

/** mosquitto.conf(5): one broker, one listener for certificates and one for passwords, both with TLS. */
function conf(options: MosquittoOptions, limits: Limits): string {
  const { out, cert, key, ca, crl } = options;
  const tls = [`certfile ${cert}`, `keyfile ${key}`, 'tls_version tlsv1.2'];
  return [
    mark,
    'per_listener_settings false',
    'allow_anonymous false',
    `password_file ${out}/passwords`,
    `acl_file ${out}/access`,
    `user ${options.runAs}`,
    '',
    'log_dest stderr',
    'log_type error',
    'log_type warning',
    'log_type notice',
    '',
    'persistence true',
    `persistence_location ${options.data}/`,
    '# What came in since then is lost by a power cut; agents publish their state again when they connect.',
    'autosave_interval 30',
    `persistent_client_expiration ${Math.max(1, Math.round(limits.BROKER_SESSION_HOURS))}h`,
    '',
    'set_tcp_nodelay true',
    `max_packet_size ${limits.BROKER_PACKET_BYTES}`,
    'max_inflight_messages 100',
    `max_queued_messages ${limits.BROKER_QUEUE_MESSAGES}`,
    `max_queued_bytes ${limits.BROKER_QUEUE_BYTES}`,
    'queue_qos0_messages false',
    'max_keepalive 120',
    '',
    '# Agents, the master, and whoever has a certificate of the pool: the common name is the user.',
    listener(options.certificates),
    ...tls,
    `cafile ${ca}`,
    ...(crl ? [`crlfile ${crl}`] : []),
    'require_certificate true',
    'use_identity_as_username true',
    `max_connections ${limits.BROKER_CONNECTIONS}`,
    '',
    '# People and programs with a password.',
    listener(options.passwords),
    ...tls,
    `max_connections ${limits.BROKER_CONNECTIONS}`,
    '',
  ].join('\n');
}

/** What each user may do; nobody else, and nothing else. */
function access(base: string, users: Record<string, User>, homeassistant: string): string {
  const blocks = Object.entries(users).map(([name, user]) => {
    const { publish, read } = narrowFilters(base, { name, ...rightsOf(user) }, homeassistant);
    return [
      `user ${name}`,
      ...publish.map((filter) => `topic write ${filter}`),
      ...read.map((filter) => `topic read ${filter}`),
    ].join('\n');
  });
  return `${mark}\n${blocks.join('\n\n')}\n`;
}

/** All files of a mosquitto, and the users whose password it cannot check yet. */
export function mosquittoConfig(
  users: Record<string, User>,
  options: MosquittoOptions,
  limits: Limits,
): { files: ConfigFile[]; without: string[] } {
  const sorted = Object.fromEntries(Object.entries(users).sort(([a], [b]) => a.localeCompare(b)));
  const lines = Object.entries(sorted).flatMap(([name, user]) =>
    user.mosquitto ? [`${name}:${user.mosquitto}`] : [],
  );
  return {
    files: [
      { path: `${options.out}/mosquitto.conf`, text: conf(options, limits) },
      { path: `${options.out}/access`, text: access(limits.BASE_TOPIC, sorted, limits.HOMEASSISTANT_PREFIX) },
      { path: `${options.out}/passwords`, text: `${[mark, ...lines].join('\n')}\n` },
    ],
    without: Object.entries(sorted)
      .filter(([, user]) => user.hash && !user.mosquitto)
      .map(([name]) => name),
  };
}
