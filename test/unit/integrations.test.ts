import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { hostFigures, vserverFigures } from '../../services/exporter/figures.ts';
import { render } from '../../services/exporter/render.ts';
import { entitiesOf } from '../../services/discovery/entities.ts';
import { channels } from '../../shared/contract/channels.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { parse, promtool } from './exposition.ts';

vi.setConfig({ testTimeout: 60_000 }); // programs of Python, on a busy machine
const folder = new URL('../../docs/integrations/', import.meta.url).pathname;
const sample = (file: string) => readFileSync(join(folder, file), 'utf8');
const directory = mkdtempSync(join(tmpdir(), 'vslab-samples-'));
afterAll(() => rmSync(directory, { recursive: true }));
const example = (key: string) => channels[key]?.example as never;

/** A program of Python, for what has no parser among the packages of this project. */
const python = (program: string, input: string) =>
  spawnSync('python3', ['-c', program], { input, encoding: 'utf8', timeout: 20_000 });
const has = (modules: string) => python(`import ${modules}`, '').status === 0;
const blocks = (text: string, language: string) =>
  [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].flatMap(([, of, inner = '']) =>
    of === language ? inner : [],
  );

test('every sample goes by TLS to port 8883, and checks the certificate', () => {
  for (const file of ['telegraf.conf', 'node-red.json', 'mosquitto.md', 'grafana.md', 'home-assistant.md'])
    expect([file, /\b1883\b|tcp:\/\/|insecure|"usetls": false/.test(sample(file))]).toEqual([file, false]);
  expect(sample('mosquitto.md')).toMatch(/^-p 8883\n--cafile \//m);
  expect(sample('mosquitto.md')).toMatch(/^address master\.example\.org:8883\nbridge_cafile \//m);
});

describe('telegraf.conf', () => {
  const toml = has('tomllib');
  if (!toml)
    console.log('skipped: python3 with tomllib (3.11) is not here, so telegraf.conf is not read as TOML');
  // plugins/inputs/mqtt_consumer and plugins/parsers/json of Telegraf: the keys that are documented
  const consumer = z.strictObject({
    name_override: z.string(),
    client_id: z.string(),
    servers: z.array(z.string().regex(/^ssl:\/\/[^/:]+:8883$/)).length(1),
    tls_ca: z.string().startsWith('/'),
    username: z.string(),
    password: z.literal('${VS_VIEWER_PASSWORD}'),
    topics: z.array(z.string()).min(1),
    topic_tag: z.string().optional(),
    qos: z.literal([0, 1, 2]).optional(),
    data_format: z.literal('json'),
    json_time_key: z.literal('ts'),
    json_time_format: z.literal('unix_ms'),
    json_string_fields: z.array(z.string()).optional(),
    topic_parsing: z.array(z.strictObject({ topic: z.string(), tags: z.string() })).optional(),
  });
  test.skipIf(!toml)(
    'it is TOML with keys that Telegraf documents; topic and tags have as many levels',
    () => {
      const { stdout, stderr } = python(
        'import sys,json,tomllib\nprint(json.dumps(tomllib.loads(sys.stdin.read())))',
        sample('telegraf.conf'),
      );
      expect(stderr).toBe('');
      const file = z
        .strictObject({ inputs: z.strictObject({ mqtt_consumer: z.array(consumer).length(3) }) })
        .parse(JSON.parse(stdout));
      const all = file.inputs.mqtt_consumer;
      expect(new Set(all.map((one) => one.client_id)).size).toBe(all.length);
      for (const one of all)
        for (const { topic, tags } of one.topic_parsing ?? []) {
          expect(one.topics).toContain(topic);
          expect(tags.split('/')).toHaveLength(topic.split('/').length);
        }
    },
  );
});

test('node-red.json: TLS with the authority, and a name to check', () => {
  const nodes = JSON.parse(sample('node-red.json')) as Record<string, unknown>[];
  const of = (type: string) => nodes.find((one) => one['type'] === type);
  expect(of('mqtt-broker')).toMatchObject({ port: '8883', usetls: true, tls: of('tls-config')?.['id'] });
  expect(of('tls-config')).toMatchObject({
    verifyservercert: true,
    ca: expect.stringMatching(/^\/.*\.pem$/) as string,
  });
  for (const one of nodes.filter(({ type }) => type === 'function'))
    expect(() => new Script(`(msg, flow, node) => {${String(one['func'])}\n}`)).not.toThrow();
});

describe('Prometheus and Grafana', () => {
  const series = async () => {
    const state = channels['vserverState']?.example as VserverState;
    const saga = { ...channels['sagaState']?.example, result: 'done', downtimeMs: 1 };
    const metrics = {
      ...Object.fromEntries([...hostFigures, ...vserverFigures].map(({ key }) => [key, 1])),
      fw_rule_web_pages_packets_total: 1,
      fw_rule_web_pages_bytes_total: 1,
    };
    const { text } = await render({
      base: 'vs/1',
      connected: true,
      leftOut: 0,
      status: [{ topic: 'vs/1/hosts/host1/status', value: example('hostStatus') }],
      info: () => example('hostInfo'),
      vservers: [{ topic: '', value: state }],
      alerts: [{ topic: 'vs/1/hosts/host1/alerts/web1/config', value: example('hostAlert') }],
      sagas: [{ topic: '', value: saga as never }],
      figures: () => metrics,
    });
    return parse(text).series;
  };
  const queries = () => {
    interface Panel {
      targets: { expr: string; legendFormat: string }[];
    }
    const { panels } = JSON.parse(sample('grafana.json')) as { panels: Panel[] };
    return panels.flatMap(({ targets }) => targets);
  };

  test('prometheus.md tells of every series and its labels, and of no other', async () => {
    const told = new Map<string, string>();
    for (const [, names = '', labels = ''] of sample('prometheus.md').matchAll(
      /^\| (`vs_[^|]*) \|([^|]*)\|/gm,
    ))
      for (const [, name = ''] of names.matchAll(/`(\w+)`/g)) told.set(name, labels);
    const all = await series();
    expect([...told.keys()].sort()).toEqual([...new Set(all.map(({ name }) => name))].sort());
    for (const { name, labels } of all)
      for (const label of Object.keys(labels))
        expect([name, label, told.get(name)?.includes(label)]).toEqual([name, label, true]);
  });

  test('its queries, and those of grafana.json, have names and labels that there are', async () => {
    const all = await series();
    const labels = new Set(all.flatMap((one) => Object.keys(one.labels)));
    const texts = [
      ...blocks(sample('prometheus.md'), 'yaml'),
      ...blocks(sample('prometheus.md'), ''),
      ...queries().map(({ expr }) => expr),
    ];
    for (const text of texts)
      for (const [name] of text.matchAll(/\bvs_\w+/g))
        expect([name, all.some((one) => one.name === name)]).toEqual([name, true]);
    for (const { expr, legendFormat } of queries())
      for (const [, label = ''] of `${expr} ${legendFormat}`.matchAll(
        /(?:\{\{| by \(|on \(|[{,] ?)(\w+)(?==|\)|\}|,)/g,
      ))
        expect([label, labels.has(label)]).toEqual([label, true]);
  });

  test('grafana.json: panels do not overlap, each asks the source that is chosen at the import', () => {
    const dashboard = JSON.parse(sample('grafana.json')) as {
      __inputs: { name: string }[];
      panels: {
        id: number;
        datasource: { uid: string };
        gridPos: { x: number; y: number; w: number; h: number };
      }[];
    };
    expect(dashboard.__inputs.map(({ name }) => name)).toEqual(['DS_PROMETHEUS']);
    const cells = new Set<string>();
    let number = 0;
    for (const { datasource, gridPos } of dashboard.panels) {
      expect(datasource.uid).toBe('${DS_PROMETHEUS}');
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++, number++) cells.add(`${x} ${y}`);
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
    }
    expect(cells.size).toBe(number);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });

  if (!promtool)
    console.log('skipped: promtool is not here, so the samples for Prometheus are not checked by it');
  test.skipIf(!promtool)('promtool takes the configuration, the rules and the queries', () => {
    const [configuration = '', rules = ''] = blocks(sample('prometheus.md'), 'yaml');
    const at = (file: string, text: string) => {
      writeFileSync(join(directory, file), text);
      return join(directory, file);
    };
    const recorded = queries().map(({ expr }, index) => ({
      record: `q${index}`,
      expr: expr.replaceAll('$vserver', '.*'),
    }));
    for (const file of ['ca.pem', 'token']) at(file, '');
    const here = configuration
      .replace(/ca_file: .*/, `ca_file: ${directory}/ca.pem`)
      .replace(/credentials_file: .*/, `credentials_file: ${directory}/token`);
    for (const [kind, file] of [
      ['config', at('prometheus.yml', here)],
      ['rules', at('rules.yml', rules)],
      ['rules', at('queries.yml', JSON.stringify({ groups: [{ name: 'grafana', rules: recorded }] }))],
    ] as const) {
      const words = kind === 'config' ? ['check', 'config', '--syntax-only', file] : ['check', 'rules', file];
      const { status, stderr } = spawnSync(promtool as string, words, { encoding: 'utf8' });
      expect([kind, status, stderr]).toEqual([kind, 0, '']);
    }
  });
});

describe('templates for Home Assistant', () => {
  const jinja = has('jinja2, yaml');
  if (!jinja)
    console.log(
      'skipped: python3-jinja2 and python3-yaml are not here, so the templates for Home Assistant are not rendered',
    );
  /** As Home Assistant renders: value_json is not defined when a message is no JSON. */
  const program = `
import sys, json, yaml, jinja2
data = json.load(sys.stdin)
environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
out = []
for template, message in data["render"]:
    given = {"this": type("", (), {"state": "before"})}
    try: given["value_json"] = json.loads(message)
    except ValueError: pass
    try: out.append(environment.from_string(template).render(**given))
    except Exception as error: out.append("FAULT " + str(error))
json.dump({"out": out, "yaml": yaml.safe_load(data["yaml"])}, sys.stdout)`;
  const run = (templates: [string, string][], yaml: string) => {
    const { stdout, stderr } = python(program, JSON.stringify({ render: templates, yaml }));
    if (stderr) throw new Error(stderr);
    return JSON.parse(stdout) as { out: string[]; yaml: Record<string, unknown> };
  };
  const messages: Record<string, string> = {
    status: JSON.stringify(example('hostStatus')),
    state: JSON.stringify(example('vserverState')),
    metrics: JSON.stringify(example('vserverMetrics')),
  };
  const messageFor = (topic: string) =>
    /hosts\/[^/]+\/metrics$/.test(topic)
      ? JSON.stringify(example('hostMetrics'))
      : (messages[topic.split('/').at(-1) ?? ''] ?? '');

  test.skipIf(!jinja)('what the master tells: each gives a value, and an empty message changes none', () => {
    const pool = {
      base: 'vs/1',
      version: '1',
      expire: 60,
      hosts: [{ name: 'host1' }],
      vservers: [example('vserverState') as VserverState],
    };
    const all = [...entitiesOf('homeassistant', pool).values()] as Record<string, string>[];
    const full = all.map(
      (one) => [one['value_template'], messageFor(one['state_topic'] ?? '')] as [string, string],
    );
    const { out } = run(full, '');
    expect(out).toEqual(expect.arrayContaining(['online', 'running', 'host1', 'ON', '12.5', '201326592']));
    expect(out.filter((one) => one === '' || one.startsWith('FAULT'))).toEqual([]);
    const retained = full.filter(([, message]) => message === messages['state']);
    expect(retained).toHaveLength(3);
    expect(
      run(
        retained.map(([template]) => [template, '']),
        '',
      ).out,
    ).toEqual(['', 'before', 'before']);
  });

  test.skipIf(!jinja)(
    'home-assistant.yaml: each gives a value, and keeps it when an empty message comes',
    () => {
      const { yaml } = run([], sample('home-assistant.yaml'));
      const entities = (yaml['mqtt'] as Record<string, Record<string, string>>[]).flatMap((one) =>
        Object.values(one),
      );
      const sensors = entities.filter((one) => one['state_topic']);
      expect(sensors.length).toBeGreaterThan(4);
      const full = sensors.map(
        (one) => [one['value_template'], messageFor(one['state_topic'] ?? '')] as [string, string],
      );
      expect(run(full, '').out.filter((one) => one === '' || one.startsWith('FAULT'))).toEqual([]);
      const retained = full.filter(([, message]) => message === messages['state']);
      expect(
        run(
          retained.map(([template]) => [template, '']),
          '',
        ).out,
      ).toEqual(retained.map(() => 'before'));
      const button = entities.find((one) => one['payload_press']);
      expect(JSON.parse(button?.['payload_press'] ?? '')).toEqual({
        issuer: 'home-assistant',
        args: { name: 'web1' },
      });
    },
  );
});
