import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Client, connect } from '../../cli/client.ts';
import { loadSettings } from '../../config/settings.ts';
import { service } from '../../services/history/main.ts';
import { channels } from '../../shared/contract/channels.ts';
import type { Handlers } from '../../shared/dispatch.ts';
import { createLog } from '../../shared/log.ts';
import { realBroker, startVs, until } from './bus-kit.ts';

let broker: Awaited<ReturnType<typeof realBroker>>;
let client: Client;
const directory = mkdtempSync(join(tmpdir(), 'vslab-history-'));
const children: ReturnType<typeof startVs>['child'][] = [];
beforeAll(async () => {
  broker = await realBroker();
  client = await connect(await broker.settings('operator'));
}, 60_000);
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(async () => {
  client.close();
  await broker.close();
  rmSync(directory, { recursive: true });
});

const example = (key: string) => channels[key]?.example as Record<string, unknown>;
const uuid = '9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11';
type Agent = Awaited<ReturnType<typeof broker.raw>>;
let agents = 0;
/** A host with vservers, as the bus knows it. */
async function host(name: string): Promise<Agent> {
  const agent = await broker.raw(`${name}-${++agents}`);
  const status = JSON.stringify({ ...example('hostStatus'), state: 'online' });
  await agent.client.publishAsync(`vs/1/hosts/${name}/status`, status, { qos: 1, retain: true });
  return agent;
}
const state = (agent: Agent, of: string, name: string, more: object = {}) =>
  agent.client.publishAsync(
    `vs/1/hosts/${of}/vservers/${name}/state`,
    JSON.stringify({ ...example('vserverState'), host: of, name, ...more }),
    { qos: 1, retain: true },
  );
const figures = (agent: Agent, of: string, name: string, more: object = {}) =>
  agent.send(`vs/1/hosts/${of}/vservers/${name}/metrics`, { ...example('vserverMetrics'), ...more });

/** The service in this process; what it keeps lies in `folder`. */
async function begin(folder: string, bus?: Awaited<ReturnType<typeof broker.bus>>, handlers: Handlers = {}) {
  const env = { ...broker.environment('master'), VS_STATE_DIR: join(directory, folder) };
  const settings = loadSettings({ file: '/nonexistent', env });
  const used = bus ?? (await broker.bus('master', handlers));
  const history = service(
    { host: 'master', settings, bus: used, log: createLog('fatal', 'master'), version: '0' },
    { flushMs: 50 },
  );
  Object.assign(handlers, history.handlers);
  await history.start?.();
  return { history, bus: used, again: () => begin(folder, used, handlers) };
}
const newest = async (args: object = {}) => (await client.request('master', 'history.newest', args)).subjects;
/** Ends when it is so; who does not answer yet says no. */
async function eventually(what: () => Promise<boolean>, why: string, ms = 10_000): Promise<void> {
  for (const end = Date.now() + ms; !(await what().catch(() => false)); await sleep(50))
    if (Date.now() > end) throw new Error(`waited in vain: ${why}`);
}
const query = (args: object = {}) =>
  client.request('master', 'history.query', { subject: 'web1', since: Date.now() - 600_000, ...args });

