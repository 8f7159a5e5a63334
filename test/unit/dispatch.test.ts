import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Handlers, createDispatcher } from '../../shared/dispatch.ts';
import { VsError } from '../../shared/errors.ts';

const name = 'host-agent.exec';
const good = { name: 'web1', command: ['true'] };
let runs: { id: string; issuer: string; resolve: (code: number) => void; reject: (error: Error) => void }[];
let faults: unknown[];
let signals: AbortSignal[];
let say: (data: Record<string, unknown>) => void;

function dispatcher() {
  const handlers: Handlers = {
    'host-agent.exec': (_args, call) =>
      new Promise((resolve, reject) => {
        runs.push({ id: call.id, issuer: call.issuer, resolve: (code) => resolve({ code }), reject });
        signals.push(call.signal);
        say = call.progress;
      }),
  };
  return createDispatcher(handlers, (error) => void faults.push(error));
}
const envelope = (more: object = {}) => ({ args: { ...good }, issuer: 'operator', ...more });

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
  runs = [];
  faults = [];
  signals = [];
});
afterEach(() => void vi.useRealTimers());

test('an id is carried out once: who asks while it runs joins with its progress, who asks later gets the answer again', async () => {
  const it = dispatcher();
  const heard: string[] = [];
  const first = it.call(name, envelope(), 'a', (data) => heard.push(`1 ${String(data['n'])}`));
  say({ n: 1 });
  const second = it.call(name, envelope(), 'a', (data) => heard.push(`2 ${String(data['n'])}`));
  say({ n: 2 });
  runs[0]?.resolve(3);
  const answer = { id: 'a', ok: true, data: { code: 3 } };
  expect(await first).toEqual(answer);
  expect(await second).toEqual(answer);
  expect(await it.call(name, envelope(), 'a')).toEqual(answer);
  expect(heard).toEqual(['1 1', '1 2', '2 2']);
  expect(runs).toHaveLength(1);
  void it.call(name, envelope(), 'b');
  expect(runs).toHaveLength(2);
});

test('who asks twice while it runs (a message that came twice) hears each word of progress once', () => {
  const it = dispatcher();
  let heard = 0;
  for (let time = 0; time < 2; time++)
    void it.call(name, envelope({ replyTo: 'vs/1/hosts/host1/replies/me' }), 'a', () => heard++);
  say({ n: 1 });
  expect(heard).toBe(1);
});

test.each([
  ['a command', name, good, 600_000],
  ['a step of a saga', 'host-agent.unlock', { name: 'web1', saga: 's1' }, 86_400_000],
])('the answer of %s is remembered: %s %o, %i ms', async (_what, command, args, keepMs) => {
  let carriedOut = 0;
  const count = async () => ({ code: carriedOut++ });
  const it = createDispatcher({ [name]: count, 'host-agent.unlock': count } as Handlers, () => undefined);
  await it.call(command, { args }, 'a');
  vi.setSystemTime(Date.now() + keepMs);
  await it.call(command, { args }, 'a');
  expect(carriedOut).toBe(1);
  vi.setSystemTime(Date.now() + 1);
  await it.call(command, { args }, 'a');
  expect(carriedOut).toBe(2);
});

test('a deadline is forgiven for a minute, then refused; a refusal is not remembered, an answer is given also late', async () => {
  const it = dispatcher();
  const now = Date.now();
  expect(await it.call(name, envelope({ deadline: now - 60_001 }), 'a')).toMatchObject({
    ok: false,
    error: { code: 'deadline', retryable: false },
  });
  expect(runs).toHaveLength(0);
  expect(faults).toHaveLength(1);
  const asked = it.call(name, envelope({ deadline: now - 60_000 }), 'a');
  expect(runs).toHaveLength(1);
  runs[0]?.resolve(0);
  await asked;
  expect(await it.call(name, envelope({ deadline: 1 }), 'a')).toMatchObject({ ok: true });
});

