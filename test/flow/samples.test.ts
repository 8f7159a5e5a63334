import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { channels } from '../../shared/contract/channels.ts';
import { realBroker } from './bus-kit.ts';
import { freePort } from './free-port.ts';
import { authority } from './tls-kit.ts';

// docs/integrations/mosquitto.md, as it stands there, with the real programs and TLS.
const text = readFileSync(new URL('../../docs/integrations/mosquitto.md', import.meta.url), 'utf8');
const blocks = (language: string) =>
  [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].flatMap(([, of, inner = '']) =>
    of === language ? inner : [],
  );
const there = (...programs: string[]) =>
  programs.filter((one) => spawnSync(one, ['--help'], { timeout: 5000 }).error !== undefined);
const missing = there('mosquitto_sub', 'jq');
const noMosquitto = there('mosquitto');
if (missing.length > 0)
  console.log(`skipped: ${missing.join(', ')} (mosquitto-clients, jq) are not installed`);
if (noMosquitto.length > 0) console.log('skipped: mosquitto is not installed, so the bridge is not tried');

const example = (key: string) => channels[key]?.example as Record<string, unknown>;
const directory = mkdtempSync(join(tmpdir(), 'vslab-samples-'));
const at = (file: string) => join(directory, file);
const children: ChildProcess[] = [];
let broker: Awaited<ReturnType<typeof realBroker>>;
let port: number;
let timer: NodeJS.Timeout;

/** A block of the sample, with this broker in the place of the reader's. */
const here = (block: string) =>
  block
    .replaceAll('master.example.org', 'localhost')
    .replaceAll('8883', String(port))
    .replaceAll(/\/\S+\/vs-tools-ca\.pem/g, at('ca.pem'))
    .replaceAll('the-password', 'right')
    .replaceAll('-W 1', '-W 3'); // the machine may be busy

