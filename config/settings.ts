import { existsSync, readFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { z } from 'zod';
import { brokerUrl } from '../shared/bus/wire.ts';
import { agentSocket } from '../shared/local/lines.ts';
import { VsError } from '../shared/errors.ts';
import { mailAddress } from './mail-address.ts';

const seconds = (value: number) => z.coerce.number().min(0).max(86_400).default(value);
const count = (value: number) => z.coerce.number().int().min(0).default(value);
const addresses = (value: string) =>
  z
    .string()
    .default(value)
    .transform((text) => text.split(/[\s,]+/).filter(Boolean));
const absolute = z.string().startsWith('/', 'an absolute path');
const path = (value: string) => absolute.default(value);

/** Every key of vs-tools.conf, with its default. Each can also be given as VS_KEY in the environment, which wins. */
const schema = z.strictObject({
  HOST: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/, 'a host name such as host1')
    .default(() => hostname().split('.')[0]?.toLowerCase() ?? 'host'),
  ROLE: z.enum(['host', 'master']).default('host'),
  BROKER_URL: z
    .string()
    .regex(
      brokerUrl,
      'mqtts://host:port (more of them with commas between), mqtt://host:port or unix:///path',
    )
    .default('mqtt://127.0.0.1:1883'),
  BROKER_KIND: z.enum(['embedded', 'mosquitto', 'nats']).default('embedded'),
  BROKER_USER: z.string().default(''),
  BROKER_PASSWORD_FILE: z.string().default(''),
  BROKER_CA: z.string().default(''),
  BROKER_CERT: z.string().default(''),
  BROKER_KEY: z.string().default(''),
  BASE_TOPIC: z
    .string()
    .regex(/^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+){0,4}$/, 'topic levels such as vs/1')
    .default('vs/1'),
  VSERVER_DIR: path('/var/lib/vservers'),
  /** How vservers lie in VSERVER_DIR (docs/storage.md); auto: btrfs or dir, by its file system. */
  STORAGE: z.enum(['auto', 'btrfs', 'dir', 'lvm', 'lvm-thin']).default('auto'),
  LVM_POOL: z
    .string()
    .regex(/^$|^[A-Za-z0-9_+.][A-Za-z0-9_+.-]*\/[A-Za-z0-9_+.][A-Za-z0-9_+.-]*$/, 'a thin pool as GROUP/POOL')
    .default(''),
  /** So large a thick snapshot begins, in percent of the volume; it is grown while its volume group has space. */
  LVM_SNAPSHOT_PERCENT: z.coerce.number().min(0.1).max(100).default(10),
  STATE_DIR: path('/var/lib/vs-tools'),
  RUN_DIR: path('/run/vs'),
  AGENT_SOCKET: z.union([z.literal(''), absolute]).default(''),
  CONFIG_DIR: path('/etc/vs-tools'),
  TLS_DIR: z.string().default(''),
  MANAGEMENT_ADDRESS: z.string().default(ownAddress),
  STREAM_VIA: z.string().default(''),
  STOP_TIMEOUT: seconds(30),
  SAGAS_PER_HOST: z.coerce.number().int().min(1).max(100).default(2),
  COPY_DIR: z.union([z.literal(''), absolute]).default(''),
  /** The repository `main`, where repositories.conf does not say. */
  BACKUP_DIR: z.union([z.literal(''), absolute]).default(''),
  /** Of a host with repositories: BACKUP_DIR must be a mount point, else nothing is written there. */
  BACKUP_MOUNT: z.enum(['yes', 'no']).default('no'),
  /** So many backups run at once by the scheduler, and so many of one host. */
  BACKUP_CONCURRENCY: z.coerce.number().int().min(1).max(100).default(2),
  BACKUP_PER_HOST: z.coerce.number().int().min(1).max(100).default(1),
  /** Percent of the backups of each repository that are verified each week; 0: none. */
  BACKUP_VERIFY_PERCENT: z.coerce.number().min(0).max(100).default(10),
  BOOT_PARALLEL: z.coerce.number().int().min(1).max(100).default(4),
  BOOT_POOL_WAIT: z.coerce.number().min(0).max(600).default(10),
  SAGAS_KEPT: z.coerce.number().int().min(1).max(100_000).default(1000),
  SAGAS_KEPT_DAYS: z.coerce.number().min(1).max(36_500).default(365),
  TRASH_DAYS: z.coerce.number().min(0).max(3650).default(7),
  TRASH_MIN_FREE: z.coerce.number().min(0).max(90).default(10),
  /** So many snapshots of one vserver are kept at most. */
  SNAPSHOT_MAX: z.coerce.number().int().min(1).max(1000).default(100),
  /** So long the scripts of a vserver around a snapshot may take, each. */
  SNAPSHOT_SCRIPT_SECONDS: z.coerce.number().min(1).max(600).default(30),
  /** So often the names in the firewalls of vservers are resolved anew. */
  FIREWALL_RESOLVE_SECONDS: z.coerce.number().min(5).max(86_400).default(300),
  METRICS_INTERVAL: z.coerce.number().min(1).max(3600).default(10),
  OUTBOX_MESSAGES: z.coerce.number().int().min(10).max(100_000).default(1000),
  OUTBOX_BYTES: z.coerce
    .number()
    .int()
    .min(65_536)
    .max(256 * 1024 * 1024)
    .default(4 * 1024 * 1024),
  ALERT_SETTLE_SECONDS: seconds(60),
  HISTORY_DAYS: z.coerce.number().min(7).max(3650).default(365),
  HISTORY_MB: z.coerce.number().min(10).max(1_000_000).default(4000),
  METRICS_LISTEN: z
    .string()
    .regex(/^$|^([0-9A-Za-z.-]+|\[[0-9a-fA-F:.]+\]):\d{1,5}$/, 'an address such as 127.0.0.1:9469')
    .refine((text) => text === '' || URL.canParse(`http://${text}`), 'an address such as 127.0.0.1:9469')
    .default(''),
  METRICS_TOKEN_FILE: z.string().default(''),
  METRICS_TLS_CERT: z.string().default(''),
  METRICS_TLS_KEY: z.string().default(''),
  METRICS_OPEN_OUTSIDE: z.enum(['yes', 'no']).default('no'),
  METRICS_KEEP_SECONDS: z.coerce.number().min(1).max(86_400).default(60),
  HOMEASSISTANT_PREFIX: z
    .string()
    .regex(/^$|^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+){0,3}$/, 'topic levels such as homeassistant')
    .default(''),
  /** Mails of alerts (docs/alerts.md): sent only when MAIL_TO, or a line of alerts.conf, says to whom. */
  MAIL_TO: z
    .string()
    .default('')
    .transform((text) => text.split(/[\s,]+/).filter(Boolean))
    .pipe(z.array(z.string().regex(mailAddress, 'an address such as admin@example.org').max(254)).max(20)),
  MAIL_FROM: z
    .union([z.literal(''), z.string().regex(mailAddress, 'an address such as vs-tools@example.org').max(254)])
    .default(''),
  SMTP_URL: z
    .string()
    .regex(
      /^(smtps?:\/\/([0-9A-Za-z.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?|sendmail:(\/\S+)?)$/,
      'smtp://HOST:PORT, smtps://HOST:PORT or sendmail:/usr/sbin/sendmail',
    )
    .default('sendmail:/usr/sbin/sendmail'),
  SMTP_STARTTLS: z.enum(['yes', 'no']).default('yes'),
  SMTP_USER: z.string().max(254).default(''),
  SMTP_PASSWORD_FILE: z.union([z.literal(''), absolute]).default(''),
  SMTP_CA: z.union([z.literal(''), absolute]).default(''),
  /** What begins within so many seconds is one mail. */
  MAIL_GROUP_SECONDS: z.coerce.number().min(0.05).max(3600).default(60),
  /** What still fires is told again so often; 0: never. */
  MAIL_REMIND_HOURS: z.coerce.number().min(0).max(8760).default(24),
  MAIL_PER_HOUR: z.coerce.number().int().min(1).max(1000).default(30),
  /** The hour of the daily digest; -1: none. */
  MAIL_DIGEST_HOUR: z.coerce.number().int().min(-1).max(23).default(-1),
  /** So often a mail says that the alerter lives; 0: never. */
  ALIVE_MAIL_HOURS: z.coerce.number().min(0).max(8760).default(0),
  /** An address that is asked for every ALIVE_URL_SECONDS, which somebody else watches. */
  ALIVE_URL: z.union([z.literal(''), z.url({ protocol: /^https?$/ })]).default(''),
  ALIVE_URL_SECONDS: z.coerce.number().min(1).max(86_400).default(300),
  /** So long a host may be away before that is an alert. */
  OFFLINE_SECONDS: seconds(60),
  /** So far may the clock of a host be from the master's before that is an alert; 0: any. */
  CLOCK_SKEW_SECONDS: z.coerce.number().min(0).max(86_400).default(5),
  LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  /** Packages of vs-tools: those that `vs master update-hosts` sends, and on a host that of the version that runs. */
  PACKAGE_DIR: path('/var/cache/vs-tools/packages'),
  TEMPLATE_DIR: z.string().default(''),
  TEMPLATE_NETNS: z.string().default(''),
  TEMPLATE_MIRROR: z.string().default(''),
  PACKAGE_MIRRORS: z
    .string()
    .default(
      'deb.debian.org security.debian.org archive.ubuntu.com security.ubuntu.com dl-cdn.alpinelinux.org',
    )
    .transform((text) => text.split(/[\s,]+/).filter(Boolean)),
  /** The hour in which each host looks what its vservers could upgrade; -1: never. */
  PACKAGE_CHECK_HOUR: z.coerce.number().int().min(-1).max(23).default(3),
  TEMPLATE_KEYRING: z.union([z.literal(''), absolute]).default(''),
  TEMPLATE_UBUNTU_MIRROR: z
    .string()
    .regex(/^[a-z]+:\/\/\S+$/, 'an address such as http://archive.ubuntu.com/ubuntu')
    .default(
      process.arch === 'x64' ? 'http://archive.ubuntu.com/ubuntu' : 'http://ports.ubuntu.com/ubuntu-ports',
    ),
  TEMPLATE_UBUNTU_KEYRING: path('/usr/share/keyrings/ubuntu-archive-keyring.gpg'),
  MTU: z.coerce.number().int().min(1280).max(9216).default(1500),
  BROKER_LISTEN: addresses('127.0.0.1:1883'),
  BROKER_PLAIN_OUTSIDE: z.enum(['yes', 'no']).default('no'),
  BROKER_TLS_LISTEN: addresses(''),
  BROKER_WS_LISTEN: addresses(''),
  BROKER_TLS_CERT: z.string().default(''),
  BROKER_TLS_KEY: z.string().default(''),
  BROKER_TLS_CA: z.string().default(''),
  BROKER_TLS_RELOAD_SECONDS: z.coerce.number().min(1).max(3600).default(60),
  BROKER_SOCKET: z.string().default(''),
  JOIN_LISTEN: addresses('0.0.0.0:8443,[::]:8443'),
  CERTIFICATE_DAYS: z.coerce.number().min(0.00005).max(825).default(90),
  CERTIFICATE_CHECK_SECONDS: z.coerce.number().min(1).max(86_400).default(86_400),
  BROKER_USERS: z.string().default(''),
  BROKER_SESSION_HOURS: z.coerce.number().min(0).max(8760).default(24),
  BROKER_SESSIONS_PER_USER: count(50),
  BROKER_QUEUE_MESSAGES: count(1000),
  BROKER_QUEUE_BYTES: count(8 * 1024 * 1024),
  BROKER_RETAINED_MESSAGES: count(200_000),
  BROKER_RETAINED_BYTES: count(256 * 1024 * 1024),
  BROKER_CONNECTIONS: count(5000),
  BROKER_CONNECTIONS_PER_USER: count(200),
  BROKER_SUBSCRIPTIONS_PER_CLIENT: count(1000),
  BROKER_TOPIC_LEVELS: z.coerce.number().int().min(8).max(100).default(12),
  BROKER_PACKET_BYTES: z.coerce
    .number()
    .int()
    .min(65_536)
    .max(268_435_455)
    .default(1024 * 1024),
  BROKER_WILL_SECONDS: z.coerce.number().min(0).max(30).default(15),
  BROKER_STATS_SECONDS: z.coerce.number().min(1).max(3600).default(10),
});
export type Settings = z.infer<typeof schema>;
export { schema as settingsSchema };

