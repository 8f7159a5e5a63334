import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Identity, mayPublish, mayRead } from '../../broker/access.ts';
import { contractFiles, staleFiles } from '../../deploy/contract.ts';
import { asyncapi } from '../../deploy/contract/asyncapi.ts';
import { commandNames, commandPayload, replyPayload, standalone } from '../../deploy/contract/schemas.ts';
import { toYaml } from '../../deploy/contract/yaml.ts';
import type { Json } from '../../shared/contract/json-schema.ts';
import { channelOf, channels } from '../../shared/contract/channels.ts';
import type { Channel } from '../../shared/contract/channels/channel.ts';
import { commands } from '../../shared/contract/commands.ts';
import { examples } from '../../shared/contract/examples.ts';
import { named, nameOf } from '../../shared/contract/named.ts';
import { topicsFor } from '../../shared/contract/topics.ts';

const files = contractFiles();

test('what is published is up to date: node deploy/contract.ts writes it', () => {
  expect(staleFiles(files)).toEqual([]);
});

test('a changed, a missing and a surplus file are not up to date', () => {
  const directory = mkdtempSync(join(tmpdir(), 'vslab-contract-'));
  try {
    for (const [file, text] of files) {
      mkdirSync(dirname(join(directory, file)), { recursive: true });
      writeFileSync(join(directory, file), text);
    }
    expect(staleFiles(files, directory)).toEqual([]);
    writeFileSync(join(directory, 'docs/topics.md'), 'older');
    rmSync(join(directory, 'docs/schemas/status.json'));
    writeFileSync(join(directory, 'docs/schemas/commands/no-more.there.json'), '{}');
    expect(staleFiles(files, directory).sort()).toEqual([
      'docs/schemas/commands/no-more.there.json',
      'docs/schemas/status.json',
      'docs/topics.md',
    ]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/** A topic of a channel, with web1, host1 and the like in it. */
const sample = (channel: Channel, client: string) =>
  `vs/1/${channel.topic
    .replace('{host}', 'host1')
    .replace('{client}', client)
    .replaceAll(/\{\w+\}/g, 'web1')}`;
const identities: Record<string, Identity> = {
  agent: { name: 'host1', role: 'agent', clientId: 'host1-1' },
  master: { name: 'master', role: 'master', clientId: 'master-1' },
  operator: { name: 'operator', role: 'operator', clientId: 'operator-1' },
  viewer: { name: 'viewer', role: 'viewer', clientId: 'viewer-1' },
};

test.each([
  ['orchestrator.create', { name: 'host', address: '10.60.10.5' }],
  ['orchestrator.copy', { name: 'web1', to: 'host', address: '10.60.10.5' }],
  ['orchestrator.rename', { name: 'web1', to: 'host' }],
  ['orchestrator.restore', { name: 'web1', as: 'host' }],
  ['orchestrator.backup-restore', { name: 'web1', as: 'host' }],
] as const)('%s makes no vserver called host, whose alerts would be those of its host', (command, args) => {
  const { error } = commands[command].args.safeParse(args);
  expect(error?.issues.map(({ message }) => message)).toEqual(['a vserver cannot be called host']);
});

describe('the table of topics', () => {
  test.each(Object.entries(channels))('%s: the broker gives the access that it tells', (_, channel) => {
    const topic = sample(channel, 'someone-1');
    const told = {
      publishers: channel.publishers,
      readers: channel.readers.filter((one) => one !== 'client'),
    };
    const allowed = (may: typeof mayRead) =>
      Object.keys(identities).filter((key) => may('vs/1', identities[key] as Identity, topic));
    expect({ publishers: allowed(mayPublish).sort(), readers: allowed(mayRead).sort() }).toEqual({
      publishers: [...told.publishers].sort(),
      readers: [...told.readers].sort(),
    });
    const own = sample(channel, 'viewer-1');
    if (channel.readers.includes('client'))
      expect(mayRead('vs/1', identities['viewer'] as Identity, own)).toBe(true);
  });

  test('another host publishes nowhere below this one, and reads none of its commands', () => {
    const other: Identity = { name: 'host2', role: 'agent', clientId: 'host2-1' };
    for (const channel of Object.values(channels))
      expect(mayPublish('vs/1', other, sample(channel, 'host2-1'))).toBe(false);
    expect(mayRead('vs/1', other, sample(channels['hostCommand'] as Channel, ''))).toBe(false);
  });

  test('it has every topic that topics.ts can build, and only those', () => {
    const of = topicsFor('vs/1');
    const built = [
      ...['host1', 'master'].flatMap((target) => [
        of.status(target),
        of.alert(target, 'web1', 'saga'),
        of.events(target, 'network'),
        of.command(target, 'network', 'list'),
        of.reply(target, 'operator-1'),
      ]),
      of.info('host1'),
      of.hostMetrics('host1'),
      of.vserverState('host1', 'web1'),
      of.vserverMetrics('host1', 'web1'),
      of.removed('9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11'),
      of.networks,
      of.sagaState('s1'),
      of.sagaProgress('s1'),
      of.backupState('web1'),
    ].map((topic) => channelOf(topic.slice('vs/1/'.length))?.key);
    const expected = Object.keys(channels).filter((key) => !channels[key]?.reserved);
    expect(built.sort()).toEqual(expected.sort());
    for (const topic of ['', 'hosts', 'hosts//status', 'hosts/host1/status/x', 'hosts/host1/nosuch'])
      expect(channelOf(topic)).toBeUndefined();
  });

  test('every payload has a name, but a reserved one', () => {
    for (const channel of Object.values(channels))
      expect([channel.topic, nameOf(channel.payload) !== '']).toEqual([channel.topic, !channel.reserved]);
  });
});

describe('examples', () => {
  const published = (schema: z.ZodType) =>
    z.fromJSONSchema(standalone(schema, 'x', 'x') as Parameters<typeof z.fromJSONSchema>[0]);
  /** By the schema itself, and by its published form read back. */
  const faults = (schema: z.ZodType, value: unknown) =>
    [schema, published(schema)].flatMap((one) => one.safeParse(value).error?.issues ?? []);

  test.each(Object.entries(channels))('the payload of %s fits its schema', (_, channel) => {
    expect(faults(channel.payload, channel.example)).toEqual([]);
  });
  test.each(commandNames)('the arguments of %s fit their schema, and another key does not', (name) => {
    const schema = commandPayload(name);
    expect(faults(schema, { id: 'c1', args: examples[name] })).toEqual([]);
    expect(commands[name].args.safeParse(examples[name]).success).toBe(true);
    expect(faults(schema, { args: { ...examples[name], nosuch: 1 } })).toHaveLength(2);
  });
  test('what breaks a rule does not fit the published schema either', () => {
    const state = channels['vserverState'] as Channel;
    const tryOut = (change: object) =>
      published(state.payload).safeParse({ ...state.example, ...change }).success;
    expect(tryOut({ unheard: 'of' })).toBe(true); // states are tolerant, also within
    const info = channels['hostInfo']?.example as { storage: object };
    const later = { ...info, storage: { ...info.storage, compression: 'zstd' } };
    expect(faults(channels['hostInfo']?.payload as z.ZodType, later)).toEqual([]);
    for (const change of [
      { host: 'master' },
      { host: 'Host1' },
      { state: 'well' },
      { address: '10.0.0.999' },
      { mac: '03:00:00:00:00:00' },
      { epoch: -1 },
      { ts: 1.5 },
      { enabled: 'yes' },
      { limits: { memory: 1 } },
    ])
      expect([change, tryOut(change)]).toEqual([change, false]);
    const answers = replyPayload('host-agent.exec');
    for (const [value, good] of [
      [{ id: 'a', ok: true, data: { code: 0 } }, true],
      [{ id: 'a', ok: true, data: {} }, false],
      [{ id: 'a', ok: false, error: { code: 'failed', message: 'x', retryable: false } }, true],
      [{ id: 'a', ok: false }, false],
      [{ id: 'a', progress: { stream: 'stdout', data: '' } }, true],
    ] as const)
      expect([value, published(answers).safeParse(value).success]).toEqual([value, good]);
  });
});

type Tree = { [key: string]: Json };
const at = (tree: Json | undefined, path: string): Json | undefined => {
  let here = tree;
  for (const step of path.replace(/^#\//, '').split('/')) here = (here as Tree | undefined)?.[step];
  return here;
};
function* references(value: Json | undefined): Generator<string> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, one] of Object.entries(value)) {
    if (key === '$ref' && typeof one === 'string') yield one;
    else yield* references(one);
  }
}

describe('asyncapi.yaml', () => {
  const document = asyncapi('1.2.3');

  // The official parser (below) checks all of the standard; what a reader needs is checked here without it.
  test('it has the parts that AsyncAPI 3 requires, and every reference leads somewhere', () => {
    expect(document).toMatchObject({
      asyncapi: expect.stringMatching(/^3\.0\.\d$/) as string,
      info: { title: 'vs-tools', version: '1.2.3' },
      servers: { pool: { host: '{master}:8883', protocol: 'secure-mqtt' } },
    });
    const all = [...references(document)];
    expect(all.length).toBeGreaterThan(300);
    expect(all.filter((one) => at(document, one) === undefined)).toEqual([]);
    for (const part of ['channels', 'operations', 'components/schemas'])
      for (const key of Object.keys(at(document, part) as Tree)) expect(key).toMatch(/^[\w.-]+$/);
  });

  test('each channel has its address, its parameters and messages; each operation messages of its channel', () => {
    const addresses = new Set<string>();
    for (const channel of Object.values(document['channels'] as Record<string, Tree>)) {
      const address = channel['address'] as string;
      addresses.add(address);
      expect(address).toMatch(/^vs\/1\/[a-zA-Z0-9{}/-]+$/);
      const inAddress = [...address.matchAll(/\{(\w+)\}/g)].map(([, word]) => word);
      expect(Object.keys((channel['parameters'] ?? {}) as Tree)).toEqual(inAddress);
      for (const message of Object.values(channel['messages'] as Record<string, Tree>))
        expect(message).toMatchObject({ name: expect.any(String) as string, payload: {} });
    }
    expect(addresses.size).toBe(Object.keys(document['channels'] as Tree).length);
    for (const [key, operation] of Object.entries(document['operations'] as Record<string, Tree>)) {
      const channel = at(operation['channel'], '$ref') as string;
      expect([key, operation['action']]).toEqual([key, key.includes('.') ? 'receive' : 'send']);
      for (const { $ref } of operation['messages'] as { $ref: string }[])
        expect($ref.startsWith(`${channel}/messages/`)).toBe(true);
      if (key.includes('.')) {
        const reply = operation['reply'] as { channel: { $ref: string }; messages: { $ref: string }[] };
        expect(reply.messages.every((one) => one.$ref.startsWith(`${reply.channel.$ref}/messages/`))).toBe(
          true,
        );
      }
    }
    const expected = Object.values(channels).filter((one) => !one.reserved);
    expect(Object.keys(document['operations'] as Tree).length).toBe(
      expected.length - 4 + commandNames.length,
    );
  });

  test('every schema with a name is in it', () => {
    const there = Object.keys(at(document, 'components/schemas') as Tree);
    expect(there).toEqual(expect.arrayContaining(Object.keys(named)));
  });

  test('YAML: what could be read otherwise is quoted', () => {
    const words = [
      'yes',
      'No',
      'null',
      '~',
      '1',
      '1.0',
      '0x1',
      '1e3',
      'a: b',
      'a #b',
      '- a',
      '',
      ' a',
      'a ',
      '{a}',
      '*a',
    ];
    for (const word of words) expect(toYaml([word])).toBe(`- ${JSON.stringify(word)}\n`);
    expect(toYaml(['two\nlines', 'plain words', "it's"])).toBe('- "two\\nlines"\n- plain words\n- "it\'s"\n');
    expect(toYaml({ a: { b: [{ c: 1, d: [] }, [true, null]], e: {} }, '1': 'x' })).toBe(
      '"1": x\na:\n  b:\n    - c: 1\n      d: []\n    - - true\n      - null\n  e: {}\n',
    );
  });

  // 54 MB in 168 packages, so it is no dependency: NODE_PATH=DIRECTORY/node_modules after npm i @asyncapi/parser there.
  const require = createRequire(import.meta.url);
  const official = (() => {
    try {
      return require.resolve('@asyncapi/parser');
    } catch {
      return undefined;
    }
  })();
  if (!official)
    console.log(
      'skipped: @asyncapi/parser (54 MB) is not installed; the checks of the structure run all the same',
    );
  test.skipIf(!official)('the official parser takes it', { timeout: 60_000 }, async () => {
    interface Parser {
      parse(
        text: string,
      ): Promise<{ document?: object; diagnostics: { severity: number; message: string }[] }>;
    }
    const { Parser } = require(official as string) as { Parser: new () => Parser };
    const { document: parsed, diagnostics } = await new Parser().parse(files.get('docs/asyncapi.yaml') ?? '');
    expect(diagnostics.filter((one) => one.severity < 2)).toEqual([]); // 0 error, 1 warning
    expect(parsed).toBeDefined();
  });
});

describe('docs/integrations', () => {
  const folder = new URL('../../docs/integrations/', import.meta.url).pathname;
  const samples = readdirSync(folder).map(
    (file) => [file, readFileSync(join(folder, file), 'utf8')] as const,
  );

  /** Can a filter of a sample match a topic of the contract? */
  const hears = (filter: string) =>
    Object.values(channels).some(({ topic }) => {
      const want = filter.replace('vs/1/', '').split('/');
      const have = topic.split('/');
      return (
        (want.at(-1) === '#' ? want.length <= have.length : want.length === have.length) &&
        want.every(
          (level, index) => /^[+#]$/.test(level) || have[index]?.startsWith('{') || level === have[index],
        )
      );
    });
  test.each(samples)('%s: its topics are in the contract, its commands exist', (_, text) => {
    const plain = text.replaceAll(/\$\{[^}]*\}/g, '+'); // a word that the flow of Node-RED puts in
    const filters = [...plain.matchAll(/vs\/1\/[a-z][\w+#{}/.-]*/g)].map(([one]) => one.replace(/[.,]$/, ''));
    expect(filters.filter((one) => !hears(one))).toEqual([]);
    const used = filters.flatMap(
      (one) => /commands\/([a-z-]+)\/([a-zA-Z-]+)$/.exec(one)?.slice(1).join('.') ?? [],
    );
    expect(used.filter((one) => !Object.hasOwn(commands, one))).toEqual([]);
  });
  test('their client ids are those the broker takes', () => {
    const ids = samples.flatMap(([, text]) =>
      [...text.matchAll(/(?:client_id = |remote_clientid |"clientid": |^-I )"?([\w-]*)/gm)].map(
        ([, one]) => one,
      ),
    );
    expect(ids.length).toBeGreaterThanOrEqual(6);
    expect(ids.filter((one) => !/^(viewer|operator)-/.test(one ?? ''))).toEqual([]);
  });
  test('node-red.json: every wire leads to a node, every node has its broker', () => {
    const nodes = JSON.parse(Object.fromEntries(samples)['node-red.json'] ?? '') as {
      id: string;
      wires?: string[][];
      broker?: string;
      type: string;
    }[];
    const ids = new Set(nodes.map((one) => one.id));
    expect(ids.size).toBe(nodes.length);
    for (const { type, wires = [], broker } of nodes) {
      expect(wires.flat().filter((one) => !ids.has(one))).toEqual([]);
      if (type.startsWith('mqtt ')) expect(ids.has(broker ?? '')).toBe(true);
    }
  });
});
