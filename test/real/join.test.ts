import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { realLab } from './lab-kit.ts';

const lab = realLab('t-join');
beforeAll(() => lab.up('--hosts', '1'));
afterAll(() => lab.down());

interface Listed {
  host: string;
  state: string;
  certificate?: { serial: string };
}
const listed = () => (JSON.parse(lab.vs(['host', 'list', '--json']).stdout) as Listed[])[0];
/** Online with a certificate that was not shown before. */
async function online(...before: (Listed | undefined)[]): Promise<Listed | undefined> {
  for (const end = Date.now() + 90_000; ; await sleep(300)) {
    const now = listed();
    const { serial } = now?.certificate ?? {};
    if (now?.state === 'online' && serial && !before.some((one) => one?.certificate?.serial === serial))
      return now;
    if (Date.now() > end)
      throw new Error(`host1 is not online with a new certificate: ${JSON.stringify(now)}`);
  }
}
const command = new URL('../../vs', import.meta.url).pathname;

test('a host of a lab is renewed, removed, and joins again by the line of vs host token, its agent running on', async () => {
  const first = await online();
  expect(lab.vs(['host', 'renew', 'host1']).stdout).toContain('host1 has a new certificate');
  const second = await online(first);
  expect(lab.vs(['host', 'list']).stdout).toMatch(/^host1 +online .* \d{4}-\d\d-\d\d$/m);
  lab.vs(['host', 'remove', 'host1', '--yes']);
  expect(lab.vs(['host', 'list']).stdout).not.toContain('online');
  const line = lab.vs(['host', 'token', 'host1']).stdout.trim();
  expect(line).toMatch(/^vs join 10\.98\.0\.1 --token host1\./);
  const onHost = ['lab', 'exec', '--name', lab.name, 'host1', '--', command, ...line.split(' ').slice(1)];
  const ran = spawnSync(command, onHost, { encoding: 'utf8', timeout: 60_000 });
  expect([ran.status, ran.stderr]).toEqual([0, '']);
  const third = await online(first, second); // the agent ran on, and takes what lies there at its next attempt
  expect(third?.host).toBe('host1');
});
