import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { channels } from '../../shared/contract/channels.ts';
import { cli, realBroker } from './bus-kit.ts';
import { type Series, parse, promtool } from '../unit/exposition.ts';
import { freePort } from './free-port.ts';
import { authority } from './tls-kit.ts';

type Raw = Awaited<ReturnType<Awaited<ReturnType<typeof realBroker>>['raw']>>;
const example = (key: string) => channels[key]?.example as Record<string, unknown>;
const of = (topic: string) => `vs/1/hosts/${topic}`;
const children: ChildProcess[] = [];
const token = 'a-word-of-more-than-16-letters';
let broker: Awaited<ReturnType<typeof realBroker>>;
let agents: Record<string, Raw>;
let port: number;

/** `vs service exporter`, until it answers. */
async function exporter(more: Record<string, string> = {}): Promise<number> {
  const at = await freePort();
  const child = spawn(process.execPath, [cli, 'service', 'exporter'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      ...broker.environment('master'),
      VS_STATE_DIR: broker.directory,
      VS_LOG_LEVEL: 'error',
      VS_METRICS_LISTEN: `127.0.0.1:${at}`,
      ...more,
    },
  });
  children.push(child);
  const scheme = more['VS_METRICS_TLS_CERT'] ? 'https' : 'http';
  for (let up = false; !up;) {
    if (child.exitCode !== null) throw new Error('the exporter ended');
    await new Promise((resolve) => setTimeout(resolve, 50));
    up = await fetch(`${scheme}://127.0.0.1:${at}/`).then(
      () => true,
      (error: Error) => String(error.cause).includes('certificate'),
    );
  }
  return at;
}
const scrape = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
const find = (series: Series[], name: string, labels: Record<string, string> = {}) =>
  series.filter(
    (one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value),
  );
