import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import type { Identity } from '../../broker/access.ts';
import { openAuditFile } from '../../broker/audit-file.ts';
import { openAudit } from '../../broker/audit.ts';
import { auditTable } from '../../cli/verbs/audit.ts';
import { readAudit } from '../../services/orchestrator/audit.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-audit-'));
const file = join(directory, 'audit.jsonl');
const who: Identity = { name: 'anna', role: 'operator', clientId: 'anna-1', address: '10.98.0.66' };
const topic = 'vs/1/hosts/host1/commands/host-agent/start';
const replyTo = 'vs/1/hosts/host1/replies/anna-1';
const results = () =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { id?: string; result: string; message?: string })
    .map((one) => [one.id, one.result, ...(one.message ? [one.message] : [])]);
afterAll(() => rmSync(directory, { recursive: true }));

test('what is never answered ends as none; a reply of another target ends nothing; the end of the broker leaves nothing out', async () => {
  const audit = openAudit({ file, base: 'vs/1', onFault: () => undefined, wait: 100 });
  audit.command(who, topic, JSON.stringify({ id: 'a', replyTo }), false);
  audit.reply('vs/1/hosts/host2/replies/anna-1', JSON.stringify({ id: 'a', ok: true }));
  audit.command(who, topic, JSON.stringify({ id: 'b', replyTo: 'vs/1/hosts/host2/replies/anna-1' }), false);
  audit.command(who, topic, JSON.stringify({ replyTo }), false);
  audit.reply(replyTo, JSON.stringify({ id: 'given', progress: { say: '"ok"' } }));
  audit.reply(replyTo, JSON.stringify({ id: 'given', ok: false, error: { code: 'usage', message: 'no' } }));
  audit.command(who, 'vs/1/hosts/host1/status', '{}', false);
  await sleep(300);
  audit.command(who, topic, JSON.stringify({ id: 'last', replyTo }), false);
  await audit.close();
  expect(results()).toEqual([
    ['b', 'none'],
    [undefined, 'usage', 'no'],
    ['a', 'none'],
    ['last', 'none', 'the broker ended'],
  ]);
});

test('a disk that takes nothing is said once, and again when it does; what waited is there, in order', async () => {
  const heard: string[] = [];
  const folder = join(directory, 'later');
  const lines = openAuditFile({
    file: join(folder, 'a'),
    full: 1000,
    keep: 1,
    onFault: (message) => void heard.push(message),
  });
  lines.add('one\n');
  await sleep(1300);
  lines.add('two\n');
  expect(heard).toEqual([expect.stringMatching(/cannot be written \(ENOENT/)]);
  mkdirSync(folder);
  await sleep(1300);
  await lines.close();
  expect(heard.slice(1)).toEqual([`${join(folder, 'a')} is written again`]);
  expect(readFileSync(join(folder, 'a'), 'utf8').trimStart()).toBe('one\ntwo\n');
});

test('the table fits 80 columns whatever stands in it', () => {
  const long = {
    ts: 0,
    user: 'u'.repeat(32),
    from: 'fd60:10:1234:5678:9abc:def0:1234:5678',
    clientId: 'x',
    target: 't'.repeat(32),
    command: `${'c'.repeat(30)}.\u001b[2J`,
    args: {},
    result: 'unavailable',
  };
  for (const line of auditTable([long]).split('\n')) {
    expect(line.length).toBeLessThanOrEqual(80);
    expect(line).not.toContain('\u001b');
  }
});

test('what was sent in one millisecond is shown in the order in which it was sent, however it ended', async () => {
  const state = join(directory, 'ties');
  mkdirSync(state);
  const line = (n: number, id: string, result: string) =>
    `${JSON.stringify({ ts: 1000, n: `life-${n}`, user: 'anna', from: '10.98.0.66', clientId: 'anna-1', target: 'host1', command: 'host-agent.stop', args: {}, id, result })}\n`;
  const lines = [line(9, 'a', 'none'), line(11, 'c', 'ok'), line(10, 'b', 'ok')];
  writeFileSync(join(state, 'audit.jsonl'), lines.join(''));
  expect((await readAudit(state, {})).map(({ id }) => id)).toEqual(['a', 'b', 'c']);
  writeFileSync(join(state, 'audit.jsonl'), lines.join('').replaceAll(/"n":"life-\d+",/g, ''));
  expect((await readAudit(state, {})).map(({ id }) => id)).toEqual(['a', 'c', 'b']); // as they lie in the file
});
