import { type ChildProcess, spawn } from 'node:child_process';
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import { ownCertificate, shownCertificate } from '../../services/host-agent/certificate.ts';
import { createAuthority, openAuthority } from '../../services/authority/ca.ts';
import { type Bus, connectBus } from '../../shared/bus.ts';
import { type Handlers, createDispatcher } from '../../shared/dispatch.ts';
import { checkIdentity, installIdentity, readIdentity } from '../../shared/identity.ts';
import { createLog } from '../../shared/log.ts';
import { makeRequest, newKey } from '../../shared/openssl.ts';
import type { Context } from '../../shared/service.ts';
import { type RealMaster, needed, realMaster, until } from './identity-kit.ts';

const LIFE_SECONDS = 24;
let master: RealMaster;
let agent: { bus: Bus; parts: ReturnType<typeof ownCertificate>; asked: number; lines: string[] };
beforeAll(async () => {
  const days = String(LIFE_SECONDS / 86_400);
  master = await realMaster({ CERTIFICATE_DAYS: days, CERTIFICATE_CHECK_SECONDS: '1' });
  needed(master.init('--name', 'localhost'));
  await master.start('broker');
  await master.start('authority');
  const { line } = master.token('host1');
  needed(master.on('host1', '192.0.2.11', line));
  agent = startAgent();
}, 60_000);
afterAll(async () => {
  await agent.bus.close();
  await master.stop();
});

/** What of an agent has to do with certificates, in this process, on a real bus. */
function startAgent() {
  const settings = loadSettings({
    file: master.at('host1/vs-tools.conf'),
    env: { VS_STATE_DIR: master.at('host1/state') },
  });
  const handlers: Handlers = {};
  const lines: string[] = [];
  const log = createLog('fatal', 'host1');
  log.warn = ((_facts: unknown, text: string) => void lines.push(text)) as never;
  const dispatcher = createDispatcher(handlers, () => undefined);
  const bus = connectBus({ settings, target: 'host1', dispatcher, log });
  const context: Context = { host: 'host1', settings, bus, log, version: '0' };
  const tell = () => {
    const storage = { storage: 'dir', capabilities: { snapshot: false, send: false }, total: 0, free: 0 };
    const figures = { kernel: '6', cpus: 1, mem_bytes: 0, mem_free_bytes: 0, networks: [], ts: Date.now() };
    const runtime = { name: 'lxc', version: '5' };
    const certificate = shownCertificate(settings);
    const about = { host: 'host1', version: '0', address: '192.0.2.11', certificate };
    bus.retain(bus.topics.info('host1'), { ...about, ...figures, storage, runtime });
  };
  const parts = ownCertificate(context, tell);
  const made = { bus, parts, asked: 0, lines };
  handlers['host-agent.renew'] = () => {
    made.asked++;
    return parts.request();
  };
  handlers['host-agent.certificate'] = ({ certificate }) => parts.install(certificate);
  tell();
  return made;
}
const serialOf = (machine: string) => new X509Certificate(master.shown(machine).cert).serialNumber;

test('before their end certificates of host and master are renewed by themselves, with new keys, and used', async () => {
  const first = { host: serialOf('host1'), key: master.shown('host1').key, master: serialOf('master') };
  const wait = LIFE_SECONDS * 1000;
  await until(() => serialOf('host1') !== first.host, "the host's renewal", wait);
  await until(() => serialOf('master') !== first.master, "the master's renewal", wait);
  const { cert, key } = master.shown('host1');
  expect(key).not.toBe(first.key);
  const { from, ends } = {
    from: new X509Certificate(cert).validFromDate,
    ends: new X509Certificate(cert).validToDate,
  };
  expect(ends.getTime() - from.getTime()).toBeLessThan(LIFE_SECONDS * 1000 * 1.2);
  expect(new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))).toBe(true);
  await sleep(new X509Certificate(cert).validFromDate.getTime() + LIFE_SECONDS * 1000 - Date.now()); // past the first ones' end
  await until(() => agent.bus.connected, 'the host is connected with the new one');
  const shown = async () => (await master.vsBeside('host', 'list', '--json')).stdout;
  while (!(await shown()).includes(serialOf('host1'))) await sleep(100); // the list shows the new one
  const serial = await new Promise((resolve, reject) => {
    const ca = master.pem('master/state/ca/ca.pem');
    const socket = connect({ host: 'localhost', port: master.ports.tls, ca });
    socket.once('secureConnect', () => {
      resolve(socket.getPeerX509Certificate()?.serialNumber);
      socket.destroy();
    });
    socket.once('error', reject);
  });
  expect(serial).not.toBe(first.master);
  expect(agent.lines.filter((one) => /certificate/.test(one))).toEqual([]);
  expect((await master.vsBeside('events')).stdout).toContain('host1 has a new certificate');
}, 120_000);