/** The series of a scrape, once one fits. */
async function scraped(fits: (series: Series[]) => boolean, why: string): Promise<Series[]> {
  const end = Date.now() + 20_000;
  for (;;) {
    const { series } = parse(await scrape());
    if (fits(series)) return series;
    if (Date.now() > end) throw new Error(`waited in vain: ${why}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
const retain = (host: string, topic: string, body: object | null) =>
  agents[host]?.client.publishAsync(of(`${host}/${topic}`), body ? JSON.stringify(body) : '', {
    qos: 1,
    retain: true,
  });
const state = (host: string, change: object = {}) =>
  retain(host, 'vservers/web1/state', { ...example('vserverState'), host, ...change });
const metrics = (host: string) =>
  agents[host]?.send(of(`${host}/vservers/web1/metrics`), example('vserverMetrics'));

beforeAll(async () => {
  broker = await realBroker();
  agents = {
    host1: await broker.raw('host1-a'),
    host2: await broker.raw('host2-a'),
    master: await broker.raw('master-a'),
  };
  port = await exporter({ VS_METRICS_KEEP_SECONDS: '3' });
  for (const host of ['host1', 'host2']) {
    await retain(host, 'status', example('hostStatus'));
    await retain(host, 'info', { ...example('hostInfo'), host });
  }
  await state('host1');
  // its page may be there before it hears anything, and figures are not retained
  await scraped((all) => find(all, 'vs_vserver_state').length > 0, 'that it hears the pool');
}, 90_000);
afterAll(async () => {
  for (const child of children) {
    if (child.exitCode !== null) continue;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await gone;
  }
  await broker.close();
});

test('hosts, vservers, alerts and sagas are series with help, types and base units', async () => {
  await agents['host1']?.send(of('host1/metrics'), example('hostMetrics'));
  await metrics('host1');
  await retain('host1', 'alerts/web1/config', example('hostAlert'));
  await agents['master']?.client.publishAsync(
    'vs/1/sagas/move-web1-1/state',
    JSON.stringify({ ...example('sagaState'), id: 'move-web1-1', result: 'done', downtimeMs: 710 }),
    { qos: 1, retain: true },
  );
  const series = await scraped(
    (all) =>
      ['vs_host_load1', 'vs_vserver_memory_bytes', 'vs_alert', 'vs_sagas'].every(
        (name) => find(all, name).length > 0,
      ),
    'all that was published',
  );
  const web1 = { host: 'host1', vserver: 'web1' };
  const values: [string, Record<string, string>, number][] = [
    ['vs_exporter_connected', {}, 1],
    ['vs_exporter_left_out', {}, 0],
    ['vs_host_online', { host: 'host1' }, 1],
    [
      'vs_host_info',
      { host: 'host1', version: '0.1.0', kernel: '6.12.48', runtime: 'lxc 6.0.4', storage: 'btrfs' },
      1,
    ],
    ['vs_host_cpus', { host: 'host1' }, 8],
    ['vs_host_cpu_ratio', { host: 'host1' }, 0.125],
    ['vs_host_disk_free_bytes', { host: 'host1' }, 640_135_028_736],
    ['vs_vserver_state', { ...web1, state: 'running' }, 1],
    ['vs_vserver_running', web1, 1],
    ['vs_vserver_enabled', web1, 1],
    ['vs_vserver_epoch', web1, 3],
    ['vs_vserver_info', { ...web1, network: 'blue', address: '10.60.10.5' }, 1],
    ['vs_vserver_memory_bytes', web1, 201_326_592],
    ['vs_vserver_cpu_seconds_total', web1, 812.4],
    ['vs_vserver_network_transmit_bytes_total', web1, 5_242_880],
    ['vs_alert', { target: 'host1', subject: 'web1', check: 'config', severity: 'critical' }, 1],
    ['vs_sagas', { kind: 'move', result: 'done' }, 1],
    ['vs_move_downtime_seconds', { vserver: 'web1' }, 0.71],
  ];
  for (const [name, labels, value] of values)
    expect([name, find(series, name, labels)]).toEqual([name, [{ name, labels, value }]]);
  const text = await scrape();
  for (const [name, type] of parse(text).types) {
    expect([name, type]).toEqual([name, name.endsWith('_total') ? 'counter' : 'gauge']);
    expect(name).toMatch(/^vs_[a-z0-9_]+$/);
    expect(name).not.toMatch(/_(pct|percent|ms|kb|mb)(_|$)/);
  }
});

if (!promtool)
  console.log(
    'skipped: promtool is not here (apt-get install prometheus, or VS_TEST_PROMTOOL=FILE); the format is parsed all the same',
  );
test.skipIf(!promtool)('promtool check metrics has nothing to say', async () => {
  const { status, stderr, stdout } = spawnSync(promtool as string, ['check', 'metrics'], {
    input: await scrape(),
    encoding: 'utf8',
  });
  expect([status, stderr + stdout]).toEqual([0, '']);
});

test('what moved is on the other host only, what it said there before is forgotten, what is gone has no series', async () => {
  await metrics('host1');
  await state('host1', { epoch: 0, state: 'stopped' }); // files that the host gave up
  await state('host2', { epoch: 4 });
  await metrics('host2');
  const moved = await scraped(
    (all) => find(all, 'vs_vserver_memory_bytes', { host: 'host2', vserver: 'web1' }).length > 0,
    'web1 on host2',
  );
  const at = new Set(
    moved.filter((one) => one.labels['vserver'] && one.labels['host']).map((one) => one.labels['host']),
  );
  expect([...at]).toEqual(['host2']);
  await retain('host1', 'vservers/web1/state', null);
  await retain('host2', 'vservers/web1/state', null);
  const gone = await scraped((all) => find(all, 'vs_vserver_epoch').length === 0, 'web1 is gone');
  expect(gone.filter((one) => one.name.startsWith('vs_vserver_'))).toEqual([]);
  await state('host1');
});

test('a host that is offline is 0, its vservers are unknown, its figures end', async () => {
  await agents['host1']?.send(of('host1/metrics'), example('hostMetrics'));
  await metrics('host1');
  await scraped((all) => find(all, 'vs_vserver_memory_bytes').length > 0, 'web1 is back');
  await retain('host1', 'status', { ...example('hostStatus'), state: 'offline' });
  const off = await scraped(
    (all) => find(all, 'vs_host_online', { host: 'host1' })[0]?.value === 0,
    'offline',
  );
  expect(find(off, 'vs_vserver_state').map((one) => one.labels['state'])).toEqual(['unknown']);
  expect(find(off, 'vs_vserver_running')).toEqual([]);
  const late = await scraped((all) => find(all, 'vs_host_load1').length === 0, 'old figures are dropped');
  expect(find(late, 'vs_host_online', { host: 'host1' })).toHaveLength(1);
  await retain('host1', 'status', example('hostStatus'));
});

test('nothing that an agent says breaks the page', async () => {
  const odd = 'we"b\\1';
  await retain('host1', `alerts/${odd}/new`, example('hostAlert'));
  await agents['host1']?.send(of('host1/metrics'), {
    ...example('hostMetrics'),
    load_1: 1e300,
    load_5: 'much',
    nosuch_bytes: 7,
    __proto__: 1,
  });
  await agents['host1']?.send(of('host1/vservers/web1/metrics'), {
    ...example('vserverMetrics'),
    cpu_seconds_total: -5,
    mem_bytes: -1,
  });
  await retain('host1', 'info', { ...example('hostInfo'), kernel: '6\n"12\\' });
  const series = await scraped((all) => find(all, 'vs_alert', { subject: odd }).length > 0, 'an odd name');
  expect(find(series, 'vs_host_load1')[0]?.value).toBe(1e300);
  expect(find(series, 'vs_host_load5')).toEqual([]);
  expect(find(series, 'vs_vserver_cpu_seconds_total')).toEqual([]);
  expect(series.filter((one) => one.name.includes('nosuch'))).toEqual([]);
  await scraped((all) => find(all, 'vs_host_info', { kernel: '6\n"12\\' }).length > 0, 'an odd kernel');
  await retain('host1', `alerts/${odd}/new`, null);
});

test('the page can only be read, and is the only one', async () => {
  const ask = async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
    return [response.status, response.headers.get('content-type'), (await response.text()).length > 0];
  };
  const text = 'text/plain; charset=utf-8';
  const page = 'text/plain; version=0.0.4; charset=utf-8';
  expect(await ask('/metrics')).toEqual([200, page, true]);
  expect(await ask('/metrics?x=1')).toEqual([200, page, true]);
  expect(await ask('/metrics', 'HEAD')).toEqual([200, page, false]);
  expect(await ask('/')).toEqual([404, text, true]);
  expect(await ask('/metrics/../etc/passwd')).toEqual([404, text, true]);
  for (const method of ['POST', 'PUT', 'DELETE'])
    expect(await ask('/metrics', method)).toEqual([405, text, true]);
});

test('with a token and TLS: a wrong token sees nothing; a new token counts at once', async () => {
  const ca = authority(broker.directory, 'ca-metrics');
  ca.issue('page', { names: 'IP:127.0.0.1', usage: 'serverAuth' });
  const at = (file: string) => join(broker.directory, file);
  writeFileSync(at('token'), `${token}\n`, { mode: 0o600 });
  const tls = await exporter({
    VS_METRICS_TOKEN_FILE: at('token'),
    VS_METRICS_TLS_CERT: at('page.pem'),
    VS_METRICS_TLS_KEY: at('page.key'),
  });
  const { readFileSync } = await import('node:fs');
  const ask = (authorization?: string) =>
    new Promise<string>((resolve, reject) => {
      request(
        {
          host: '127.0.0.1',
          port: tls,
          path: '/metrics',
          ca: readFileSync(ca.ca),
          agent: false,
          headers: authorization ? { authorization } : {},
        },
        (response) => {
          let body = '';
          response.on('data', (chunk: Buffer) => (body += chunk.toString()));
          response.on('end', () => resolve(`${response.statusCode} ${body.includes('vs_host_online')}`));
        },
      )
        .on('error', reject)
        .end();
    });
  await expect.poll(() => ask(`Bearer ${token}`), { timeout: 20_000 }).toBe('200 true');
  for (const wrong of [undefined, 'Bearer ', token, `Bearer ${token}x`, `Basic ${token}`])
    expect([wrong, await ask(wrong)]).toEqual([wrong, '401 false']);
  writeFileSync(at('token'), 'another-word-of-16-letters');
  expect([await ask(`Bearer ${token}`), await ask('Bearer another-word-of-16-letters')]).toEqual([
    '401 false',
    '200 true',
  ]);
  chmodSync(at('token'), 0o644);
  expect(await ask('Bearer another-word-of-16-letters')).toBe('500 false');
});
