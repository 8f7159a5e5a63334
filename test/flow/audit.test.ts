import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { VsError } from '../../shared/errors.ts';
import { cli, realBroker, until } from './bus-kit.ts';

type Line = Record<string, unknown>;
let broker: Awaited<ReturnType<typeof realBroker>>;
let operator: Awaited<ReturnType<typeof broker.raw>>;
let master: ChildProcess;
const file = () => join(broker.directory, 'audit.jsonl');
const text = () => {
  try {
    return readFileSync(file(), 'utf8');
  } catch {
    return '';
  }
};
const lines = (): Line[] =>
  text()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);
const of = (id: string) => lines().filter((one) => one['id'] === id);
const command = (name: string, host = 'host1') => `vs/1/hosts/${host}/commands/host-agent/${name}`;
const replyTo = 'vs/1/hosts/host1/replies/operator-1';

/** `vs ...` as a process of its own. */
function vs(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, ...broker.environment('operator') };
    execFile(process.execPath, [cli, ...args], { env }, (error, out, err) =>
      resolve({ code: error ? Number(error.code) : 0, out, err }),
    );
  });
}

beforeAll(async () => {
  broker = await realBroker();
  master = spawn(process.execPath, [cli, 'service', 'orchestrator'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      ...broker.environment('master'),
      VS_ROLE: 'master',
      VS_STATE_DIR: broker.directory,
      VS_LOG_LEVEL: 'error',
    },
  });
  operator = await broker.raw('operator-1', [replyTo, 'vs/1/master/status', 'vs/1/master/events/broker']);
  await until(() => operator.on('vs/1/master/status').length > 0, 'the master', 60_000);
  await broker.bus('host1', {
    'host-agent.start': async () => ({}) as never,
    'host-agent.stop': async () => {
      throw new VsError('conflict', 'web1 is locked');
    },
    'host-agent.restart': async () => {
      await sleep(8000);
      return {} as never;
    },
  });
});
afterAll(async () => {
  const gone = new Promise((resolve) => master.once('exit', resolve));
  master.kill('SIGKILL');
  await gone;
  await broker.close();
});

test('a command leaves one line: who, from where, what, and how it ended', async () => {
  await operator.send(command('start'), {
    id: 'c1',
    replyTo,
    issuer: 'somebody else',
    args: { name: 'web1' },
  });
  await operator.send(command('stop'), { id: 'c2', replyTo, args: { name: 'web1' } });
  await operator.send(command('start'), { id: 'c3', args: { name: 'web1' } });
  await (await broker.raw('viewer-1')).send(command('stop'), { id: 'c4', args: { name: 'web1' } });
  await until(() => ['c1', 'c2', 'c3', 'c4'].every((id) => of(id).length > 0), 'the lines');
  expect(of('c1')).toEqual([
    {
      n: expect.any(String) as string,
      ts: expect.any(Number) as number,
      user: 'operator',
      from: '127.0.0.1',
      clientId: 'operator-1',
      target: 'host1',
      command: 'host-agent.start',
      id: 'c1',
      args: { name: 'web1' },
      result: 'ok',
    },
  ]);
  expect(of('c2')).toMatchObject([{ result: 'conflict', message: 'web1 is locked' }]);
  expect(of('c3')).toMatchObject([{ result: 'none' }]);
  expect(of('c4')).toMatchObject([{ result: 'refused', user: 'viewer', command: 'host-agent.stop' }]);
  expect(statSync(file()).mode & 0o777).toBe(0o600);
});

test('secrets are blanked at any depth, and long arguments cut to 2 kB', async () => {
  const args = {
    name: 'web1',
    stdin: 'planted-1',
    source: { Secret: 'planted-2', deeper: [{ token: 'planted-3', password: { x: 'planted-4' } }] },
  };
  await operator.send(command('exec', 'nobody'), { id: 's1', args });
  await operator.send(command('exec', 'nobody'), {
    id: 's2',
    args: { stdin: 'planted-5', command: ['"'.repeat(9000)] },
  });
  await operator.send(command('exec', 'nobody'), 'no json');
  await until(() => of('s2').length > 0 && lines().some((one) => one['id'] === undefined), 'the lines');
  expect(text()).not.toContain('planted');
  expect(of('s1')[0]?.['args']).toMatchObject({
    name: 'web1',
    stdin: '[hidden]',
    source: { Secret: '[hidden]' },
  });
  expect(JSON.stringify(of('s2')[0]?.['args']).length).toBeLessThanOrEqual(2048);
});

