import { afterAll, beforeAll, expect, test } from 'vitest';
import { realLab } from './lab-kit.ts';

const lab = realLab('abort');
/** Edits the lines of the hosts, of which a plan reads what counts for it. */
const slaves = (script: string) => lab.on('master', `sed -i '${script}' /etc/vs-tools/slaves.conf`);
beforeAll(() => {
  lab.up();
  lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
  lab.on('host1', 'dd if=/dev/urandom of=/var/lib/vservers/web1/rootfs/ballast bs=1M count=400 status=none');
  slaves('s/$/:bwlimit=20m/'); // so that it is in the seed still when a person aborts it
});
afterAll(() => lab.down());

test('a person aborts in the seed: undone, it never stopped, nothing is left', async () => {
  const id = await lab.begin('host2', 'seed');
  const { stdout } = lab.vs(['saga', 'abort', id]);
  expect(stdout).toMatch(/web1 stays on host1, running: .*aborted by operator/);
  expect(JSON.parse(lab.vs(['saga', 'show', id, '--json']).stdout)).toMatchObject({
    saga: { result: 'undone' },
  });
  await lab.settled('host1');
  expect(lab.running('web1')).toEqual(['host1']);
  expect(lab.leftovers()).toEqual([]);
  expect(lab.vs(['saga', 'abort', id], 1).stderr).toMatch(/has ended/);
  expect(lab.vs(['saga', 'resume', id], 1).stderr).toMatch(/is not stuck/);
});

test('a second saga on the same vserver is refused while one runs', async () => {
  const id = await lab.begin('host2', 'seed');
  expect(lab.vs(['move', 'web1', 'host2'], 1).stderr).toContain(`a saga has web1 already (move ${id})`);
  expect(lab.vs(['stop', 'web1'], 1).stderr).toContain(`web1 is locked by saga ${id}`);
  lab.vs(['saga', 'abort', id]);
  expect(lab.leftovers()).toEqual([]);
});

test('a fault in its firewall.conf is found before anything is done', () => {
  lab.on(
    'host1',
    'echo "ALLOW what ever" > /var/lib/vservers/web1/firewall.conf; echo FIREWALL=yes >> /var/lib/vservers/web1/firewall.conf',
  );
  const before = lab.vs(['saga', 'list', '--json']).stdout;
  const { stderr } = lab.vs(['move', 'web1', 'host2'], 1);
  expect(stderr).toMatch(
    /the firewall of web1 could not be in force on host2:\n\S*firewall\.conf:1:1: found "ALLOW"/,
  );
  expect(lab.vs(['saga', 'list', '--json']).stdout).toBe(before);
  expect(lab.running('web1')).toEqual(['host1']);
  expect(lab.leftovers()).toEqual([]);
  lab.on('host1', 'rm /var/lib/vservers/web1/firewall.conf');
});

test('past the point of no return it goes on until the target can start; an abort is refused', async () => {
  slaves('s/:.*//');
  // where LXC writes what went wrong: no start without it
  const log = '/var/lib/vs-tools/log/web1.log';
  lab.on('host2', `rm -f ${log}; mkdir -p ${log}`);
  const id = await lab.begin('host2', 'start');
  expect(lab.vs(['saga', 'abort', id], 1).stderr).toMatch(/past its point of no return/);
  expect(lab.running('web1')).toEqual([]);
  lab.on('host2', `rmdir ${log}`);
  expect(await lab.ended(60_000)).toMatchObject({ id, result: 'done' });
  await lab.settled('host2');
  expect(lab.running('web1')).toEqual(['host2']);
  expect(lab.leftovers()).toEqual([]);
});
