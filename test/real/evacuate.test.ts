import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SagaState } from '../../shared/contract/saga.ts';
import { realLab } from './lab-kit.ts';

const lab = realLab('aevac');
const names = ['web1', 'web2', 'web3'];

beforeAll(() => {
  lab.up();
  for (const [index, name] of names.entries())
    lab.vs(['create', name, `10.60.10.${index + 5}`, 'busybox', '--host', 'host1', '--start']);
  lab.vs(['stop', 'web3']);
});
afterAll(() => lab.down());

const where = () =>
  Object.fromEntries(
    lab.rows().flatMap((row) => (row.vserver ? [[row.vserver, `${row.host} ${row.state}`]] : [])),
  );
const show = (id: string) =>
  JSON.parse(lab.vs(['saga', 'show', id, '--json']).stdout) as {
    saga: SagaState;
    journal: { kind: string }[];
  };
/** The rows of the vservers in a saga about a host. */
const parts = (saga: SagaState) => saga.steps.filter((row) => names.includes(row.step));
async function until(what: () => boolean): Promise<void> {
  for (const end = Date.now() + 180_000; !what(); await sleep(100))
    if (Date.now() > end) throw new Error('it did not come to that within 180 s');
}
/** A saga's end, over restarts of the orchestrator. */
async function ended(id: string): Promise<SagaState> {
  let saga: SagaState | undefined;
  await until(() => {
    const { stdout, code } = lab.vs(['saga', 'show', id, '--json'], null);
    saga = code === 0 ? (JSON.parse(stdout) as { saga: SagaState }).saga : undefined;
    return saga !== undefined && saga.result !== 'running';
  });
  return saga as SagaState;
}
const kill = () => process.kill(lab.pidOf('master', 'master'), 'SIGKILL');

test('an evacuation whose orchestrator is killed ends by itself: each went once; restore-host brings them back', async () => {
  const dry = lab.vs(['evacuate', 'host1', '--dry-run']).stdout;
  for (const name of names) expect(dry).toMatch(new RegExp(`${name} +to host2`));
  expect(where()).toEqual({ web1: 'host1 running', web2: 'host1 running', web3: 'host1 stopped' });

  const begin = ['evacuate', 'host1', '--parallel', '1', '--yes', '--no-follow', '--json'];
  const { id } = JSON.parse(lab.vs(begin).stdout) as SagaState;
  await until(() => Object.values(where()).some((at) => at.startsWith('host2')));
  kill();
  const saga = await ended(id);
  expect([saga.result, parts(saga).map((row) => row.state)]).toEqual(['done', ['done', 'done', 'done']]);
  expect(where()).toEqual({ web1: 'host2 running', web2: 'host2 running', web3: 'host2 stopped' });
  expect(show(id).journal.map((line) => line.kind)).toContain('resumed');
  const moves = (JSON.parse(lab.vs(['saga', 'list', '--json']).stdout) as SagaState[]).filter(
    (one) => one.parent === id,
  );
  expect(moves.map((one) => [one.vserver, one.result]).sort()).toEqual(names.map((name) => [name, 'done']));
  for (const name of names.slice(0, 2)) expect(lab.running(name)).toEqual(['host2']);
  expect(lab.leftovers()).toEqual([]);

  expect(lab.vs(['host', 'list']).stdout).toMatch(/host1 +evacuated/);
  expect(lab.vs(['create', 'web4', '10.60.10.9', 'busybox', '--host', 'host1'], 1).stderr).toMatch(
    /host1 is evacuated/,
  );
  lab.vs(['create', 'web4', '10.60.10.9', 'busybox']); // it goes to the other one by itself
  expect(where()['web4']).toBe('host2 stopped');
  lab.vs(['remove', 'web4', '--yes']);

  const back = JSON.parse(lab.vs(['restore-host', 'host1', '--no-follow', '--json']).stdout) as SagaState;
  await until(() => Object.values(where()).some((at) => at.startsWith('host1')));
  kill();
  expect((await ended(back.id)).result).toBe('done');
  expect(where()).toEqual({ web1: 'host1 running', web2: 'host1 running', web3: 'host1 stopped' });
  expect(lab.vs(['host', 'list']).stdout).toMatch(/host1 +online/);
  expect(lab.vs(['restore-host', 'host1'], 1).stderr).toMatch(/host1 is not evacuated/);
});

test('one that cannot go is named, the others go; an abort leaves those that went', async () => {
  lab.vs(['create', 'web5', '10.60.20.5', 'busybox', '--host', 'host1']);
  lab.on('host2', 'sed -i /name=green/d /etc/vs-tools/networks.conf');
  process.kill(lab.pidOf('host2', 'agent'), 'SIGKILL');
  await until(() => {
    const hosts = JSON.parse(lab.vs(['host', 'list', '--json']).stdout) as {
      host: string;
      state: string;
      networks: string[];
    }[];
    const host2 = hosts.find((one) => one.host === 'host2');
    return host2?.state === 'online' && !host2.networks.includes('green');
  });
  const { stderr } = lab.vs(['evacuate', 'host1', '--yes'], 1);
  expect(stderr).toMatch(/3 of 4 vservers went/);
  expect(stderr).toMatch(/web5 +.*none of host2 has network green/);
  expect(where()).toMatchObject({ web1: 'host2 running', web5: 'host1 stopped' });

  const { id } = JSON.parse(
    lab.vs(['restore-host', 'host1', '--parallel', '1', '--no-follow', '--json']).stdout,
  ) as SagaState;
  await until(() => Object.values(where()).some((at) => at === 'host1 running'));
  lab.vs(['saga', 'abort', id], null);
  const saga = await ended(id);
  expect(saga.result).toBe('undone');
  expect(saga.message).toMatch(/vservers came back: .*aborted by/);
  expect(lab.vs(['host', 'list']).stdout).toMatch(/host1 +evacuated/);
  lab.vs(['restore-host', 'host1']);
  expect(Object.values(where()).every((at) => at.startsWith('host1'))).toBe(true);
  expect(lab.leftovers()).toEqual([]);
});

test('a host whose memory is short has the least important vserver moved, once, by a saga; one that a person would miss stays', async () => {
  const eat = 'x=$(head -c 90000000 /dev/zero | tr "\\0" x); sleep 1000; :'; // the shell stays, and so does what it holds
  for (const name of ['web1', 'web2']) lab.vs(['exec', name, '--', 'sh', '-c', `(${eat}) >/dev/null 2>&1 &`]);
  lab.vs(['boot', 'web1', '--order', '1']);
  const conf = '/etc/vs-tools/host-monitor.conf';
  lab.on('host1', `printf 'MONITOR_POOLING=1\\nPRESSURE=evacuate memory=2 clear=1 spare=5\\n' > ${conf}`);
  await until(() => where()['web2'] === 'host2 running');
  const [saga] = JSON.parse(lab.vs(['saga', 'list', '--json']).stdout) as SagaState[];
  expect(saga).toMatchObject({
    kind: 'move',
    vserver: 'web2',
    issuer: 'orchestrator',
    args: { host: 'host2', pressure: 'host1' },
  });
  expect((await ended(saga?.id ?? '')).result).toBe('done');
  await until(() => !lab.vs(['alerts']).stdout.includes('shall move away'));
  lab.on('host1', `rm ${conf}`);
  expect(where()).toMatchObject({ web1: 'host1 running', web2: 'host2 running' });
  expect(lab.running('web2')).toEqual(['host2']);
  expect(lab.leftovers()).toEqual([]);
});
