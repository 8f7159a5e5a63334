import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { connect } from '../../cli/client.ts';
import type { Bus } from '../../shared/bus.ts';
import type { Handlers } from '../../shared/dispatch.ts';
import { replyLevel } from './brokers.ts';
import { badProxy, realBroker, until } from './bus-kit.ts';

let net: Awaited<ReturnType<typeof realBroker>>;
let agent: Bus;
let master: Bus;
/** What the handler went through, and how it may end. */
const runs: { name: string; id: string; issuer: string; end: () => void; aborted: boolean }[] = [];
const handlers: Handlers = {
  'host-agent.exec': (args, call) =>
    new Promise((resolve, reject) => {
      const run = {
        name: args.name,
        id: call.id,
        issuer: call.issuer,
        end: () => resolve({ code: 7 }),
        aborted: false,
      };
      runs.push(run);
      call.signal.addEventListener('abort', () => {
        run.aborted = true;
        reject(call.signal.reason as Error);
      });
    }),
  'host-agent.unlock': async () => {
    runs.push({ name: 'unlock', id: '', issuer: '', end: () => undefined, aborted: false });
    return {};
  },
};
const topic = 'vs/1/hosts/host1/commands/host-agent/exec';
const args = { name: 'web1', command: ['true'] };
const exec = (bus: Bus, options: Parameters<Bus['request']>[3]) =>
  bus.request('host1', 'host-agent.exec', args, options);

beforeAll(async () => {
  net = await realBroker();
  agent = await net.bus('host1', handlers);
  master = await net.bus('master');
});
afterAll(() => net.close());
beforeEach(() => void (runs.length = 0));

test('a command carries its deadline; a minute past it is forgiven for the clocks, more is refused, and not remembered', async () => {
  const ears = await net.raw('operator-deadline', [
    topic,
    `vs/1/hosts/host1/replies/${replyLevel('operator-deadline')}`,
  ]);
  const before = Date.now();
  const asked = exec(master, { timeoutMs: 5000 });
  await until(() => runs.length === 1, 'the run');
  runs[0]?.end();
  expect(await asked).toEqual({ code: 7 });
  await until(() => ears.on(topic).length > 0, 'the ears'); // in a cluster a third one may hear it after the answer
  const deadline = Number(ears.on(topic)[0]?.body['deadline']);
  expect(deadline - before).toBeGreaterThanOrEqual(5000);
  expect(deadline - Date.now()).toBeLessThanOrEqual(5000);

  const replyTo = `vs/1/hosts/host1/replies/${replyLevel('operator-deadline')}`;
  await ears.send(topic, { id: 'late', replyTo, deadline: Date.now() - 65_000, args });
  await until(() => ears.on(replyTo).length === 1, 'the refusal');
  expect(ears.on(replyTo)[0]?.body).toMatchObject({ ok: false, error: { code: 'deadline' } });
  expect(ears.on(replyTo)[0]?.text).toMatch(/came 6\d s past its deadline and was not carried out.*clocks/);
  expect(runs).toHaveLength(1);
  // A clock 30 s behind is no reason; and the same id may be asked again.
  await ears.send(topic, { id: 'late', replyTo, deadline: Date.now() - 30_000, args });
  await until(() => runs.length === 2, 'the run by a slow clock');
  runs[1]?.end();
  await until(() => ears.on(replyTo).length === 2, 'its answer');
});

test('a caller that gives up ends the work where it runs, and only that; its id is remembered as failed', async () => {
  const ears = await net.raw('operator-cancel', ['vs/1/hosts/host1/events/host-agent']);
  const abort = new AbortController();
  const other = exec(master, { id: 'other' });
  const asked = exec(master, { id: 'mine', signal: abort.signal });
  await until(() => runs.length === 2, 'both runs');
  abort.abort();
  await expect(asked).rejects.toMatchObject({
    code: 'failed',
    message: 'host-agent.exec on host1 was given up',
  });
  await until(() => runs[1]?.aborted === true, 'the signal of the handler');
  expect(runs[0]?.aborted).toBe(false);
  await until(() => ears.heard.some((one) => one.body['event'] === 'cancelled'), 'the event');
  expect(ears.heard[0]?.body).toMatchObject({ id: 'mine', issuer: 'master' });
  await expect(exec(master, { id: 'mine' })).rejects.toThrow('host-agent.exec was given up by master');
  expect(runs).toHaveLength(2);
  runs[0]?.end();
  expect(await other).toEqual({ code: 7 });
  const sent = new AbortController();
  sent.abort();
  await expect(exec(master, { signal: sent.signal })).rejects.toThrow('was given up');
  await sleep(100);
  expect(runs).toHaveLength(2); // raised before: nothing is sent at all
});

