import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { realBroker, startVs, until } from './bus-kit.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-core-'));
const started: ChildProcess[] = [];
const broker = await realBroker();
afterAll(async () => {
  for (const child of started) child.kill('SIGKILL');
  await broker.close();
  rmSync(directory, { recursive: true });
});

/** Starts `vs` with core files allowed, and tells what it says. */
function begin(words: string[], environment: NodeJS.ProcessEnv) {
  const { child, said } = startVs(words, {
    environment,
    cwd: directory,
    before: ['prlimit', '--core=unlimited'],
  });
  started.push(child);
  return { child, said };
}
const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'utf8').trim();
const plain = /^[\w%.]+$/.test(pattern);
if (!plain) console.log(`no core file is looked for: this kernel gives them to ${pattern}`);

test('a service that crashes leaves no core file, and what it starts may raise the limit for itself', async () => {
  const { child, said } = begin(['service', 'monitor'], {
    ...broker.environment('host1'),
    VS_STATE_DIR: directory,
    VS_VSERVER_DIR: directory,
    VS_RUN_DIR: directory,
  });
  await until(() => said.text.includes('"running"'), 'the service runs', 20_000);
  const limits = readFileSync(`/proc/${child.pid}/limits`, 'utf8');
  expect(limits).toMatch(/Max core file size +0 +unlimited/);
  const gone = new Promise((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
  child.kill('SIGABRT');
  expect(await gone).toBe('SIGABRT');
  if (plain) expect(readdirSync(directory).filter((file) => file.startsWith('core'))).toEqual([]);
});

test('a command line that has read a password would leave a core without its memory', async () => {
  const { child } = begin(['listen', 'vs/1/none'], broker.environment('operator'));
  const filter = () => readFileSync(`/proc/${child.pid}/coredump_filter`, 'utf8').trim();
  await until(() => filter() === '00000000', 'no memory goes into a core file');
  if (!plain) return;
  const password = 'planted-in-the-memory';
  writeFileSync(join(directory, 'password'), password, { mode: 0o600 });
  const { child: holds } = begin(['listen', 'vs/1/none'], {
    ...broker.environment('operator'),
    VS_BROKER_PASSWORD_FILE: join(directory, 'password'),
    VS_BROKER_URL: 'mqtt://192.0.2.1:1883', // nobody answers there
  });
  await until(() => readFileSync(`/proc/${holds.pid}/coredump_filter`, 'utf8').trim() === '00000000', 'read');
  const gone = new Promise((resolve) => holds.once('exit', resolve));
  holds.kill('SIGABRT');
  await gone;
  const cores = readdirSync(directory).filter((one) => one.startsWith('core'));
  expect(cores.length).toBeGreaterThan(0);
  for (const file of cores) expect(readFileSync(join(directory, file)).includes(password)).toBe(false);
});