function ownAddress(): string {
  for (const list of Object.values(networkInterfaces())) {
    for (const one of list ?? []) if (one.family === 'IPv4' && !one.internal) return one.address;
  }
  return '127.0.0.1';
}

/** KEY=value lines; # begins a comment line; quotes around a value are dropped. Faults are collected, not thrown. */
function parseLines(
  file: string,
  text: string,
  faults: string[],
): Map<string, { value: string; where: string }> {
  const values = new Map<string, { value: string; where: string }>();
  for (const [index, line] of text.split('\n').entries()) {
    if (/^\s*(#.*)?$/.test(line)) continue;
    const where = `${file}:${index + 1}`;
    const match = /^\s*([A-Z][A-Z0-9_]*)\s*=\s*(.*?)\s*$/.exec(line);
    if (!match?.[1]) {
      faults.push(`${where}: expected KEY=value, found "${line.trim().slice(0, 60)}"`);
      continue;
    }
    values.set(match[1], { value: (match[2] ?? '').replace(/^(["'])(.*)\1$/, '$2'), where });
  }
  return values;
}

/**
 * The settings of this process: vs-tools.conf, over it VS_KEY of the environment, under it the defaults.
 * Throws VsError 'usage' that names every fault by file and line.
 */
export function loadSettings(options: { file?: string; env?: NodeJS.ProcessEnv } = {}): Settings {
  const env = options.env ?? process.env;
  const file = options.file ?? `${env['VS_CONFIG_DIR'] ?? '/etc/vs-tools'}/vs-tools.conf`;
  const faults: string[] = [];
  const values = existsSync(file)
    ? parseLines(file, readFileSync(file, 'utf8'), faults)
    : new Map<string, { value: string; where: string }>();
  for (const [key, { where }] of values) {
    if (!(key in schema.shape))
      faults.push(`${where}: unknown key ${key}; known are ${Object.keys(schema.shape).join(', ')}`);
  }
  for (const key of Object.keys(schema.shape)) {
    const value = env[`VS_${key}`];
    if (value !== undefined) values.set(key, { value, where: `environment VS_${key}` });
  }
  const known = Object.fromEntries(
    [...values].filter(([key]) => key in schema.shape).map(([key, { value }]) => [key, value]),
  );
  const parsed = schema.safeParse(known);
  if (!parsed.success) {
    for (const issue of parsed.error.issues)
      faults.push(
        `${values.get(String(issue.path[0]))?.where ?? file}: ${String(issue.path[0])}: ${issue.message}`,
      );
  }
  if (faults.length > 0 || !parsed.success) throw new VsError('usage', faults.join('\n'));
  const settings = parsed.data;
  settings.TEMPLATE_DIR ||= `${settings.STATE_DIR}/templates`;
  settings.TLS_DIR ||= `${settings.STATE_DIR}/tls`;
  settings.AGENT_SOCKET ||= agentSocket(settings.RUN_DIR);
  settings.BACKUP_DIR ||= `${settings.STATE_DIR}/backups`;
  settings.COPY_DIR ||= `${settings.STATE_DIR}/copies`;
  useOwnCertificate(settings, (key) => values.has(key));
  settings.BROKER_USERS ||= `${settings.CONFIG_DIR}/broker-users.json`;
  return settings;
}

/** The files of TLS_DIR, where they exist, are those of broker and clients, unless the settings name others. */
function useOwnCertificate(settings: Settings, given: (key: string) => boolean): void {
  const own = (file: string) =>
    existsSync(`${settings.TLS_DIR}/${file}`) ? `${settings.TLS_DIR}/${file}` : '';
  const pair = (cert: 'BROKER_CERT' | 'BROKER_TLS_CERT', key: 'BROKER_KEY' | 'BROKER_TLS_KEY') => {
    if (given(cert) || given(key)) return;
    settings[cert] = own('host.pem');
    settings[key] = own('host.key');
  };
  pair('BROKER_TLS_CERT', 'BROKER_TLS_KEY');
  if (!given('BROKER_TLS_CA')) settings.BROKER_TLS_CA = own('ca.pem');
  if (!settings.BROKER_URL.startsWith('mqtts:')) return;
  if (!given('BROKER_CA')) settings.BROKER_CA = own('ca.pem');
  if (!given('BROKER_PASSWORD_FILE')) pair('BROKER_CERT', 'BROKER_KEY');
}

/** What the services work with that keep the master's copies of vservers: a world of its own below COPY_DIR. */
export const copySettings = (settings: Settings): Settings => ({
  ...settings,
  VSERVER_DIR: settings.COPY_DIR,
  STORAGE: 'auto',
  STATE_DIR: `${settings.COPY_DIR}/.state`,
  RUN_DIR: `${settings.RUN_DIR}/copies`,
});

/** The password of BROKER_PASSWORD_FILE; empty when none is set. */
export function brokerPassword(settings: Settings): string {
  if (!settings.BROKER_PASSWORD_FILE) return '';
  try {
    return readFileSync(settings.BROKER_PASSWORD_FILE, 'utf8').trim();
  } catch (error) {
    throw new VsError(
      'usage',
      `the password file ${settings.BROKER_PASSWORD_FILE} (BROKER_PASSWORD_FILE) cannot be read: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
