import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Client, connect } from '../../cli/client.ts';
import { loadSettings } from '../../config/settings.ts';
import { service } from '../../services/backup-scheduler/main.ts';
import { service as masterArchive } from '../../services/master-archive/main.ts';
import type { BackupRecord } from '../../shared/contract/backup.ts';
import { backupOf } from '../unit/backup-record.ts';
import { type BackupState, backupState } from '../../shared/contract/backup-scheduler.ts';
import type { Bus } from '../../shared/bus.ts';
import type { Args, Data } from '../../shared/contract/commands.ts';
import { channels } from '../../shared/contract/channels.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { Handlers } from '../../shared/dispatch.ts';
import { VsError } from '../../shared/errors.ts';
import { createLog } from '../../shared/log.ts';
import type { Context, Service } from '../../shared/service.ts';
import { realBroker, until } from './bus-kit.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const directory = mkdtempSync(join(tmpdir(), 'vslab-scheduler-'));
let broker: Awaited<ReturnType<typeof realBroker>>;
let ear: Awaited<ReturnType<typeof broker.raw>>;
const living: { one: Service; bus: Bus }[] = [];
beforeAll(async () => {
  broker = await realBroker();
  ear = await broker.raw('operator-ear', ['vs/1/backups/+/state', 'vs/1/master/alerts/+/+']);
}, 60_000);
beforeEach(async () => {
  const left = HOUR - (Date.now() % HOUR);
  if (left < 60_000) await new Promise((resolve) => setTimeout(resolve, left + 1000)); // a full hour begins further backups
}, 90_000);
afterEach(async () => {
  for (const { one, bus } of living.splice(0)) {
    await one.stop?.();
    await bus.close();
  }
});
afterAll(async () => {
  await broker.close();
  rmSync(directory, { recursive: true });
});

/** The other services of the master, as far as the scheduler asks them: they keep what they are told in memory. */
function world(names: Record<string, string>) {
  const sagas: SagaState[] = [];
  const records: BackupRecord[] = [];
  const asked: string[] = [];
  const tried: string[] = [];
  const told: object[] = [];
  const rules = { hold: false, silent: false, fail: '', bad: '' };
  const example = channels['sagaState']?.example as unknown as SagaState;
  const record = (vserver: string, taken: number, more: Partial<BackupRecord> = {}): BackupRecord =>
    backupOf(taken, { vserver, finished: taken, saga: 's', verified: Date.now(), ...more });
  function end(saga: SagaState): void {
    if (saga.result !== 'running') return;
    saga.ended = Date.now();
    saga.result = rules.fail ? 'undone' : 'done';
    if (rules.fail) saga.message = rules.fail;
    else {
      let taken = Math.floor(saga.started / 1000) * 1000;
      while (records.some((one) => one.vserver === saga.vserver && one.taken === taken)) taken += 1000;
      records.unshift(record(saga.vserver, taken, { saga: saga.id }));
    }
  }
  const handlers: Handlers = {
    'orchestrator.scan': async () => ({
      rows: Object.entries(names).map(([vserver, host]) => ({
        host,
        vserver,
        state: 'running' as const,
        enabled: true,
        address: '10.60.10.5',
        network: 'blue',
        epoch: 1,
      })),
      hosts: [],
    }),
    'orchestrator.sagas': async ({ running, vserver }) => ({
      sagas: sagas.filter(
        (one) => (!running || one.result === 'running') && (!vserver || one.vserver === vserver),
      ),
    }),
    'orchestrator.saga': async ({ id }) => {
      const saga = sagas.find((one) => one.id === id);
      if (!saga) throw new VsError('not-found', `there is no saga ${id}`);
      return { saga, journal: [] };
    },
    'orchestrator.backup': async ({ name, ...rest }) => {
      asked.push(name);
      told.push(rest);
      const saga: SagaState = {
        ...example,
        id: `backup-${name}-${asked.length}`,
        kind: 'backup',
        vserver: name,
        args: { name },
        result: 'running',
        started: Date.now(),
      };
      sagas.unshift(saga);
      if (!rules.hold) setTimeout(end, 50, saga);
      if (rules.silent) await new Promise(() => undefined);
      return { saga: saga.id, state: saga };
    },
    'orchestrator.backup-test': async ({ name }) => {
      tried.push(name);
      const saga: SagaState = {
        ...example,
        id: `backup-test-${name}-${tried.length}`,
        kind: 'backup-test',
        vserver: `${name}-test`,
        args: { name },
        result: 'running',
        started: Date.now(),
      };
      sagas.unshift(saga);
      setTimeout(() => {
        const ok = rules.bad === '';
        const one = records.find(({ vserver }) => vserver === name);
        const check = { check: 'init', ok, message: ok ? 'it runs' : rules.bad };
        if (one) one.proof = { ts: Date.now(), ok, host: 'host1', saga: saga.id, ms: 1, checks: [check] };
        saga.ended = Date.now();
        saga.result = ok ? 'done' : 'undone';
        if (!ok) saga.error = { code: 'failed', step: 'record', host: 'host1', message: rules.bad };
      }, 50);
      return { saga: saga.id, state: saga };
    },
    'repository.list': async ({ vserver }) => ({
      backups: records.filter((one) => !vserver || one.vserver === vserver),
      faults: [],
    }),
    'repository.remove': async ({ vserver, id }) => {
      const at = records.findIndex((one) => one.vserver === vserver && one.id === id);
      if (at >= 0) records.splice(at, 1);
      return { removed: at >= 0 };
    },
    'repository.verify': async ({ vserver, id }) => {
      const at = records.findIndex((one) => one.vserver === vserver && one.id === id);
      const backup = { ...(records[at] as BackupRecord), verified: Date.now(), faults: ['rootfs/a differs'] };
      records[at] = backup;
      return { backup, files: 1, bytes: 1 };
    },
  };
  return { names, sagas, records, record, asked, tried, told, rules, handlers, end };
}

