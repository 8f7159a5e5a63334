import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { parseSshKeys } from '../../config/ssh-keys.ts';
import { authorize } from '../../services/host-agent/identity.ts';
import { openLocks } from '../../services/host-agent/locks.ts';
import { postInstall } from '../../services/host-agent/post-install.ts';
import { lineSplitter } from '../../services/host-agent/lines.ts';
import type { Agents } from '../../services/orchestrator/agent.ts';
import { buildSaga } from '../../services/orchestrator/build.ts';
import { execute } from '../../services/orchestrator/executor.ts';
import { openJournals } from '../../services/orchestrator/journal.ts';
import type { CreatePlan } from '../../services/orchestrator/plans/create-plan.ts';
import { withoutScript } from '../../services/orchestrator/sagas/post-install.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { VsError } from '../../shared/errors.ts';
import { seal, sealKey } from '../../shared/seal.ts';
import { quietly } from './saga-kit.ts';

const work = mkdtempSync(join(tmpdir(), 'vslab-post-install-'));
afterAll(() => rmSync(work, { recursive: true }));
const SAGA = 'create-1';
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3x anna@home';

const plan = (more: Partial<CreatePlan>): CreatePlan => ({
  name: 'web1',
  host: 'host1',
  hostAddress: '10.0.0.1',
  source: 'busybox',
  config: {
    version: 1,
    uuid: '11111111-1111-4111-8111-111111111111',
    name: 'web1',
    network: 'blue',
    address: '10.60.10.5',
    prefix: 24,
    mac: '02:00:00:00:00:01',
    enabled: false,
    limits: {},
    idmap: 100_000,
    source: 'busybox',
    created: 1,
  },
  start: true,
  ...more,
});

/** Runs a create; answers its end, and what was asked of the host in which order. */
async function create(more: Partial<CreatePlan>, script: { code: number; tail?: string } | VsError) {
  const directory = mkdtempSync(join(work, 'journal-'));
  const calls: string[] = [];
  const given: Record<string, unknown>[] = [];
  const agents: Agents = {
    seal: (host, secret) => `sealed for ${host}: ${secret.length}`,
    async ask(_host, command, args) {
      calls.push(command.replace('host-agent.', ''));
      given.push(args as Record<string, unknown>);
      if (command === 'template.ensure') return { kind: 'busybox' } as never;
      if (command === 'host-agent.install') return { bytes: 1, files: 1 } as never;
      if (command === 'snapshot.allocate') return { free: 1 } as never;
      if (command !== 'host-agent.post-install') return {} as never;
      if (script instanceof VsError) throw script;
      return { log: '/log', tail: '', ...script } as never;
    },
  };
  const state = {
    id: SAGA,
    kind: 'create',
    vserver: 'web1',
    args: {},
    result: 'running',
    title: '',
    steps: [],
    started: 1,
  } as unknown as SagaState;
  const journals = openJournals(directory);
  const what = { kind: 'create' as const, plan: plan(more) };
  const saga = buildSaga(what, state, agents);
  journals.append(SAGA, { kind: 'begin', plan: what, state });
  const end = await execute(saga, quietly(journals));
  return { end, calls, given, journal: journals.read(SAGA) };
}