/** What a line of the sample prints within `seconds`; after that it is ended, as the reader would. */
function run(line: string, seconds: number): Promise<string> {
  const child = spawn('timeout', [String(seconds), 'bash', '-c', line], {
    env: { ...process.env, XDG_CONFIG_HOME: at('config') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  return new Promise((resolve) =>
    child.once('close', () => resolve(out + errors.replace('Timed out\n', ''))),
  );
}

beforeAll(async () => {
  authority(directory, 'ca').issue('broker', { names: 'DNS:localhost,IP:127.0.0.1', usage: 'serverAuth' });
  port = await freePort();
  broker = await realBroker({
    VS_BROKER_TLS_LISTEN: `127.0.0.1:${port}`,
    VS_BROKER_TLS_CERT: at('broker.pem'),
    VS_BROKER_TLS_KEY: at('broker.key'),
  });
  const [options = ''] = blocks('').filter((one) => one.includes('~/.config/mosquitto_sub'));
  mkdirSync(at('config'));
  for (const program of ['mosquitto_sub', 'mosquitto_pub'])
    writeFileSync(at(`config/${program}`), here(options).replace(/^#.*\n/, ''), { mode: 0o600 });
  const host1 = await broker.raw('host1-a');
  const master = await broker.raw('master-a');
  const keep = (who: typeof host1, topic: string, body: object) =>
    who.client.publishAsync(`vs/1/${topic}`, JSON.stringify(body), { qos: 1, retain: true });
  await keep(host1, 'hosts/host1/status', example('hostStatus'));
  await keep(host1, 'hosts/host1/info', example('hostInfo'));
  await keep(host1, 'hosts/host1/vservers/web1/state', example('vserverState'));
  await keep(host1, 'hosts/host1/vservers/web2/state', {
    ...example('vserverState'),
    name: 'web2',
    state: 'stopped',
  });
  await keep(host1, 'hosts/host1/alerts/web1/config', example('hostAlert'));
  await keep(master, 'sagas/move-1/state', { ...example('sagaState'), result: 'done', downtimeMs: 710 });
  timer = setInterval(() => {
    void host1.send('vs/1/hosts/host1/vservers/web1/metrics', example('vserverMetrics'));
    void master.send('vs/1/sagas/move-1/progress', example('sagaProgress'));
  }, 200);
});
afterAll(async () => {
  clearInterval(timer);
  for (const child of children) {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    if (child.kill('SIGTERM')) await gone;
  }
  await broker.close();
  rmSync(directory, { recursive: true });
});

test.skipIf(missing.length > 0)(
  'what is there now, and what happens: each line of a viewer prints what it should',
  async () => {
    const [now = '', happens = '', until = ''] = blocks('sh');
    const lines = [...now.trim().split('\n'), ...happens.trim().split('\n').slice(0, 3), until.trim()];
    /** Again when the machine was too busy for the seconds in the line. */
    const print = async (line: string, index: number): Promise<string> => {
      for (let tries = 1; ; tries++) {
        const out = await run(here(line), 8);
        if (out !== '' || index === lines.length - 1 || tries === 4) return out;
      }
    };
    await run("mosquitto_sub -C 1 -W 8 -t 'vs/1/hosts/+/status'", 10); // the first login takes the longest
    const printed = await Promise.all(lines.map(print));
    expect(printed).toEqual([
      expect.stringMatching(/^vs\/1\/hosts\/host1\/status \{"state":"online".*\}\n$/) as string,
      'host1\tweb1\trunning\t10.60.10.5\t3\nhost1\tweb2\tstopped\t10.60.10.5\t3\n',
      'web2 on host1: stopped\n',
      'host1: 640 GB free, kernel 6.12.48\n',
      expect.stringMatching(/^vs\/1\/hosts\/host1\/alerts\/web1\/config \{.*"critical".*\}\n$/) as string,
      'web1\tdone\t710\n',
      // metrics take the short way, and may be there before what is retained
      expect.stringMatching(
        /(?=[\s\S]*^vs\/1\/hosts\/host1\/vservers\/web1\/state )[\s\S]*web1\/metrics /m,
      ) as string,
      expect.stringMatching(/^2025-11-25T16:00:00Z\t3\.1\t201326592\n/) as string,
      expect.stringMatching(/^seed: 64 %\n/) as string,
      '',
    ]);
  },
);

test.skipIf(missing.length + noMosquitto.length > 0)(
  'the bridge brings the topics to a mosquitto',
  async () => {
    const [bridge = ''] = blocks('').filter((one) => one.startsWith('connection vs-tools'));
    const local = await freePort();
    writeFileSync(
      at('bridge.conf'),
      `user root\nlistener ${local} 127.0.0.1\nallow_anonymous true\n${here(bridge)}`,
    );
    children.push(spawn('mosquitto', ['-c', at('bridge.conf')], { stdio: 'ignore' }));
    const command = [
      '-h',
      '127.0.0.1',
      '-p',
      String(local),
      '-t',
      'vs/1/hosts/+/vservers/web2/state',
      '-C',
      '1',
      '-W',
      '2',
    ];
    let heard = '';
    for (let tries = 0; heard === '' && tries < 10; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      heard = spawnSync('mosquitto_sub', command, {
        encoding: 'utf8',
        env: { ...process.env, XDG_CONFIG_HOME: '/nonexistent', HOME: '/nonexistent' },
      }).stdout;
    }
    expect(JSON.parse(heard)).toMatchObject({ name: 'web2', state: 'stopped' });
  },
);

test.skipIf(missing.length > 0)('with another authority nothing is said', async () => {
  authority(directory, 'other');
  const good = readFileSync(at('config/mosquitto_sub'), 'utf8');
  writeFileSync(at('config/mosquitto_sub'), good.replace(at('ca.pem'), at('other.pem')));
  expect(await run("mosquitto_sub -W 2 -t 'vs/1/hosts/+/status'", 3)).toMatch(/^[^{]*TLS error[^{]*$/);
});