test('a command that takes long is written as open before it ends; a foreign reply ends nothing', async () => {
  await operator.send(command('restart'), { id: 'l1', replyTo, args: { name: 'web1' } });
  const viewer = await broker.raw('viewer-2');
  await viewer.send(replyTo, { id: 'l1', ok: true, data: {} });
  await until(() => of('l1').length === 1, 'the open line', 15_000);
  expect(of('l1')).toMatchObject([{ result: 'open' }]);
  await until(() => of('l1').length === 2, 'how it ended', 15_000);
  expect(of('l1')[1]).toMatchObject({ result: 'ok', n: of('l1')[0]?.['n'] });
});

test('vs audit shows it in 80 columns, the ended for the open, and filters it', async () => {
  const { out, err, code } = await vs('audit');
  expect({ err, code }).toEqual({ err: '', code: 0 });
  for (const line of out.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  expect(out).toMatch(/^TIME +USER +FROM +TARGET +COMMAND +RESULT\n/);
  expect(out).toMatch(/^\d\d-\d\d \d\d:\d\d:\d\d +operator +127\.0\.0\.1 +host1 +host-agent\.start +ok$/m);
  expect(out).toMatch(/viewer +127\.0\.0\.1 +host1 +host-agent\.stop +refused$/m);
  expect((await vs('events')).out).toMatch(
    /master +broker +viewer as viewer-1 from 127\.0\.0\.1 was not let publish to vs\/1\/hosts\/host1\/commands/,
  );
  const json = async (...args: string[]) =>
    (await vs('audit', '--json', ...args)).out
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Line);
  expect((await json('--user', 'viewer')).map((one) => one['id'])).toEqual(['c4']);
  expect((await json('--command', 'stop')).map((one) => one['id'])).toEqual(['c2', 'c4']);
  expect((await json('--command', 'host-agent.restart')).map((one) => one['result'])).toEqual(['ok']);
  expect(await json('--target', 'host1', '-n', '2')).toHaveLength(2);
  expect((await json('--target', 'master')).map((one) => one['command'])).toContain('orchestrator.audit');
  expect(await vs('audit', '-n', '0')).toMatchObject({ code: 2 });
});

test('at 10 MB the file is put aside, and five are kept', async () => {
  for (let number = 1; number <= 5; number++) writeFileSync(`${file()}.${number}`, `{"old":${number}}\n`);
  writeFileSync(file(), `${'x'.repeat(10_000_000)}\n`);
  await operator.send(command('start', 'nobody'), { id: 'r1', args: {} });
  await until(() => text().includes('"r1"'), 'a new file');
  expect(
    readdirSync(broker.directory)
      .filter((name) => name.startsWith('audit'))
      .toSorted(),
  ).toEqual(['', '.1', '.2', '.3', '.4', '.5'].map((end) => `audit.jsonl${end}`));
  expect(readFileSync(`${file()}.5`, 'utf8')).toBe('{"old":4}\n');
  expect(statSync(`${file()}.1`).size).toBe(10_000_001);
  expect((await vs('audit', '-n', '1', '--command', 'start', '--json')).out).toContain('"r1"');
});

test('a full disk is told once, stops nothing, and what came meanwhile is written when there is room', async () => {
  rmSync(file(), { force: true });
  symlinkSync('/dev/full', file());
  for (let number = 0; number < 20; number++)
    await operator.send(command('start', 'nobody'), { id: `f${number}`, args: {} });
  await operator.send(command('start'), { id: 'f20', replyTo, args: { name: 'web1' } });
  await until(() => operator.on(replyTo).some((one) => one.body['id'] === 'f20'), 'commands are carried out');
  const faults = () =>
    operator.heard
      .filter((one) => one.body['event'] === 'audit-file')
      .map((one) => String(one.body['message']));
  await until(() => faults().length === 1, 'the event');
  expect(faults()[0]).toMatch(/audit\.jsonl cannot be written \(ENOSPC/);
  await sleep(1500);
  expect(faults()).toHaveLength(1);
  rmSync(file());
  await until(() => of('f20').length === 1 && of('f0').length === 1, 'the lines that waited', 4000);
});
