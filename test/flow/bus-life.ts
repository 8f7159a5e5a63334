// One life of a bus with its files, which a test can end by SIGKILL. Each line of its input is a call of the bus as
// JSON: [method, ...arguments]; it is answered by `ok`. VS_KEY settings and BUS_TARGET are in the environment.
import { createInterface } from 'node:readline';
import { loadSettings } from '../../config/settings.ts';
import { connectBus } from '../../shared/bus.ts';
import { createDispatcher } from '../../shared/dispatch.ts';
import { createLog } from '../../shared/log.ts';

const target = process.env['BUS_TARGET'] ?? '';
const bus = connectBus({
  settings: loadSettings({ file: '/nonexistent' }),
  target,
  dispatcher: createDispatcher({}, () => undefined),
  log: createLog('fatal', target),
  keep: 'life',
});
bus.onConnect(() => process.stdout.write('connected\n'));
const calls = {
  event: (...words: unknown[]) => bus.event(...(words as [string, string, string])),
  retain: (...words: unknown[]) => bus.retain(...(words as [string, object | null])),
  alert: (...words: unknown[]) => bus.alert(...(words as [string, string, never])),
  close: () => bus.close(),
};
for await (const line of createInterface({ input: process.stdin })) {
  const [method, ...words] = JSON.parse(line) as [keyof typeof calls, ...unknown[]];
  await calls[method](...words);
  process.stdout.write('ok\n');
}