describe('the saga', () => {
  test('a script runs after the first start has answered, sealed, and with its keys in the install', async () => {
    const { end, calls, given } = await create(
      { postInstall: 'echo hello', sshKeys: [KEY] },
      { code: 0, tail: 'a\nhello' },
    );
    expect(end.result).toBe('done');
    expect(calls.slice(calls.indexOf('start'), calls.indexOf('start') + 3)).toEqual([
      'start',
      'answering',
      'post-install',
    ]);
    expect(calls).not.toContain('stop');
    expect(given.find((one) => 'script' in one)?.['script']).toBe('sealed for host1: 10');
    expect(given.find((one) => 'sshKeys' in one)?.['sshKeys']).toEqual([KEY]);
    expect(end.steps.find((one) => one.step === 'post-install')?.message).toBe('done: hello');
  });

  test('one that shall not run is started for it, and stopped', async () => {
    const { end, calls } = await create({ start: false, postInstall: 'true' }, { code: 0 });
    expect(end).toMatchObject({
      result: 'done',
      message: expect.stringMatching(/is on host1 .* Start it with/),
    });
    expect(calls.slice(calls.indexOf('post-install'))).toEqual([
      'post-install',
      'stop',
      'snapshot.discard',
      'unlock',
    ]);
  });

  test('a failure undoes all of it, and says where the output is', async () => {
    const { end, calls } = await create({ postInstall: 'false' }, { code: 3, tail: 'one\ntwo' });
    expect(end.result).toBe('undone');
    expect(end.message).toMatch(
      /web1 was not created: .*ended with exit code 3: one \| two; all that it said is in \/log on host1.*Nothing of it is left on host1/,
    );
    expect(calls.slice(calls.indexOf('post-install') + 1)).toEqual(
      expect.arrayContaining(['stop', 'release', 'detach', 'snapshot.evict', 'snapshot.discard', 'unlock']),
    );
  });

  test.each([[{ code: 3, tail: 'x' }], [new VsError('deadline', 'too slow')]])(
    'kept when asked for: done, and it says so (%#)',
    async (script) => {
      const { end, calls } = await create({ postInstall: 'false', keep: true }, script);
      expect(end.result).toBe('done');
      expect(end.message).toMatch(/It was kept \(--keep\), but its post-install script failed: /);
      expect(end.steps.find((one) => one.step === 'post-install')?.message).toBe('failed, and kept');
      expect(calls).not.toContain('snapshot.evict');
    },
  );

  test('a host that is away is no failure of the script', async () => {
    const { end } = await create(
      { postInstall: 'x', keep: true },
      new VsError('unavailable', 'host1 is offline'),
    );
    expect(end.result).toBe('undone');
  });

  test('the journal has the script, and nobody is shown it', async () => {
    const { journal } = await create({ postInstall: 'PASSWORD=1' }, { code: 0 });
    expect(JSON.stringify(journal)).toContain('PASSWORD');
    expect(JSON.stringify(journal.map((line) => withoutScript({ ...line })))).not.toContain('PASSWORD');
  });
});

