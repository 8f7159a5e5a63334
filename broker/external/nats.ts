import type { Settings } from '../../config/settings.ts';
import { rightsOf, type User } from '../users.ts';
import { type ConfigFile, mark } from './file.ts';
import { narrowFilters } from './narrow.ts';

export interface NatsNode {
  name: string;
  address: string;
  /** Of MQTT over TLS, and of the routes between the nodes. */
  port: number;
  routePort: number;
}
export interface NatsOptions {
  out: string;
  nodes: NatsNode[];
  /** Where a node keeps what is retained and queued; NODE in it is the node's name. */
  data: string;
  cert: string;
  key: string;
  ca: string;
  /** What the nodes know one another by, besides their certificates. */
  secret: string;
}
type Limits = Pick<
  Settings,
  | 'BASE_TOPIC'
  | 'HOMEASSISTANT_PREFIX'
  | 'BROKER_SESSION_HOURS'
  | 'BROKER_CONNECTIONS'
  | 'BROKER_PACKET_BYTES'
>;

const quoted = (text: string): string => JSON.stringify(text);
const list = (texts: string[]): string => `[${texts.map(quoted).join(', ')}]`;

/** The NATS subjects of an MQTT filter: `vs/1/+/x/#` is `vs.1.*.x.>` and `vs.1.*.x`, since # covers the level above too. */
export function subjectsOf(filter: string): string[] {
  const levels = filter.split('/').map((level) => (level === '+' ? '*' : level));
  if (levels.at(-1) !== '#') return [levels.join('.')];
  const above = levels.slice(0, -1);
  return above.length === 0 ? ['>'] : [[...above, '>'].join('.'), above.join('.')];
}

/** NATS takes an empty list of what is allowed for everything. */
const allow = (subjects: string[]): string =>
  subjects.length > 0 ? `{ allow: ${list(subjects)} }` : '{ deny: ">" }';

/** Users by the subject of their certificate; the broker asks for no passwords. */
function userFile(base: string, users: Record<string, User>, homeassistant: string): string {
  const lines = Object.entries(users)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, user]) => {
      const { publish, read } = narrowFilters(base, { name, ...rightsOf(user) }, homeassistant);
      const readable = read.filter((filter) => !filter.startsWith('$')).flatMap(subjectsOf);
      return [
        '  {',
        `    user: ${quoted(`CN=${name}`)}`,
        '    allowed_connection_types: ["MQTT"]',
        '    permissions: {',
        `      publish: ${allow(publish.flatMap(subjectsOf))}`,
        `      subscribe: { allow: ${list([...readable, '$MQTT.sub.>'])} } # the latter: how NATS delivers QoS 1`,
        '    }',
        '  }',
      ].join('\n');
    });
  return `${mark}\nusers: [\n${lines.join('\n')}\n]\n`;
}

function conf(node: NatsNode, options: NatsOptions, limits: Limits): string {
  const { nodes, secret } = options;
  const tls = [
    `    cert_file: ${quoted(options.cert)}`,
    `    key_file: ${quoted(options.key)}`,
    `    ca_file: ${quoted(options.ca)}`,
    '    timeout: 5',
  ];
  const routes = nodes
    .filter((one) => one !== node)
    .map((one) => `nats-route://vs:${secret}@${one.address}:${one.routePort}`);
  return [
    mark,
    `server_name: ${quoted(node.name)}`,
    "# NATS' own protocol: on loopback, and no user may use it.",
    'listen: "127.0.0.1:-1"',
    `max_payload: ${limits.BROKER_PACKET_BYTES}`,
    `max_connections: ${limits.BROKER_CONNECTIONS}`,
    'write_deadline: "10s"',
    '',
    'jetstream {',
    `  store_dir: ${quoted(options.data.replaceAll('NODE', node.name))}`,
    '  max_memory_store: 256MB',
    '  max_file_store: 4GB',
    '}',
    '',
    'mqtt {',
    `  listen: ${quoted(`${node.address}:${node.port}`)}`,
    '  tls {',
    ...tls,
    '    verify_and_map: true',
    '  }',
    `  stream_replicas: ${nodes.length}`,
    '  max_ack_pending: 1000',
    `  consumer_inactive_threshold: "${Math.max(1, Math.round(limits.BROKER_SESSION_HOURS))}h"`,
    '}',
    '',
    'authorization {',
    '  include "users.conf"',
    '}',
    '',
    ...(nodes.length > 1
      ? [
          'cluster {',
          '  name: "vs-tools"',
          `  listen: ${quoted(`${node.address}:${node.routePort}`)}`,
          '  tls {',
          ...tls,
          '    verify: true',
          '  }',
          `  authorization { user: "vs", password: ${quoted(secret)}, timeout: 5 }`,
          `  routes: ${list(routes)}`,
          '}',
          '',
        ]
      : []),
  ].join('\n');
}

/** All files of a NATS cluster: a folder for each node. */
export function natsConfig(users: Record<string, User>, options: NatsOptions, limits: Limits): ConfigFile[] {
  return [
    { path: `${options.out}/cluster.secret`, text: `${mark}\n${options.secret}\n` },
    ...options.nodes.flatMap((node) => [
      { path: `${options.out}/${node.name}/nats.conf`, text: conf(node, options, limits) },
      {
        path: `${options.out}/${node.name}/users.conf`,
        text: userFile(limits.BASE_TOPIC, users, limits.HOMEASSISTANT_PREFIX),
      },
    ]),
  ];
}
