import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { type Heard, contractJudge, fullFilter, line, pretty } from '../../cli/verbs/listen.ts';
import { channels } from '../../shared/contract/channels.ts';
import { VsError } from '../../shared/errors.ts';

const cli = new URL('../../cli/main.ts', import.meta.url).pathname;

test.each([
  ['hosts/+/status', 'vs/1/hosts/+/status'],
  ['vs/1/hosts/+/status', 'vs/1/hosts/+/status'],
  ['#', 'vs/1/#'],
  ['vs/1', 'vs/1/#'],
  ['vs/1/#', 'vs/1/#'],
  ['vs/10/x', 'vs/1/vs/10/x'],
  ['+/status', 'vs/1/+/status'],
  ['$SYS/#', '$SYS/#'],
])('the filter %s is sent as %s', (text, full) => {
  expect(fullFilter('vs/1', text)).toBe(full);
});
test.each(['', '#/x', 'a/#/b', 'a#', 'a/b+', 'a/+b/c', 'a\nb', 'a\0', 'x'.repeat(1001)])(
  '%j is no filter',
  (text) => {
    expect(() => fullFilter('vs/1', text)).toThrow(VsError);
  },
);

describe('what the contract says of a message', async () => {
  const judge = await contractJudge();
  const state = channels['vserverState']?.example as object;
  const topic = 'hosts/host1/vservers/web1/state';

  test('what fits has no fault; new keys of a state are none', () => {
    expect(judge(topic, state, true)).toEqual({ schema: 'VserverState', faults: [] });
    expect(judge(topic, { ...state, later: 1 }, false).faults).toEqual([]);
  });
  test.each([
    [topic, { ...state, epoch: 'three' }, false, /^epoch: /],
    [topic, { ...state, limits: { cpu: -1 } }, true, /^limits\.cpu: /],
    [topic, [], false, /^the payload: /],
    [topic, undefined, false, /^it is not JSON$/],
    ['hosts/host1/metrics', null, false, /^it is empty$/],
    ['hosts/host1/metrics', { cpu: { user: 1 } }, false, /^cpu: /],
    ['hosts/host1/metrics', { cpu_pct: 1 }, true, /^it is retained/],
    ['hosts/host1/nosuch', {}, false, /no such topic/],
    ['hosts/host1/commands/host-agent/stop', { args: { name: 'web1', time: 1 } }, false, /^args: .*time/],
    ['hosts/host1/commands/host-agent/stop', {}, false, /^args\.name: /],
    ['hosts/host1/commands/host-agent/stop', { name: 'web1' }, false, /^the payload: .*name/],
    ['hosts/host1/commands/host-agent/fly', {}, false, /^there is no command host-agent\.fly of hosts$/],
    [
      'hosts/host1/commands/orchestrator/move',
      {},
      false,
      /^there is no command orchestrator\.move of hosts$/,
    ],
    ['hosts/host1/commands/toString/x', {}, false, /^there is no command/],
  ])('%s %j is marked', (where, payload, retained, fault) => {
    expect(judge(where, payload, retained).faults).toEqual([expect.stringMatching(fault)]);
  });
  test('an empty payload is told by its meaning', () => {
    expect(judge(topic, null, false)).toMatchObject({
      faults: [],
      empty: 'the vserver is gone from this host',
    });
  });
});

describe('what is printed', () => {
  const at = new Date(2026, 10, 25, 9, 5, 3, 42).getTime();
  const one: Heard = { at, topic: 'a/b', retained: false, schema: 'Event', faults: [], payload: { x: 1 } };

  test('one line: local time, topic, payload; cut at the width, but not what is wrong', () => {
    expect(line(one, 80)).toBe('09:05:03.042  a/b  {"x":1}');
    expect(line({ ...one, retained: true }, 80)).toBe('09:05:03.042  a/b  (retained) {"x":1}');
    const long = { ...one, payload: { text: 'x'.repeat(200) } };
    expect(line(long, 80)).toHaveLength(80);
    expect(line(long, 80)).toMatch(/x\.\.\.$/);
    const fault = 'f'.repeat(90);
    expect(line({ ...long, faults: [fault, 'also'] }, 80)).toContain(`! ${fault}; also  {"text":"xxxxx`);
    expect(line({ ...one, payload: undefined }, 80)).toContain('(not JSON)');
    expect(line({ ...one, payload: null, empty: 'resolved' }, 80)).toContain('(empty: resolved)');
  });
  test('several lines: schema, what is wrong, payload', () => {
    expect(pretty({ ...one, retained: true, faults: ['x: bad'] })).toBe(
      '09:05:03.042  a/b  Event, retained\n  ! x: bad\n  {\n    "x": 1\n  }',
    );
  });
  test('nothing that a terminal would obey', () => {
    const evil = 'a\u001b[2J\u009b31m\u202e\r\nb';
    const message = { ...one, topic: evil, faults: [evil], payload: { [evil]: evil } };
    expect(line(message, 500)).toMatch(/^[^\p{Cc}\p{Cf}]+$/u);
    expect(pretty(message)).toMatch(/^([^\p{Cc}\p{Cf}]|\n)+$/u);
  });
});

test('vs scan loads neither zod nor the contract; vs listen does', () => {
  const hook = `data:text/javascript,import{registerHooks}from'node:module';import{writeSync}from'node:fs';
    registerHooks({load(url,context,next){writeSync(2,url+'\\n');return next(url,context)}})`;
  const loaded = (...words: string[]) =>
    spawnSync(process.execPath, ['--import', hook, cli, ...words], {
      encoding: 'utf8',
      env: { ...process.env, VS_CONFIG_DIR: '/nonexistent', VS_BROKER_URL: 'unix:///nonexistent/none.sock' },
    }).stderr;
  const heavy = /node_modules\/zod\/|contract\/(channels|commands|named)\.ts/;
  expect(loaded('scan')).toMatch(/verbs\/scan\.ts/);
  expect(loaded('scan')).not.toMatch(heavy);
  expect(loaded('listen', '--help')).not.toMatch(heavy);
  expect(loaded('listen', '#')).toMatch(heavy);
});

test('vs topics fits into 80 columns and needs no broker', () => {
  const { status, stdout } = spawnSync(process.execPath, [cli, 'topics'], {
    encoding: 'utf8',
    env: { ...process.env, VS_CONFIG_DIR: '/nonexistent', VS_BROKER_URL: 'unix:///nonexistent/none.sock' },
  });
  expect(status).toBe(0);
  const lines = stdout.split('\n');
  expect(lines.filter((one) => one.length > 80)).toEqual([]);
  for (const { topic } of Object.values(channels)) expect(stdout).toContain(`${topic} `);
  const json = spawnSync(process.execPath, [cli, 'topics', '--json'], {
    encoding: 'utf8',
    env: { ...process.env, VS_CONFIG_DIR: '/nonexistent', VS_BASE_TOPIC: 'pool/7' },
  });
  const all = JSON.parse(json.stdout) as { topic: string; qos: number; payload: string | null }[];
  expect(all).toHaveLength(Object.keys(channels).length);
  expect(all[0]).toMatchObject({ topic: 'pool/7/hosts/{host}/status', qos: 1, payload: 'Status' });
});
