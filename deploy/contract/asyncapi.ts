import { channels } from '../../shared/contract/channels.ts';
import type { Channel } from '../../shared/contract/channels/channel.ts';
import { commands } from '../../shared/contract/commands.ts';
import { examples } from '../../shared/contract/examples.ts';
import { nameOf } from '../../shared/contract/named.ts';
import { topicsFor } from '../../shared/contract/topics.ts';
import { commandNames, components } from './schemas.ts';
import type { Json } from '../../shared/contract/json-schema.ts';

type Tree = { [key: string]: Json };

/** What the words in a topic stand for. */
export const words: Record<string, string> = {
  host: 'a host',
  vserver: 'a vserver',
  subject: 'what the alert is about: a vserver, a host or a saga',
  check: 'what was looked at',
  service: 'the service that tells it',
  client: 'the MQTT client id of who asked',
  saga: 'the id of a saga',
};
const base = topicsFor('vs/1').base;

const parametersOf = (address: string): Tree => {
  const found = [...address.matchAll(/\{(\w+)\}/g)].map(([, word = '']) => [
    word,
    { description: words[word] ?? word },
  ]);
  return found.length > 0 ? { parameters: Object.fromEntries(found) as Tree } : {};
};
const schemaRef = (name: string): Tree => ({ $ref: `#/components/schemas/${name}` });
const mqtt = (qos: number, retain: boolean): Tree => ({ mqtt: { qos, retain, bindingVersion: '0.2.0' } });
const access = (one: Channel): Tree => ({ 'x-publishers': one.publishers, 'x-readers': one.readers });

/** States, metrics, alerts and events: the pool sends them. */
function told(channelTree: Tree, operations: Tree): void {
  for (const [key, one] of Object.entries(channels)) {
    if (key.endsWith('Command') || key.endsWith('Reply')) continue;
    const address = `${base}/${one.topic}`;
    const payload = nameOf(one.payload);
    channelTree[key] = {
      address,
      title: one.topic,
      description:
        one.summary +
        (one.empty ? `. An empty payload: ${one.empty}` : '') +
        (one.reserved ? '. Nothing is published here yet' : ''),
      messages: {
        [key]: {
          name: key,
          contentType: 'application/json',
          payload: payload ? schemaRef(payload) : { type: 'object' },
          ...(one.reserved ? {} : { examples: [{ payload: one.example as Json }] }),
        },
      },
      ...parametersOf(address),
      ...access(one),
    };
    if (one.reserved) continue;
    operations[key] = {
      action: 'send',
      channel: { $ref: `#/channels/${key}` },
      summary: one.summary,
      messages: [{ $ref: `#/channels/${key}/messages/${key}` }],
      bindings: mqtt(one.qos, one.retained),
    };
  }
}

/** Commands: the pool receives them, and replies on the topic that the command names. */
function asked(channelTree: Tree, operations: Tree): void {
  for (const scope of ['host', 'master'] as const) {
    const command = channels[`${scope}Command`] as Channel;
    const reply = channels[`${scope}Reply`] as Channel;
    const replies: Tree = {};
    for (const name of commandNames) {
      if (commands[name].scope !== scope) continue;
      const [service = '', word = ''] = name.split('.');
      const address = `${base}/${command.topic.replace('{service}', service).replace('{command}', word)}`;
      const title = commands[name].summary;
      channelTree[name] = {
        address,
        title: name,
        description: title,
        messages: {
          [name]: {
            name,
            contentType: 'application/json',
            payload: schemaRef(`${name}.command`),
            examples: [{ payload: { args: examples[name] as Json } }],
          },
        },
        ...parametersOf(address),
        ...access(command),
      };
      replies[name] = {
        name: `${name}.reply`,
        contentType: 'application/json',
        payload: schemaRef(`${name}.reply`),
      };
      operations[name] = {
        action: 'receive',
        channel: { $ref: `#/channels/${name}` },
        summary: title,
        tags: [{ name: service }],
        messages: [{ $ref: `#/channels/${name}/messages/${name}` }],
        bindings: mqtt(command.qos, command.retained),
        reply: {
          channel: { $ref: `#/channels/${scope}Reply` },
          messages: [{ $ref: `#/channels/${scope}Reply/messages/${name}` }],
        },
      };
    }
    const address = `${base}/${reply.topic}`;
    channelTree[`${scope}Reply`] = {
      address,
      title: reply.topic,
      description: `${reply.summary}. It is the replyTo of the command`,
      messages: replies,
      ...parametersOf(address),
      ...access(reply),
    };
  }
}

/** The whole contract as an AsyncAPI 3.0 document, seen from the pool: it sends what clients may hear, and receives commands. */
export function asyncapi(version: string): Tree {
  const channelTree: Tree = {};
  const operations: Tree = {};
  told(channelTree, operations);
  asked(channelTree, operations);
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'vs-tools',
      version,
      description:
        'What a pool of hosts with vservers tells on MQTT 3.1.1, and what it can be asked. The document takes the side of the pool: ' +
        `"send" is what it publishes, "receive" a command that it carries out. The base ${base} is a setting (BASE_TOPIC). ` +
        'Times are epoch milliseconds, sizes bytes, shares percent. Readers of states ignore keys they do not know; commands are strict.',
      license: { name: 'GPL-3.0-or-later' },
    },
    defaultContentType: 'application/json',
    servers: {
      pool: {
        host: '{master}:8883',
        protocol: 'secure-mqtt',
        protocolVersion: '3.1.1',
        description:
          "the master's broker, by TLS; its certificate is of the pool's own authority (ca.pem). WebSocket over TLS: port 8084",
        variables: { master: { default: 'master', description: 'name or address of the master' } },
        security: [
          { $ref: '#/components/securitySchemes/password' },
          { $ref: '#/components/securitySchemes/certificate' },
        ],
      },
    },
    channels: channelTree,
    operations,
    components: {
      schemas: components(),
      securitySchemes: {
        password: { type: 'userPassword', description: 'a user of the broker: operator, viewer, ...' },
        certificate: {
          type: 'X509',
          description: 'a client certificate of the pool; its common name is the user, as of hosts',
        },
      },
    },
  };
}