test('unknown commands and wrong arguments are refused with a sentence, and not remembered either', async () => {
  const it = dispatcher();
  expect(await it.call('host-agent.stop', envelope(), 'a')).toMatchObject({
    error: { code: 'usage', message: 'there is no command host-agent.stop here; there are host-agent.exec' },
  });
  expect(await it.call(name, envelope({ args: { name: '../x' } }), 'a')).toMatchObject({
    error: {
      code: 'usage',
      message: expect.stringContaining('wrong arguments of host-agent.exec: name:') as string,
    },
  });
  void it.call(name, envelope(), 'a');
  expect(runs).toHaveLength(1);
});

test('a cancel raises the signal of that run, once, for its issuer; what the handler throws then is no fault of ours', async () => {
  const it = dispatcher();
  const one = it.call(name, envelope(), 'a');
  const two = it.call(name, envelope(), 'b');
  expect(() => it.cancel(name, 'a', 'viewer')).toThrow('was asked for by operator; viewer cannot cancel it');
  expect(signals[0]?.aborted).toBe(false);
  expect(it.cancel(name, 'nobody', 'operator')).toBe(false);
  expect(it.cancel('host-agent.stop', 'a', 'operator')).toBe(false);
  expect(it.cancel(name, 'a', 'operator')).toBe(true);
  expect(it.cancel(name, 'a', 'operator')).toBe(false);
  expect(signals.map((signal) => signal.aborted)).toEqual([true, false]);
  runs[0]?.reject(new DOMException('This operation was aborted', 'AbortError'));
  const failed = {
    id: 'a',
    ok: false,
    error: { code: 'failed', message: 'host-agent.exec was given up by operator' },
  };
  expect(await one).toMatchObject(failed);
  expect(await it.call(name, envelope(), 'a')).toMatchObject(failed); // remembered like any other answer
  runs[1]?.resolve(0);
  await two;
  expect(it.cancel(name, 'b', 'operator')).toBe(false); // ended before
});

test('a handler that cannot be interrupted ends as it ends; its own sentence about the end is kept', async () => {
  const it = dispatcher();
  const one = it.call(name, envelope(), 'a');
  const two = it.call(name, envelope(), 'b');
  it.cancel(name, 'a', 'operator');
  it.cancel(name, 'b', 'operator');
  runs[0]?.resolve(5);
  runs[1]?.reject(new VsError('conflict', 'half of it is there'));
  expect(await one).toEqual({ id: 'a', ok: true, data: { code: 5 } });
  expect(await two).toMatchObject({ error: { code: 'conflict', message: 'half of it is there' } });
});

test('when the process stops, all that runs is told so', async () => {
  const it = dispatcher();
  const one = it.call(name, envelope(), 'a');
  it.abortAll();
  expect(signals[0]?.aborted).toBe(true);
  runs[0]?.reject(signals[0]?.reason as Error);
  expect(await one).toMatchObject({ error: { message: 'host-agent.exec was ended: the service stops' } });
});

test('an error that is not for people is named a fault of vs-tools', async () => {
  const it = dispatcher();
  const one = it.call(name, envelope(), 'a');
  runs[0]?.reject(new TypeError('x is undefined'));
  expect(await one).toMatchObject({
    error: { code: 'internal', message: 'an error inside vs-tools: x is undefined' },
  });
  expect(faults).toHaveLength(1);
});

test('an envelope that is none is refused, with what was expected', () => {
  expect(() => dispatcher().parse({ arguments: {} })).toThrow(/this is no command: .*expected \{"id"\?/);
});

test('what this process asks of itself is refused to others, and there is no word of it', async () => {
  const inner = { 'host-agent.unlock': () => Promise.resolve({}) } as Handlers;
  const it = createDispatcher({} as Handlers, () => undefined, inner);
  expect(() => it.refuseInner('host-agent.unlock')).toThrow(/not for others here/);
  expect(() => it.refuseInner('host-agent.lock')).not.toThrow();
  const args = { name: 'web1', saga: 'move-1' };
  expect(await it.call('host-agent.unlock', { args }, 'a')).toMatchObject({ ok: true });
  const unknown = await it.call('host-agent.lock', { args }, 'b');
  expect(JSON.stringify(unknown)).not.toContain('unlock');
});