test('a timeout cancels; another issuer cannot, and is told so', async () => {
  const ears = await net.raw('operator-foreign', ['vs/1/hosts/host1/events/host-agent']);
  const asked = exec(master, { id: 'long', timeoutMs: 3000 });
  const told = asked.catch((error: Error) => error.message);
  await until(() => runs.length === 1, 'the run');
  await ears.send(topic, { id: 'long', cancel: true, issuer: 'operator' });
  await until(() => ears.heard.length > 0, 'the refusal');
  expect(ears.heard[0]?.text).toMatch(/asked for by master; operator cannot cancel it/);
  expect(runs[0]?.aborted).toBe(false);
  expect(await told).toBe('host1 did not answer host-agent.exec within 3 s');
  await until(() => runs[0]?.aborted === true, 'the signal of the handler');
  await until(() => ears.heard.some((one) => one.text.includes('gave up')), 'the word about it');
  ears.heard.length = 0;
  await ears.send(topic, { id: 'long', cancel: true, issuer: 'master' }); // ended already
  await ears.send(topic, { id: 'nobody', cancel: true, issuer: 'master' });
  await ears.send(topic, { cancel: true });
  await until(() => ears.heard.some((one) => one.text.includes('a cancel is')), 'the fault of the last one');
  expect(ears.heard).toHaveLength(1); // of the others there is nothing to say
});

test("the command line's own client says a deadline and cancels as well", async () => {
  const heard = await net.raw('operator-cli', [topic]);
  const client = await connect(await net.settings('operator'));
  const abort = new AbortController();
  const given = client.request('host1', 'host-agent.exec', args, { id: 'cli1', signal: abort.signal });
  const outcome = given.catch((error: Error) => error.message);
  const late = client.request('host1', 'host-agent.exec', args, { id: 'cli2', timeoutMs: 3000 });
  const outcome2 = late.catch((error: Error) => error.message);
  await until(() => runs.length === 2, 'the runs');
  abort.abort();
  expect(await outcome).toBe('host-agent.exec on host1 was given up.');
  await until(() => runs[0]?.aborted === true, 'the signal');
  expect(runs[1]?.aborted).toBe(false);
  expect(await outcome2).toBe('host1 did not answer host-agent.exec within 3 s.');
  await until(() => runs[1]?.aborted === true, 'the signal of the late one');
  await until(() => heard.heard.length > 0, 'the ears');
  expect(Number(heard.heard[0]?.body['deadline'])).toBeGreaterThan(Date.now());
  client.close();
});

test("a clock of the command line that is two hours behind the host's holds no command up", async () => {
  const client = await connect(await net.settings('operator'));
  const now = Date.now;
  Date.now = () => now() - 7_200_000;
  const answer = client.request('host1', 'host-agent.unlock', { name: 'web1', saga: 's1' }, { id: 'behind' });
  Date.now = now; // only what the client said is late
  expect(await answer).toEqual({});
  expect(runs.map((run) => run.name)).toEqual(['unlock']);
  client.close();
});

test('calls inside a process know timeout, signal and joining too', async () => {
  const abort = new AbortController();
  const given = exec(agent, { id: 'in1', signal: abort.signal });
  const late = exec(agent, { id: 'in2', timeoutMs: 200 }).catch((error: unknown) => error);
  abort.abort();
  await expect(given).rejects.toThrow('host-agent.exec on host1 was given up');
  expect(await late).toMatchObject({ code: 'unavailable', retryable: true });
  expect(runs.map((run) => run.aborted)).toEqual([true, true]);
  await expect(exec(agent, { signal: AbortSignal.abort() })).rejects.toThrow('was given up');
  expect(runs).toHaveLength(2);
  // One who joined the work of another gives up his waiting only.
  const first = exec(master, { id: 'in3' });
  await until(() => runs.length === 3, 'the run');
  await expect(exec(agent, { id: 'in3', timeoutMs: 100 })).rejects.toMatchObject({ code: 'unavailable' });
  expect(runs[2]?.aborted).toBe(false);
  runs[2]?.end();
  expect(await first).toEqual({ code: 7 });
});

test('a message that comes twice is carried out once and answered twice', async () => {
  const replyTo = `vs/1/hosts/host1/replies/${replyLevel('operator-twice')}`;
  const ears = await net.raw('operator-twice', [replyTo]);
  const command = { id: 'twice', replyTo, issuer: 'operator', args: { name: 'web1', saga: 's1' } };
  const unlock = 'vs/1/hosts/host1/commands/host-agent/unlock';
  await ears.send(unlock, command);
  await until(() => ears.heard.length === 1, 'the first answer');
  await ears.send(unlock, command);
  await until(() => ears.heard.length === 2, 'the second answer');
  expect(ears.heard[1]?.body).toEqual(ears.heard[0]?.body);
  expect(runs).toHaveLength(1);
});

test('a caller that dies cancels nothing; its next life joins by the id', async () => {
  const first = await net.bus('master');
  const before = exec(first, { id: 'life' }).catch(() => undefined);
  await until(() => runs.length === 1, 'the run');
  await first.close();
  const asked = exec(master, { id: 'life' });
  await sleep(200);
  expect(runs).toHaveLength(1);
  expect(runs[0]?.aborted).toBe(false);
  runs[0]?.end();
  expect(await asked).toEqual({ code: 7 });
  void before;
});

