import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { down, mqttOptions, up } from '../../deploy/lab/lab.ts';
import { type Lab, nodeOf, paths } from '../../deploy/lab/model.ts';
import { bootNode, killNode } from '../../deploy/lab/node.ts';
import { status } from '../../deploy/lab/status.ts';
import type { Status } from '../../shared/contract/host.ts';

const name = 't-bus';

/** What any client of this machine sees of the states of master and hosts, of those that were told after a moment. */
async function seen(lab: Lab, since = 0): Promise<Record<string, string>> {
  const topics = ['-t', 'vs/1/master/status', '-t', 'vs/1/hosts/+/status'];
  const argv = [...(await mqttOptions(lab, 'viewer')), ...topics, '-q', '1', '-F', '%t %p', '-W', '2'];
  const { stdout } = spawnSync('mosquitto_sub', argv, { encoding: 'utf8', timeout: 20_000 });
  const found: Record<string, string> = {};
  for (const line of stdout.split('\n').filter(Boolean)) {
    const [topic = '', ...rest] = line.split(' ');
    const { state, ts } = JSON.parse(rest.join(' ')) as Status;
    if (ts > since) found[topic.split('/').at(-2) ?? ''] = state;
  }
  return found;
}

/** Asks until it is so, for at most a minute; the last answer. */
async function becomes(lab: Lab, node: string, state: string, since = 0): Promise<string | undefined> {
  const until = Date.now() + 60_000;
  for (;;) {
    const now = (await seen(lab, since))[node];
    if (now === state || Date.now() > until) return now;
    await sleep(200);
  }
}

describe('the bus of a lab', () => {
  let lab: Lab;
  beforeAll(async () => {
    await down(name);
    lab = await up({ name });
  });
  afterAll(async () => {
    await down(name);
  });

  it('shows master and hosts online to a client of this machine', async () => {
    expect(await seen(lab)).toEqual({ master: 'online', host1: 'online', host2: 'online' });
  });

  it('refuses a wrong password, and keeps passwords and the keys of its nodes in files of mode 0600', async () => {
    const options = await mqttOptions(lab, 'viewer');
    options[options.indexOf('-P') + 1] = 'wrong';
    const argv = [...options, '-t', 'vs/1/#', '-C', '1', '-W', '5'];
    const { status: code } = spawnSync('mosquitto_sub', argv, { timeout: 20_000 });
    expect(code).not.toBe(0);
    const keys = ['master', 'host1'].map((node) => `${paths(name).node(node)}/state/tls/host.key`);
    const words = ['operator', 'viewer'].map((user) => paths(name).secret(user));
    for (const file of [...words, ...keys, `${paths(name).node('master')}/state/ca/ca.key`]) {
      expect(statSync(file).mode & 0o777).toBe(0o600);
    }
  });

  it('is back after a kill -9 of the broker, and so are the states', async () => {
    const master = (await status(lab)).nodes.find((node) => node.name === 'master');
    const broker = master?.processes.find((one) => one.name === 'broker');
    const killed = Date.now();
    process.kill(broker?.pid ?? -1, 'SIGKILL');
    // what the broker had kept on its disk is online, too
    expect(await becomes(lab, 'host1', 'online', killed)).toBe('online');
    expect(await becomes(lab, 'master', 'online', killed)).toBe('online');
  });

  it('tells of a host that lost its power, and of one that is back', async () => {
    await killNode(lab, nodeOf(lab, 'host2'));
    expect(await becomes(lab, 'host2', 'offline')).toBe('offline');
    await bootNode(lab, nodeOf(lab, 'host2'));
    expect(await becomes(lab, 'host2', 'online')).toBe('online');
  });

  it('takes a further host in, with the master off before', async () => {
    await killNode(lab, nodeOf(lab, 'master'));
    lab = await up({ name, hosts: 3 });
    expect(await seen(lab)).toMatchObject({ master: 'online', host3: 'online' });
  });
});