describe('on the host', () => {
  let state = '';
  let rootfs = '';
  beforeEach(() => {
    state = mkdtempSync(join(work, 'state-'));
    rootfs = mkdtempSync(join(work, 'rootfs-'));
    mkdirSync(join(state, 'locks'));
  });
  /** Runs a script as the host would, but outside of any vserver. */
  async function run(script: string, more: { saga?: string; timeout?: number } = {}) {
    const settings = { STATE_DIR: state } as never;
    const locks = openLocks(state);
    const said: unknown[] = [];
    const result = await postInstall(
      {
        context: { settings, host: 'host1' },
        paths: { rootfs: () => rootfs },
        lxc: {
          alive: async () => new Set(['web1']),
          attach: (_: string, argv: string[]) => [
            'env',
            `HOME=${rootfs}`,
            ...argv.map((word) => word.replace('/root/', `${rootfs}/root/`)),
          ],
        } as never,
        locks,
      },
      {
        name: 'web1',
        saga: more.saga ?? SAGA,
        script: seal(script, sealKey(settings)),
        timeout: more.timeout ?? 10_000,
      },
      {
        id: 'x',
        issuer: 'test',
        signal: new AbortController().signal,
        progress: (data) => said.push(data['output']),
      },
    );
    return { result, said };
  }
  const hold = (saga = SAGA) => openLocks(state).take('web1', saga, 60_000);

  test('its output is told line by line and kept for root alone, its code is told, and the script is gone', async () => {
    await hold();
    const { result, said } = await run(
      '#!/bin/sh\necho one; sleep 0.1; echo two >&2; sleep 0.1; printf "\\033[1mthree"; exit 4\n',
    );
    expect(result).toMatchObject({ code: 4, tail: 'one\ntwo\n[1mthree' });
    expect(said).toEqual(['one', 'two', '[1mthree']);
    const log = join(state, 'log/web1.post-install');
    expect(readFileSync(log, 'utf8')).toBe('one\ntwo\n\u001b[1mthree');
    expect(statSync(log).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(rootfs, 'root'))).toEqual([]);
  });

  test('a script without #! is one of sh', async () => {
    await hold();
    expect((await run('echo "$0" | grep -c vs-post-install')).result).toMatchObject({ code: 0, tail: '1' });
  });

  test('asked again it answers, and does not run again; what was broken off is not run twice', async () => {
    await hold();
    const count = join(work, 'count');
    writeFileSync(count, '');
    const script = `echo x >> ${count}; echo done`;
    expect((await run(script)).result).toMatchObject({ code: 0, tail: 'done' });
    expect((await run(script)).result).toMatchObject({ code: 0, tail: 'done' });
    await openLocks(state).drop('web1', SAGA);
    await expect(run(script)).rejects.toThrow(/does not hold web1/);
    expect(readFileSync(count, 'utf8')).toBe('x\n');
  });

  test('a life of the agent that ended in the middle of it', async () => {
    await hold();
    await openLocks(state).keepScript('web1', SAGA, {});
    await expect(run('echo again')).rejects.toThrow(
      /broken off by a restart of the agent of host1, and is not run twice/,
    );
  });

  test('one that does not end is ended', async () => {
    await hold();
    await expect(run('echo begun; sleep 60', { timeout: 300 })).rejects.toThrow(/did not end within 300 ms/);
  });

  test('a long output is kept in its beginning only', async () => {
    await hold();
    const { result } = await run(
      'i=0; while [ $i -lt 30 ]; do head -c 100000 /dev/zero | tr "\\0" "a"; echo; i=$((i+1)); done; echo end',
    );
    expect(result.tail).toMatch(/\nend$/);
    expect(statSync(join(state, 'log/web1.post-install')).size).toBe(1024 * 1024);
  });

  test('keys of root: 0600, added to those that are there, and never through a link of the guest', async () => {
    await authorize(rootfs, [KEY]);
    await authorize(rootfs, [KEY, `${KEY}2`]);
    const file = join(rootfs, 'root/.ssh/authorized_keys');
    expect(readFileSync(file, 'utf8')).toBe(`${KEY}\n${KEY}2\n`);
    expect([statSync(file).mode & 0o777, statSync(join(rootfs, 'root/.ssh')).mode & 0o777]).toEqual([
      0o600, 0o700,
    ]);
    writeFileSync(file, `${KEY}\n`.repeat(3000));
    await expect(authorize(rootfs, [`${KEY}3`])).rejects.toThrow(/no plain file of at most 64 kB/);
    rmSync(join(rootfs, 'root'), { recursive: true });
    const outside = mkdtempSync(join(work, 'outside-'));
    symlinkSync(outside, join(rootfs, 'root'));
    await expect(authorize(rootfs, [KEY])).rejects.toThrow(/no plain directory/);
    expect(readdirSync(outside)).toEqual([]);
  });
});

test('lines come whole, whatever the pieces', () => {
  const lines: string[] = [];
  const splitter = lineSplitter((line) => lines.push(line));
  for (const byte of Buffer.from('a\r\nbü\n\nc')) splitter.add(Buffer.from([byte]));
  splitter.end();
  expect(lines.filter(Boolean)).toEqual(['a', 'bü', 'c']);
});

describe('files of ssh keys', () => {
  test.each([
    KEY,
    'ssh-rsa AAAAB3NzaC1yc2E=',
    'ecdsa-sha2-nistp256 AAAAE2VjZHNh= x y z',
    'sk-ssh-ed25519@openssh.com AAAAGnNr anna',
    `from="10.0.0.0/8,::1",command="echo \\"hi\\"" ${KEY}`,
  ])('%s', (key) => {
    expect(parseSshKeys(`# mine\n\n${key}\r\n`, 'f')).toEqual([key]);
  });
  test.each([
    ['words', /f:1: expected a public ssh key/],
    ['', /f has no public ssh key/],
    [
      '-----BEGIN OPENSSH PRIVATE KEY-----\nx',
      /f is a private key, which stays with you; give the public one, f\.pub/,
    ],
    [`${KEY}\nssh-ed25519 AAAA\u0007B`, /f:2/],
    ['x'.repeat(70_000), /longer than 64 kB/],
  ])('%s is refused', (text, says) => {
    expect(() => parseSshKeys(text, 'f')).toThrow(says);
  });
});