test('vs host renew does it now; an unknown host, and an agent that is given the wrong one, are refused', async () => {
  const before = serialOf('host1');
  const states: string[] = [];
  const hearer = await master.enter('master', master.shown('master'), { clientId: 'master-hearer' });
  hearer.on('message', (_topic, payload) =>
    states.push((JSON.parse(String(payload)) as { state: string }).state),
  );
  await hearer.subscribeAsync('vs/1/hosts/host1/status', { qos: 1 });
  const { status, stdout, stderr } = await master.vsBeside('host', 'renew', 'host1');
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toContain('host1 has a new certificate, good until');
  expect(serialOf('host1')).not.toBe(before);
  await until(() => states.length >= 2, 'the host says that it is online, over its new connection');
  expect(states).not.toContain('offline');
  expect(await master.vsBeside('host', 'renew', 'host2')).toMatchObject({ status: 1, stdout: '' });
  const held = serialOf('host1');
  const { request } = await agent.parts.request();
  const foreign = master.at('foreign');
  await createAuthority(foreign);
  const give = async (directory: string, name: string, for_: string) =>
    (await openAuthority(directory)).issue({ request: for_, name, names: [], days: 1 });
  const other = (await master.request('host1')).request;
  for (const [certificate, why] of [
    [await give(foreign, 'host1', request), /another authority/],
    [await give(master.at('master/state'), 'host2', request), /belongs to "CN=host2"/],
    [await give(master.at('master/state'), 'host1', other), /another key/],
    ['x'.repeat(200), /no certificate/],
  ] as const)
    await expect(agent.parts.install(certificate)).rejects.toThrow(why);
  expect(serialOf('host1')).toBe(held);
}, 60_000);

const directory = mkdtempSync(join(tmpdir(), 'vslab-pair-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('killed at any moment of a change, key, certificate and authority still belong together', async () => {
  const tls = join(directory, 'tls');
  mkdirSync(join(directory, 'keys'));
  await createAuthority(directory);
  const authority = await openAuthority(directory);
  const pairs = [];
  for (const number of [0, 1]) {
    const file = join(directory, `keys/${number}`);
    writeFileSync(file, newKey());
    const request = await makeRequest(file, 'host1');
    const certificate = await authority.issue({ request, name: 'host1', names: [], days: 1 });
    pairs.push({ authority: authority.pem, certificate, key: readFileSync(file, 'utf8') });
  }
  const [pair] = pairs;
  if (!pair) throw new Error('no pair');
  await installIdentity(tls, pair);
  const module = new URL('../../shared/identity.ts', import.meta.url).pathname;
  const script = `import { installIdentity } from ${JSON.stringify(module)};
const pairs = ${JSON.stringify(pairs)};
console.log('go');
for (let n = 0; ; n++) await installIdentity(${JSON.stringify(tls)}, pairs[n % 2]);`;
  writeFileSync(join(directory, 'loop.ts'), script);
  const seen = new Set<string>();
  for (let round = 0; round < 12 || (seen.size < 2 && round < 100); round++) {
    const child: ChildProcess = spawn(process.execPath, [join(directory, 'loop.ts')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    await sleep(Math.random() * (60 + 20 * round));
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    const now = readIdentity(tls);
    if (!now) throw new Error('it is gone');
    checkIdentity(now, 'host1');
    seen.add(now.x509.serialNumber);
  }
  expect(seen.size).toBe(2);
  await installIdentity(tls, pair);
  expect(readdirSync(tls).filter((one) => !/^(ca\.pem|current|host\.key|host\.pem)$/.test(one))).toHaveLength(
    1,
  );
}, 60_000);
