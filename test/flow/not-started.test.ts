import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { realBroker, startVs, until } from './bus-kit.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-start-'));
const started: ChildProcess[] = [];
const broker = await realBroker();
afterAll(async () => {
  for (const child of started) child.kill('SIGKILL');
  await broker.close();
  rmSync(directory, { recursive: true });
});

function vs(words: string[], environment: NodeJS.ProcessEnv) {
  const { child, said } = startVs(words, { environment });
  started.push(child);
  const code = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { child, said, code };
}

test('a service that cannot start says why, to whoever asks, and by an alert; started again it works', async () => {
  const environment = { ...broker.environment('master'), VS_STATE_DIR: directory, VS_CONFIG_DIR: directory };
  writeFileSync(join(directory, 'owed.json'), '{"version":1,');
  const first = vs(['service', 'orchestrator'], environment);
  await until(() => first.said.text.includes('did not start'), 'the service gives up', 20_000);
  const asked = vs(['saga', 'list'], broker.environment('operator'));
  expect(await asked.code).not.toBe(0);
  expect(asked.said.text).toMatch(/the service orchestrator of master did not start: .*owed\.json/);
  const alerts = vs(['listen', 'vs/1/master/alerts/#', '--for', '20'], broker.environment('operator'));
  await until(() => alerts.said.text.includes('orchestrator/start'), 'the alert', 20_000);
  first.child.kill('SIGTERM');
  await first.code;
  rmSync(join(directory, 'owed.json'));
  const ears = await broker.raw('operator-a', ['vs/1/master/status']);
  const second = vs(['service', 'orchestrator'], environment);
  await until(() => second.said.text.includes('"running"'), 'the service runs', 20_000);
  await until(() => ears.heard.at(-1)?.body['state'] === 'online', 'it is on the bus', 20_000);
  expect(await vs(['saga', 'list'], broker.environment('operator')).code).toBe(0);
});