test('what was heard is there at once, and over time: one history over a move, a restart, and none of a stranger', async () => {
  const [one, two] = [await host('host1'), await host('host2')];
  let master = await begin('kept');
  await state(one, 'host1', 'web1');
  await until(() => master.bus.connected, 'the master');
  await figures(one, 'host1', 'web1', { ts: 1000, cpu_pct: 10, net_rx_bytes: 1000 });
  await figures(one, 'host1', 'web1', { ts: 11_000, cpu_pct: 30, net_rx_bytes: 6000, made_up: 3, word: 'x' });
  await figures(one, 'host1', 'nobody', {});
  await one.send('vs/1/hosts/host1/metrics', { ...example('hostMetrics'), cpu_pct: 55 });
  await eventually(async () => (await newest()).some((row) => row.rates['net_rx_bytes']), 'the rate');
  const found = await newest();
  expect(found.map(({ kind, name, state: now }) => [kind, name, now])).toEqual([
    ['host', 'host1', 'online'],
    ['host', 'host2', 'online'],
    ['vserver', 'web1', 'running'],
  ]);
  expect(found[2]).toMatchObject({
    host: 'host1',
    figures: { cpu_pct: 30, made_up: 3, word: 'x' },
    rates: { net_rx_bytes: 500 },
  });
  expect(await newest({ subject: 'web1', keys: ['cpu_pct'] })).toMatchObject([
    { figures: { cpu_pct: 30 }, rates: {} },
  ]);
  expect((await newest({ kind: 'host', host: 'host1' })).map(({ name }) => name)).toEqual(['host1']);

  // it moves
  await state(two, 'host2', 'web1', { epoch: 4 });
  await one.client.publishAsync('vs/1/hosts/host1/vservers/web1/state', '', { qos: 1, retain: true });
  await figures(two, 'host2', 'web1', { ts: 5, cpu_pct: 50, net_rx_bytes: 7 });
  await eventually(async () => {
    const [row] = await newest({ subject: 'web1' });
    return row?.host === 'host2' && row.figures['cpu_pct'] === 50;
  }, 'the move');
  const history = await query();
  expect(history).toMatchObject({ subject: 'web1', kind: 'vserver', uuid, step: 10 });
  expect(history.figures['cpu_pct']).toMatchObject({ min: 10, avg: 30, max: 50 });
  expect(history.figures['net_rx_bytes']?.max).toBe(500);
  expect(history.figures['made_up']).toBeUndefined();
  expect((await query({ subject: 'host1' })).figures['cpu_pct']?.max).toBe(55);
  await expect(query({ subject: 'nobody' })).rejects.toThrow('nothing was heard of a host or vserver nobody');
  await expect(query({ since: Date.now() + 5000 })).rejects.toThrow('must lie before until');

  await master.history.stop?.();
  master = await master.again();
  expect((await query()).figures['cpu_pct']).toMatchObject({ min: 10, avg: 30, max: 50 });
  expect(await client.request('master', 'history.info', {})).toMatchObject({
    subjects: 2,
    waiting: 0,
    lost: 0,
  });

  // a file that is damaged meanwhile
  await master.history.stop?.();
  const file = join(directory, 'kept', 'history', 'metrics.sqlite');
  expect(existsSync(`${file}-wal`)).toBe(false); // it was closed in order
  writeFileSync(file, 'no database '.repeat(2000));
  const ears = await broker.raw('viewer-a', ['vs/1/master/alerts/history/+']);
  master = await master.again();
  await figures(two, 'host2', 'web1', { ts: 6, cpu_pct: 70 });
  await until(() => ears.on('vs/1/master/alerts/history/damaged').length > 0, 'the alert');
  expect(ears.on('vs/1/master/alerts/history/damaged')[0]?.body).toMatchObject({
    severity: 'warning',
    message: expect.stringContaining('metrics.sqlite.damaged-') as string,
  });
  await eventually(() => query().then(() => true), 'a figure in the new file');
  expect((await query()).figures['cpu_pct']).toMatchObject({ min: 70, max: 70 });
  await master.history.stop?.();
  await master.bus.close();
});

test('a disk that is full: the figures wait in memory, an alert says so, and both end with it', async () => {
  const one = await host('host1');
  await state(one, 'host1', 'web2', { uuid: '11111111-6f43-4f0f-9d51-7a2d0f7c9a11' });
  // the directory of the file is a file: nothing can be made in it
  const folder = join(directory, 'full');
  writeFileSync(folder, '');
  const ears = await broker.raw('viewer-b', ['vs/1/master/alerts/history/write']);
  const master = await begin('full');
  await figures(one, 'host1', 'web2', { cpu_pct: 7 });
  const alerts = () => ears.on('vs/1/master/alerts/history/write').map(({ text }) => text);
  await until(() => alerts().length > 0, 'the alert');
  expect(alerts()[0]).toContain('the figures are not kept');
  expect((await newest({ subject: 'web2' }))[0]?.figures['cpu_pct']).toBe(7);
  rmSync(folder);
  await until(() => alerts().at(-1) === '', 'the end of the alert');
  expect((await query({ subject: 'web2' })).figures['cpu_pct']?.max).toBe(7);
  await master.history.stop?.();
  await master.bus.close();
});

