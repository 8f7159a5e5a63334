import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import { checkIdentity, readIdentity } from '../../shared/identity.ts';
import { type RealMaster, cli, realMaster } from './identity-kit.ts';

vi.setConfig({ testTimeout: 120_000 });
let master: RealMaster;
beforeAll(async () => {
  master = await realMaster();
});
afterAll(() => master.stop());

test('vs master init, killed at any moment, ends at the next start, and never makes a second authority', async () => {
  const ca = master.at('master/state/ca/ca.pem');
  let first: string | undefined;
  const other = await realMaster();
  const began = performance.now();
  other.init();
  const whole = performance.now() - began; // of this machine, as busy as it is now
  await other.stop();
  for (const part of [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1, 1.1]) {
    const child = spawn(process.execPath, [cli, 'master', 'init', '--yes'], {
      env: { ...process.env, VS_CONFIG_DIR: master.at('master') },
      stdio: 'ignore',
    });
    const gone = new Promise((resolve) => child.once('exit', resolve));
    await Promise.race([sleep(part * whole), gone]);
    child.kill('SIGKILL');
    await gone;
    if (existsSync(ca)) first ??= readFileSync(ca, 'utf8');
    if (first !== undefined) expect(readFileSync(ca, 'utf8')).toBe(first);
  }
  const ran = master.init();
  expect([ran.status, ran.stderr]).toEqual([0, '']);
  if (first !== undefined) expect(readFileSync(ca, 'utf8')).toBe(first);
  expect(readdirSync(master.at('master/state/tls')).filter((one) => one.startsWith('pair-'))).toHaveLength(1);
  const own = readIdentity(master.at('master/state/tls'));
  if (!own) throw new Error('the master has no certificate');
  const certificate = checkIdentity(own, 'master');
  for (const name of ['localhost', '127.0.0.1']) expect(certificate.subjectAltName).toContain(name);
  for (const file of ['state/ca/ca.key', 'state/tls/host.key', 'operator.password', 'broker-users.json'])
    expect([file, statSync(master.at(`master/${file}`)).mode & 0o777]).toEqual([file, 0o600]);
  expect(statSync(master.at('master/state/ca')).mode & 0o777).toBe(0o700);
});

test('a second time it does nothing, a further name makes a new certificate of the same authority', () => {
  const serial = () => new X509Certificate(master.pem('master/state/tls/host.pem')).serialNumber;
  const before = serial();
  expect(master.init().stdout).toContain('Nothing to do');
  expect(serial()).toBe(before);
  const ran = master.init('--name', 'master.example');
  expect(ran.stdout).toContain('certificate of the master for master.example, ');
  expect(serial()).not.toBe(before);
  expect(master.init('--name', 'x,DNS:evil').status).toBe(2);
});

test('the files of TLS_DIR are the defaults of broker and client; a setting of its own wins', () => {
  const file = master.at('master/vs-tools.conf');
  const tls = master.at('master/state/tls');
  const settings = loadSettings({ file, env: {} });
  expect([settings.BROKER_CA, settings.BROKER_CERT, settings.BROKER_KEY]).toEqual([
    `${tls}/ca.pem`,
    `${tls}/host.pem`,
    `${tls}/host.key`,
  ]);
  expect([settings.BROKER_TLS_CERT, settings.BROKER_TLS_CA]).toEqual([`${tls}/host.pem`, `${tls}/ca.pem`]);
  const own = loadSettings({ file, env: { VS_BROKER_CERT: '/x', VS_BROKER_TLS_CA: '', VS_BROKER_CA: '/y' } });
  expect([own.BROKER_CERT, own.BROKER_KEY, own.BROKER_TLS_CA, own.BROKER_CA]).toEqual(['/x', '', '', '/y']);
  const plain = loadSettings({ file, env: { VS_BROKER_URL: 'mqtt://localhost:1883' } });
  expect([plain.BROKER_CA, plain.BROKER_CERT]).toEqual(['', '']);
  const password = loadSettings({ file, env: { VS_BROKER_PASSWORD_FILE: '/p' } });
  expect([password.BROKER_CA, password.BROKER_CERT]).toEqual([`${tls}/ca.pem`, '']);
});
