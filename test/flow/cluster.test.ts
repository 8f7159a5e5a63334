import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Bus } from '../../shared/bus.ts';
import { cli, realBroker, until } from './bus-kit.ts';

let net: Awaited<ReturnType<typeof realBroker>>;
let agent: Bus;
let master: Bus;
let down: number | undefined;

beforeAll(async () => {
  net = await realBroker();
  agent = await net.bus('host1', { 'host-agent.list': async () => ({ vservers: [] }) });
  master = await net.bus('master');
});
afterAll(() => net.close());
afterEach(async () => {
  if (down !== undefined) net.startNode(down);
  down = undefined;
  await net.answers(3); // each of the nodes, in turn
});

/** One of the nodes dies; the commands of the next seconds all come back, by asking again where need be. */
test.each([0, 1, 2])(
  'node %i of three is killed: clients take the next, commands and events go on',
  async (index) => {
    const ears = await net.raw('operator-cluster', ['vs/1/hosts/host1/events/+']);
    await net.killNode(index);
    down = index;
    agent.event('test', 'n', `without ${index}`);
    let answers = 0;
    const end = Date.now() + 60_000;
    while (answers < 5 && Date.now() < end) {
      const answer = await master
        .request('host1', 'host-agent.list', {}, { timeoutMs: 4000 })
        .catch((error: { code: string }) => error.code);
      if (typeof answer === 'object') answers++;
      else await sleep(200);
    }
    expect(answers).toBe(5);
    await until(
      () => ears.heard.some((one) => one.body['message'] === `without ${index}`),
      'the event',
      60_000,
    );
  },
);

test('vs, given all nodes, takes one that lives', async () => {
  await net.killNode(0);
  down = 0;
  const call = () =>
    new Promise<{ code: number; out: string }>((resolve) => {
      const env = { ...process.env, ...net.environment('operator') };
      const words = [cli, 'call', 'host1', 'host-agent.list'];
      execFile(process.execPath, words, { env, timeout: 60_000 }, (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code) : 0, out: stdout + stderr }),
      );
    });
  const end = Date.now() + 60_000;
  while ((await call()).code !== 0 && Date.now() < end) await sleep(500); // the host may have been on that node
  for (let round = 0; round < 3; round++)
    expect(await call()).toEqual({ code: 0, out: expect.stringContaining('vservers') as string });
});