test('the broker dies while a command runs: the bus asks again by the id, and so may the caller', async () => {
  const waits = exec(master, { id: 'survives', timeoutMs: 120_000 }); // NATS alone takes up to 15 s to be back
  const short = exec(master, { id: 'again', timeoutMs: 4000 });
  const outcome = short.catch((error: { code: string }) => error.code);
  const abort = new AbortController();
  const given = exec(master, { id: 'given', signal: abort.signal }).catch((error: Error) => error.message);
  await until(() => runs.length === 3, 'the runs');
  await net.kill();
  await until(() => !agent.connected && !master.connected, 'the loss');
  runs.find((run) => run.id === 'survives')?.end(); // the answer comes while nobody can be told
  expect(await outcome).toBe('unavailable');
  abort.abort();
  expect(await given).toMatch(/was given up/);
  await expect(exec(master, {})).rejects.toThrow(
    /the broker at .* is not reachable, so host1 cannot be asked/,
  );
  await net.start();
  expect(await waits).toEqual({ code: 7 });
  await until(() => runs.find((run) => run.id === 'given')?.aborted === true, 'the cancel is said late');
  expect(runs.find((run) => run.id === 'again')?.aborted).toBe(false); // no cancel for what the outage took
  const retry = exec(master, { id: 'again' });
  await sleep(300);
  runs.find((run) => run.id === 'again')?.end();
  expect(await retry).toEqual({ code: 7 });
  expect(runs).toHaveLength(3);
}, 180_000);

test('the host is back before its caller: what waits is asked again all the same', async () => {
  const proxy = await badProxy(net.dial);
  const far = await net.bus('master', {}, proxy.port);
  let ready = 0;
  far.onConnect(() => ready++);
  await until(() => ready === 1, 'the connection');
  const asked = far.request('host1', 'host-agent.exec', args, { timeoutMs: 60_000 });
  await until(() => runs.length === 1, 'the run');
  proxy.rules.down = true;
  proxy.cut();
  await until(() => !far.connected, 'the loss');
  runs[0]?.end(); // nobody hears the answer
  // The host is heard of before all that the caller needs is granted.
  proxy.rules.refused.add('vs/1/master/commands/+/+');
  proxy.rules.down = false;
  await until(() => far.connected, 'the connection');
  await sleep(300);
  proxy.rules.refused.clear();
  expect(await asked).toEqual({ code: 7 });
  expect(runs).toHaveLength(1);
  proxy.close();
});

test('a host that began another life while its caller was away is not asked again: the caller learns it', async () => {
  const proxy = await badProxy(net.dial);
  const far = await net.bus('master', {}, proxy.port);
  let ready = 0;
  far.onConnect(() => ready++);
  await until(() => ready === 1, 'the connection');
  let seen = false;
  await far.subscribe('vs/1/hosts/host2/status', () => void (seen = true));
  const host = await net.bus('host2', handlers);
  await until(() => seen, 'the caller knows this life');
  const asked = far.request('host2', 'host-agent.exec', args, { id: 'lives', timeoutMs: 60_000 });
  const outcome = asked.catch((error: Error) => error.message);
  await until(() => runs.length === 1, 'the run');
  proxy.rules.down = true;
  proxy.cut();
  await until(() => !far.connected, 'the loss');
  await host.close();
  await net.bus('host2', handlers);
  proxy.rules.down = false;
  expect(await outcome).toBe('host2 went offline before it answered');
  await until(() => ready === 2, 'the connection');
  await sleep(300);
  expect(runs).toHaveLength(1);
  proxy.close();
}, 90_000);

test('JSON that is deep or huge is refused in a sentence, and the agent goes on', async () => {
  const ears = await net.raw('operator-deep', ['vs/1/hosts/host1/events/+']);
  const say = (text: string) => ears.client.publishAsync(topic, text, { qos: 1 });
  const events = () => ears.heard.filter((one) => one.topic.startsWith('vs/1/hosts/host1/events/'));
  await say(`{"args":${'['.repeat(400_000)}${']'.repeat(400_000)}}`);
  await until(() => events().length === 1, 'the deep one');
  expect(events()[0]?.body['message']).toBe(
    `a message on ${topic} is not valid JSON: it is nested deeper than 32 levels`,
  );
  const long = 'x'.repeat(300_000);
  await say(JSON.stringify({ issuer: long, args }));
  await say(JSON.stringify({ id: long, args }));
  await say(JSON.stringify({ replyTo: long, args }));
  await say(JSON.stringify({ issuer: { deep: long }, args }));
  await say(JSON.stringify({ args: { [long]: long, name: long } }));
  await until(() => events().length === 6, 'all of them');
  for (const { text } of events()) expect(text.length).toBeLessThan(2000);
  const done = exec(master, { timeoutMs: 5000 });
  await until(() => runs.length === 1, 'the run');
  runs[0]?.end();
  expect(await done).toEqual({ code: 7 });
});