let folders = 0;
/** A folder with a backup.conf and, as if the scheduler had been at work before, what it kept. */
function folderOf(conf: string, done: Record<string, number> = {}): string {
  const folder = join(directory, String(++folders));
  mkdirSync(join(folder, 'state'), { recursive: true });
  writeFileSync(join(folder, 'backup.conf'), conf);
  const vservers = Object.fromEntries(
    Object.entries(done).map(([name, at]) => [
      name,
      { since: 1, plan: '0 * * * * UTC', done: at, failures: 0, tries: 0 },
    ]),
  );
  writeFileSync(
    join(folder, 'state', 'backup-scheduler.json'),
    JSON.stringify({ version: 1, vservers, rounds: { main: Date.now() } }),
  );
  return folder;
}
const bookOf = (folder: string) =>
  (
    JSON.parse(readFileSync(join(folder, 'state', 'backup-scheduler.json'), 'utf8')) as {
      vservers: Record<string, Record<string, unknown>>;
    }
  ).vservers;

async function begin(folder: string, handlers: Handlers, bus?: Bus, more: Record<string, string> = {}) {
  const env = {
    ...broker.environment('master'),
    VS_CONFIG_DIR: folder,
    VS_STATE_DIR: join(folder, 'state'),
    VS_BACKUP_VERIFY_PERCENT: '0',
    ...more,
  };
  const settings = loadSettings({ file: '/nonexistent', env });
  const used = bus ?? (await broker.bus('master', handlers));
  const one = service(
    { host: 'master', settings, bus: used, log: createLog('warn', 'master'), version: '0' },
    { tickMs: 30 },
  );
  Object.assign(handlers, one.handlers);
  await one.start?.();
  living.push({ one, bus: used });
  return { bus: used, one };
}
/** As a verb asks: by a client of its own, which goes with the answer. */
async function ask<
  K extends
    | 'backup-scheduler.run'
    | 'backup-scheduler.status'
    | 'backup-scheduler.prune'
    | 'backup-scheduler.master-run'
    | 'backup-scheduler.master-prune'
    | 'backup-scheduler.schedule',
