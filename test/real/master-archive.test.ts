import { readdirSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { realLab } from './lab-kit.ts';

const lab = realLab('march');
const master = `/var/lib/vslab-${lab.name}/master`;
const kept = `/var/lib/vslab-${lab.name}/kept`;
beforeAll(() => {
  lab.up('--hosts', '1');
  lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
});
afterAll(() => lab.down());

/** `vs master` with the disk of the lab's master, which is off. */
function onItsDisk(...args: string[]): { status: number | null; text: string } {
  const env = {
    ...process.env,
    VS_STATE_DIR: `${master}/state`,
    VS_CONFIG_DIR: `${master}/etc`,
    VS_RUN_DIR: `${kept}-run`,
  };
  const ran = spawnSync(lab.cli, ['master', ...args], { encoding: 'utf8', timeout: 120_000, env });
  return { status: ran.status, text: `${ran.stdout}${ran.stderr}` };
}
const hostState = () =>
  (
    JSON.parse(lab.vs(['host', 'list', '--json'], null).stdout || '[]') as { host: string; state: string }[]
  )[0]?.state;
async function until(what: string, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 60_000; !holds(); await sleep(500))
    if (Date.now() > end) throw new Error(`${what} within 60 s`);
}

test('a master that lost its disk comes back from an archive: its host accepts it, its vserver ran on', async () => {
  const began = lab.on('host1', 'lxc-info -P /var/lib/vservers -n web1 -p -H');
  const taken = onItsDisk('backup', `${kept}/.master`, '--keep', '3'); // while it is at work
  expect([taken.status, taken.text]).toEqual([
    0,
    expect.stringMatching(/vs-master-\w+Z\.tar\.gz: \d+ files/),
  ]);
  const [file = ''] = readdirSync(`${kept}/.master`);
  lab.vs(['create', 'web2', '10.60.10.6', 'busybox', '--host', 'host1', '--start']); // the archive does not know it
  lab.vs(['lab', 'kill', 'master', '--name', lab.name]);
  for (const part of ['state', 'etc'])
    for (const entry of readdirSync(`${master}/${part}`))
      rmSync(`${master}/${part}/${entry}`, { recursive: true });

  const old = onItsDisk('restore', '--from', kept, '--at', '2020-01-01', '--yes');
  expect(old).toMatchObject({ status: 1, text: expect.stringContaining('the oldest is') as string });
  const restored = onItsDisk('restore', '--from', kept, '--yes'); // as from a repository
  expect([restored.status, restored.text]).toEqual([
    0,
    expect.stringContaining('This machine is the master as '),
  ]);
  expect(onItsDisk('restore', `${kept}/.master/${file}`, '--yes')).toMatchObject({
    status: 1,
    text: expect.stringContaining('--replace') as string,
  });
  lab.vs(['lab', 'boot', 'master', '--name', lab.name]);

  await until('host1 is online', () => hostState() === 'online');
  await until('both vservers are told', () => lab.rows().length === 2);
  expect(lab.rows().map((row) => [row.vserver, row.state])).toEqual([
    ['web1', 'running'],
    ['web2', 'running'],
  ]);
  expect(lab.on('host1', 'lxc-info -P /var/lib/vservers -n web1 -p -H')).toBe(began);
  lab.vs(['create', 'web3', '10.60.10.7', 'busybox', '--host', 'host1', '--start']);
  lab.vs(['stop', 'web2']);
  lab.vs(['remove', 'web2', '--yes']);
  expect(lab.rows().map((row) => row.vserver)).toEqual(['web1', 'web3']);
  expect(lab.vs(['get', 'web1']).stdout).toContain('The master has a copy of web1');
});