test('as a process that is killed: what was in the file is there again; vs stats, top and --plot show it', async () => {
  const one = await host('host1');
  await state(one, 'host1', 'web3', { uuid: '22222222-6f43-4f0f-9d51-7a2d0f7c9a11' });
  const environment = {
    ...broker.environment('master'),
    VS_STATE_DIR: join(directory, 'killed'),
    VS_LOG_LEVEL: 'fatal',
  };
  const run = () => {
    const { child } = startVs(['service', 'history'], {
      environment: { ...environment, VS_LOG_LEVEL: 'error' },
    });
    children.push(child);
    return child;
  };
  const answers = () => eventually(() => newest().then(() => true), 'the service answers', 30_000);
  const first = run();
  await answers();
  const sending = setInterval(() => void figures(one, 'host1', 'web3', { ts: Date.now(), cpu_pct: 42 }), 200);
  try {
    await eventually(() => query({ subject: 'web3' }).then(() => true), 'a figure in the file');
    first.kill('SIGKILL');
    await new Promise((resolve) => first.once('exit', resolve));
    run();
    await answers();
    expect((await query({ subject: 'web3' })).figures['cpu_pct']).toMatchObject({ min: 42, max: 42 });
    expect(readdirSync(join(directory, 'killed', 'history')).some((name) => name.includes('damaged'))).toBe(
      false,
    );

    const vs = async (...words: string[]) => {
      const { child, said } = startVs(words, { environment: broker.environment('operator') });
      const code = await new Promise((resolve) => child.once('close', resolve));
      return { code, text: said.text };
    };
    await eventually(async () => Boolean((await newest({ subject: 'web3' }))[0]?.ts), 'a figure');
    const rows = JSON.parse((await vs('stats', 'web3', '--json')).text) as Awaited<ReturnType<typeof newest>>;
    expect(rows).toMatchObject([{ name: 'web3', figures: { cpu_pct: 42 } }]);
    expect((await vs('stats')).text).toMatch(/^web3 +host1 +42 %/m);
    expect((await vs('stats', 'web3')).text).toContain('web3 on host1: running');
    expect((await vs('stats', 'web3', '--since', '1h')).text).toMatch(/^cpu +42 % +42 % +42 %/m);
    expect(await vs('stats', 'nobody')).toEqual({
      code: 1,
      text: expect.stringContaining('There is no host or vserver nobody') as string,
    });
    expect((await vs('top', '--once')).text).toMatch(/^web3 +host1 +42 %/m);
    for (const file of [join(directory, 'chart.svg'), join(directory, 'chart.png')]) {
      expect((await vs('stats', 'web3', '--plot', file)).code).toBe(0);
      expect(readFileSync(file).length).toBeGreaterThan(500);
    }
    expect(await vs('stats', '--plot', 'x.gif')).toMatchObject({ code: 2 });

    // the master goes: straight from the topics
    const last = children.at(-1);
    last?.kill('SIGTERM');
    await new Promise((resolve) => last?.once('exit', resolve));
    const away = await vs('stats', 'web3');
    expect(away.text).toContain('The master does not answer');
    expect(away.text).toMatch(/^cpu +42 %/m);
    expect(await vs('stats', 'web3', '--since', '1h')).toMatchObject({ code: 4 });
  } finally {
    clearInterval(sending);
  }
}, 120_000); // a dozen whole processes