>(command: K, args: Args<K>): Promise<Data<K>> {
  const client: Client = await connect(await broker.settings('operator'));
  try {
    return await client.request('master', command, args);
  } finally {
    client.close();
  }
}
const stateOf = (vserver: string): BackupState | undefined => {
  const last = ear.on(`vs/1/backups/${vserver}/state`).at(-1);
  return last?.text ? backupState.parse(last.body) : undefined;
};
const alertOf = (subject: string, check: string) =>
  ear.on(`vs/1/master/alerts/${subject}/${check}`).at(-1)?.text ?? '';
const hourly = '*:hot:schedule=hourly,timezone=UTC';
const lastHour = () => Math.floor(Date.now() / HOUR) * HOUR;

test('after a day without a master each vserver is backed up once, two at a time, one of a host; then nothing', async () => {
  const { handlers, asked, sagas, rules, end } = world({
    aa1: 'host1',
    aa2: 'host1',
    aa3: 'host2',
    aa4: 'host3',
  });
  const before = lastHour() - DAY;
  const folder = folderOf(hourly, { aa1: before, aa2: before, aa3: before, aa4: before });
  rules.hold = true;
  await begin(folder, handlers);
  await until(() => asked.length === 2, 'two have begun');
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(asked.toSorted()).toEqual(['aa1', 'aa3']);
  await until(() => stateOf('aa2')?.waits !== undefined, 'aa2 says why it waits');
  expect(stateOf('aa1')).toMatchObject({ state: 'running', saga: 'backup-aa1-1' });
  while (asked.length < 4 || sagas.some((one) => one.result === 'running')) {
    for (const saga of sagas) end(saga);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  await until(
    () => ['aa1', 'aa2', 'aa3', 'aa4'].every((name) => stateOf(name)?.state === 'ok'),
    'all are well',
  );
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(asked.toSorted()).toEqual(['aa1', 'aa2', 'aa3', 'aa4']);
  expect(stateOf('aa1')).toMatchObject({ mode: 'hot', schedule: '0 * * * *', count: 1, size: 1000 });
});

test('a process that is gone before the answer came finds its backup again, and takes no second one', async () => {
  const { handlers, asked, rules, sagas, end } = world({ bb1: 'host1' });
  const folder = folderOf(hourly, { bb1: lastHour() - 5 * HOUR });
  Object.assign(rules, { hold: true, silent: true });
  const { bus } = await begin(folder, handlers);
  await until(
    () => bookOf(folder)['bb1']?.['running'] !== undefined && asked.length === 1,
    'it stands in the book',
  );
  // the next life has the same folder; the first one still waits for its answer
  await begin(folder, handlers, bus);
  await new Promise((resolve) => setTimeout(resolve, 200));
  end(sagas[0] as SagaState);
  await until(() => stateOf('bb1')?.state === 'ok', 'it is well');
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(asked).toEqual(['bb1']);
  expect(bookOf(folder)['bb1']).toMatchObject({ done: lastHour() });
});

test('what stands in the book as begun, and never began, is done', async () => {
  const { handlers, asked, told } = world({ cc1: 'host1' });
  const folder = folderOf(`${hourly},bandwidth=50k,repository=usb`, { cc1: lastHour() - 5 * HOUR });
  const path = join(folder, 'state', 'backup-scheduler.json');
  const kept = JSON.parse(readFileSync(path, 'utf8')) as { vservers: Record<string, object> };
  Object.assign(kept.vservers['cc1'] ?? {}, { running: { began: Date.now() - 1000, slot: lastHour() } });
  writeFileSync(path, JSON.stringify(kept));
  await begin(folder, handlers);
  await until(() => stateOf('cc1')?.state === 'ok', 'it is well');
  expect(asked).toEqual(['cc1']);
  expect(told).toEqual([{ mode: 'hot', repository: 'usb', bandwidth: 51_200 }]);
});

test('a failure is told, is tried again later, and its alert ends with a success', async () => {
  const { handlers, asked, rules } = world({ dd1: 'host1' });
  const folder = folderOf(hourly, { dd1: lastHour() - 2 * HOUR });
  rules.fail = 'no space left on the master';
  await begin(folder, handlers);
  await until(() => alertOf('dd1', 'backup-failed').includes('no space left on the master'), 'the alert');
  await until(() => stateOf('dd1')?.state === 'failed', 'the state');
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(asked).toHaveLength(1);
  expect(stateOf('dd1')?.lastError).toContain('no space left');
  expect(stateOf('dd1')?.nextRun).toBeGreaterThan(Date.now() + 60_000);
  rules.fail = '';
  const { asked: names, runs } = await ask('backup-scheduler.run', { wait: true });
  expect([names, runs]).toMatchObject([['dd1'], [{ vserver: 'dd1', ok: true }]]);
  await until(() => alertOf('dd1', 'backup-failed') === '', 'the alert has ended');
  await until(() => stateOf('dd1')?.state === 'ok', 'the state is well');
});

test('overdue and uncovered are alerts; a line, none or a backup ends them', async () => {
  const { handlers, records, record } = world({ ee1: 'host1', ee2: 'host1' });
  records.push(record('ee1', Date.now() - 3 * DAY), record('gone1', Date.now() - DAY));
  const never = 'ee1:hot:schedule="0 0 * * *",timezone=UTC,window=';
  const soon = new Date(Date.now() + 2 * HOUR).getUTCHours();
  const folder = folderOf(`${never}${soon}:00-${soon}:01\n`);
  const { bus } = await begin(folder, handlers);
  await until(() => alertOf('ee1', 'backup-overdue').includes('overdue'), 'overdue');
  await until(() => alertOf('backup', 'uncovered').includes('nothing backs up ee2:'), 'uncovered');
  expect(stateOf('gone1')).toMatchObject({ state: 'none', gone: true, count: 1 });
  writeFileSync(join(folder, 'backup.conf'), 'ee1:hot\nee2:nne\n');
  await until(() => alertOf('backup', 'config').includes('backup.conf:2:5: '), 'the fault');
  const { fault, lines } = await ask('backup-scheduler.schedule', {});
  expect(fault).toContain('expected hot, cold or none');
  expect(lines).toHaveLength(1);
  writeFileSync(join(folder, 'backup.conf'), 'ee1:hot\nee2:none\n');
  await until(() => alertOf('backup', 'config') === '', 'mended');
  await until(() => alertOf('backup', 'uncovered') === '', 'covered');
  await until(() => alertOf('ee1', 'backup-overdue') === '', 'no schedule, so not overdue');
  expect(bus.connected).toBe(true);
});

test('after a success what no rule keeps goes; not while a restore runs; never the protected, nor those of who is gone', async () => {
  const { handlers, records, record, sagas } = world({ ff1: 'host1' });
  const now = Date.now();
  for (let hour = 1; hour <= 5; hour++) records.push(record('ff1', now - hour * HOUR));
  records.push(record('ff1', now - 50 * DAY, { protected: true }), record('gone2', now - 90 * DAY));
  const folder = folderOf(`${hourly},keep-last=2`, { ff1: lastHour() - 2 * HOUR });
  const restore = {
    ...(channels['sagaState']?.example as unknown as SagaState),
    id: 'restore-1',
    kind: 'backup-restore' as const,
    vserver: 'ff9',
    args: { name: 'ff1', as: 'ff9' },
  };
  sagas.push(restore);
  await begin(folder, handlers);
  await until(() => records.filter((one) => one.vserver === 'ff1').length === 7, 'a new one');
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(records.filter((one) => one.vserver === 'ff1')).toHaveLength(7);
  const plan = await ask('backup-scheduler.prune', { dryRun: true });
  expect(plan.vservers).toHaveLength(1);
  expect(plan.vservers[0]?.removed).toHaveLength(4);
  expect(plan.vservers[0]?.skipped).toContain('restore-1');
  restore.result = 'done';
  await until(() => records.filter((one) => one.vserver === 'ff1').length === 3, 'pruned');
  expect(records.some((one) => one.vserver === 'gone2')).toBe(true);
  const { vservers } = await ask('backup-scheduler.status', {});
  expect(vservers.find((one) => one.vserver === 'ff1')).toMatchObject({ count: 3, state: 'ok' });
});

test('backups are verified in their turn, and a damaged one is told', async () => {
  const { handlers, records, record } = world({ gg1: 'host1' });
  for (let hour = 1; hour <= 3; hour++)
    records.push(record('gg1', Date.now() - hour * HOUR, { verified: hour }));
  const folder = folderOf('gg1:hot');
  await begin(folder, handlers, undefined, { VS_BACKUP_VERIFY_PERCENT: '34' });
  await until(() => alertOf('gg1', 'backup-damaged').includes('2 of 3'), 'two were looked at');
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(records.map((one) => (one.faults ?? []).length)).toEqual([1, 1, 0]);
  await until(() => stateOf('gg1')?.faulty === 2, 'the state says so');
});

test('a viewer reads the states of backups, and nobody but the master says them', async () => {
  const viewer = await broker.raw('viewer-1', ['vs/1/backups/+/state']);
  const operator = await broker.raw('operator-2', []);
  await until(() => viewer.heard.length > 0, 'retained states');
  const before = viewer.on('vs/1/backups/zz9/state').length;
  await operator.send('vs/1/backups/zz9/state', { vserver: 'zz9' }).catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(viewer.on('vs/1/backups/zz9/state')).toHaveLength(before);
});

/** A folder whose scheduler has done the line of the master until an hour ago, with or without a pool's authority. */
function masterFolder(isMaster: boolean): string {
  const folder = folderOf('@master:hot:schedule=hourly,timezone=UTC,keep-last=1');
  const path = join(folder, 'state', 'backup-scheduler.json');
  const kept = JSON.parse(readFileSync(path, 'utf8')) as object;
  const master = { since: 1, plan: '0 * * * * UTC', done: lastHour() - HOUR, failures: 0, tries: 0 };
  writeFileSync(path, JSON.stringify({ ...kept, master }));
  mkdirSync(join(folder, 'state', 'ca'), { recursive: true });
  if (isMaster) writeFileSync(join(folder, 'state', 'ca', 'ca.key'), 'KEY', { mode: 0o600 });
  return folder;
}
/** The service that the process of the scheduler has in itself. */
function archives(folder: string): Handlers {
  const env = {
    ...broker.environment('master'),
    VS_CONFIG_DIR: folder,
    VS_STATE_DIR: join(folder, 'state'),
    VS_TLS_DIR: join(folder, 'state', 'tls'),
    VS_BROKER_USERS: join(folder, 'users.json'),
  };
  const settings = loadSettings({ file: '/nonexistent', env });
  return masterArchive({ settings, version: '0' } as unknown as Context).handlers;
}

test('the state of the master itself is kept by its line, once, for root alone; what no rule keeps goes', async () => {
  const { handlers } = world({});
  const folder = masterFolder(true);
  const kept = join(folder, 'state', 'backups', '.master');
  mkdirSync(kept, { recursive: true, mode: 0o700 });
  writeFileSync(join(kept, 'vs-master-20250101T000000Z.tar.gz'), 'old');
  await begin(folder, Object.assign(handlers, archives(folder)));
  let found = await ask('backup-scheduler.status', {});
  for (
    ;
    found.master?.state !== 'ok' || found.master.count !== 1;
    found = await ask('backup-scheduler.status', {})
  )
    await new Promise((resolve) => setTimeout(resolve, 50));
  await new Promise((resolve) => setTimeout(resolve, 200));
  const files = readdirSync(kept);
  expect(files).toEqual([expect.stringMatching(/^vs-master-2\d{7}T\d{6}Z\.tar\.gz$/)]);
  expect(files).not.toContain('vs-master-20250101T000000Z.tar.gz');
  expect(statSync(join(kept, files[0] ?? '')).mode & 0o777).toBe(0o600);
  expect(found.master).toMatchObject({ schedule: '0 * * * *', repository: 'main', count: 1 });
  expect((await ask('backup-scheduler.schedule', {})).lines.map((one) => one.name)).toEqual(['@master']);
});

test('the line of the master is carried out when somebody asks, and says why it cannot be', async () => {
  const { handlers } = world({});
  const folder = masterFolder(true);
  await begin(folder, Object.assign(handlers, archives(folder)));
  const kept = join(folder, 'state', 'backups', '.master');
  const listed = async () => (await ask('backup-scheduler.status', {})).master;
  while ((await listed())?.state !== 'ok') await new Promise((resolve) => setTimeout(resolve, 50));
  const [before = ''] = readdirSync(kept);
  await new Promise((resolve) => setTimeout(resolve, 1100)); // its name is of the second
  const [one, two] = await Promise.all([
    ask('backup-scheduler.master-run', {}),
    new Promise((resolve) => setTimeout(resolve, 1100)).then(() => ask('backup-scheduler.master-run', {})),
  ]);
  expect(two.archive.taken).toBeGreaterThan(one.archive.taken);
  expect(readdirSync(kept)).toEqual([two.archive.file]); // keep-last=1
  writeFileSync(join(kept, before), 'old');
  const plan = await ask('backup-scheduler.master-prune', { dryRun: true });
  expect(plan.kept).toEqual([{ ...two.archive, by: ['last'] }]);
  expect(plan.removed).toEqual([expect.objectContaining({ file: before, by: [] })]);
  expect(readdirSync(kept)).toHaveLength(2);
  await ask('backup-scheduler.master-prune', {});
  expect(readdirSync(kept)).toEqual([two.archive.file]);

  chmodSync(kept, 0o755);
  await expect(ask('backup-scheduler.master-run', {})).rejects.toThrow(/open to others than root/);
  expect(await listed()).toMatchObject({ state: 'failed' });
  writeFileSync(join(folder, 'backup.conf'), '*:hot\n');
  await expect(ask('backup-scheduler.master-run', {})).rejects.toThrow(/no line that keeps archives/);
});

test('an archive of the master that cannot be made is an alert', async () => {
  const { handlers } = world({});
  const folder = masterFolder(false);
  await begin(folder, Object.assign(handlers, archives(folder)));
  await until(() => alertOf('backup', 'master-failed').includes('not the master of a pool'), 'the alert');
  await until(
    () => alertOf('backup', 'master-overdue') !== '',
    'that there is none for so long is told, too',
  );
  expect((await ask('backup-scheduler.status', {})).master).toMatchObject({ state: 'failed', count: 0 });
});

test('test=weekly: the newest backup is proved once, its age is told, and one that is not well alerts until one is', async () => {
  const { handlers, records, record, tried, rules } = world({ ee1: 'host1' });
  records.push(record('ee1', Date.now() - HOUR));
  const folder = folderOf('ee1:hot:test=weekly,timezone=UTC');
  const book = join(folder, 'state', 'backup-scheduler.json');
  const since = { since: 1, plan: '0 0 * * 0 UTC', failures: 0, tries: 0 };
  writeFileSync(book, JSON.stringify({ version: 1, vservers: {}, tests: { ee1: since }, rounds: {} }));
  rules.bad = 'systemd is degraded: nginx.service failed';
  await begin(folder, handlers);
  await until(() => alertOf('ee1', 'backup-test').includes('nginx.service failed'), 'the alert');
  expect(stateOf('ee1')).toMatchObject({ testError: expect.stringContaining('nginx') as string });
  expect(tried).toEqual(['ee1']); // a second look would find the same: its next time is next week
  const kept = JSON.parse(readFileSync(book, 'utf8')) as { tests: Record<string, Record<string, unknown>> };
  expect(kept.tests['ee1']).toMatchObject({ failures: 1, done: expect.any(Number) as number });
  for (const { one, bus } of living.splice(0)) {
    await one.stop?.();
    await bus.close();
  }
  rules.bad = '';
  writeFileSync(book, JSON.stringify({ version: 1, vservers: {}, tests: { ee1: since }, rounds: {} }));
  await begin(folder, handlers);
  await until(
    () => stateOf('ee1')?.lastProof !== undefined && alertOf('ee1', 'backup-test') === '',
    'the proof',
  );
  expect(stateOf('ee1')?.testError).toBeUndefined();
});
