import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { PastEvent } from '../../shared/contract/host.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { ScanRow } from '../../shared/contract/orchestrator.ts';
import { realLab } from './lab-kit.ts';

const cli = new URL('../../vs', import.meta.url).pathname;
const lab = realLab('bbin');
const directory = mkdtempSync(join(tmpdir(), 'vslab-inputs-'));
const long = 'a'.repeat(33);
let before: ScanRow[];

function vs(args: string[], input?: string | Buffer) {
  const { status, stdout, stderr, error } = spawnSync(cli, args, {
    encoding: 'utf8',
    env: lab.environment,
    timeout: 60_000,
    maxBuffer: 64e6,
    ...(input === undefined ? {} : { input }),
  });
  if (error) throw error;
  return { status, stdout, stderr };
}
/** One sentence on standard error for a person, the documented exit code, and nothing else. */
function refused(args: string[], code: number, says: RegExp, input?: string | Buffer): string {
  const { status, stdout, stderr } = vs(args, input);
  const shown = args.map((arg) => arg.slice(0, 60)).join(' ');
  expect(stderr, shown).toMatch(says);
  expect(stderr, shown).toMatch(
    /^(vs|error|web9 was not created): \S[^\n]{8,}\n(Add --help to see [^\n]+\n)?$/,
  );
  expect(stderr, shown).not.toMatch(/ {4}at |node:|\[object|NaN|Zod|✖|ECONN|inside vs-tools/);
  expect(status, `${shown}: ${stderr}`).toBe(code);
  return stdout;
}
const mqtt = (user: 'operator' | 'viewer') =>
  lab.vs(['lab', 'mqtt', user, '--name', lab.name]).stdout.trim().split(/\s+/);
const pub = (topic: string, ...more: string[]) =>
  spawnSync('mosquitto_pub', [...mqtt('operator'), '-t', topic, ...more], {
    encoding: 'utf8',
    timeout: 20_000,
  });
/** The events that come of the work. */
async function eventsOf(work: () => void): Promise<PastEvent[]> {
  const child = spawn(cli, ['events', '--follow', '-n', '0', '--json'], {
    env: lab.environment,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const gone = new Promise((resolve) => child.once('close', resolve));
  const heard = () =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as PastEvent);
  /** Asks for what is not there, until each tells it: as all tell in order, what happened there before is told, too. */
  async function mark(word: string, ...nodes: string[]): Promise<void> {
    const told = (node: string) =>
      heard().some((one) => one.from === node && one.message.includes(`marker.${word}`));
    for (const end = Date.now() + 60_000; !nodes.every(told); await sleep(500)) {
      assert.ok(
        Date.now() < end,
        `${nodes.filter((node) => !told(node)).join(', ')} never told of marker.${word}`,
      );
      for (const node of nodes) {
        const target = node === 'master' ? node : `hosts/${node}`;
        pub(`vs/1/${target}/commands/marker/${word}`, '-q', '1', '-m', '{}');
      }
    }
  }
  try {
    await mark('begin', 'master', 'host1');
    work();
    await mark('end', 'master', 'host1', 'host2');
  } finally {
    child.kill('SIGTERM');
    await gone;
  }
  return heard().filter(({ service }) => service !== 'marker');
}

beforeAll(() => {
  lab.up();
  lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
  lab.vs(['create', 'web2', '10.60.10.6', 'busybox', '--host', 'host1']); // stopped
  before = lab.rows();
  assert.deepEqual(
    before.map((row) => [row.vserver, row.host, row.state]),
    [
      ['web1', 'host1', 'running'],
      ['web2', 'host1', 'stopped'],
    ],
  );
});
afterAll(() => {
  lab.down();
  rmSync(directory, { recursive: true });
});

describe('what is refused changes nothing', () => {
  afterEach(() => {
    const after = lab.rows();
    for (const row of after.filter((one) => one.vserver === 'web9'))
      vs(['remove', row.vserver ?? '', '--yes']);
    if (after.some((row) => row.vserver === 'web2' && row.state === 'running')) vs(['stop', 'web2']);
    assert.deepEqual(after, before);
  });

  test.each<[string, string[], number, RegExp]>([
    // names
    ['a move to an unknown host', ['move', 'web1', 'nohost'], 1, /no host nohost.*host1, host2/],
    ['a move of an unknown vserver', ['move', 'nope', 'host2'], 1, /no vserver nope/],
    ['a move to where it is', ['move', 'web1', 'host1'], 1, /web1 is on host1 already/],
    ['a name with ../', ['move', '../web1', 'host2'], 2, /"\.\.\/web1" is no vserver name/],
    ['a host with ../', ['move', 'web1', '../host2'], 2, /"\.\.\/host2" is no host name/],
    ['an upper-case name', ['move', 'Web1', 'host2'], 2, /"Web1" is no vserver name/],
    ['a name that is too long', ['create', long, '10.60.10.9', 'busybox'], 2, /at most 32 characters/],
    ['an empty name', ['show', ''], 2, /"" is no vserver name/],
    ['a name with a line end', ['show', 'web1\nx'], 2, /is no vserver name/],
    [
      'a name that is taken',
      ['create', 'web1', '10.60.10.9', 'busybox'],
      1,
      /a vserver web1 already, on host1/,
    ],
    ['a move to the master', ['move', 'web1', 'master'], 2, /cannot be called master/],
    ['show of an unknown one', ['show', 'nope'], 1, /no vserver nope/],
    ['show of an unknown one for programs', ['show', 'nope', '--json'], 1, /no vserver nope/],
    ['exec in an unknown one', ['exec', 'nope', '--', 'true'], 1, /no vserver nope/],
    ['start of an unknown one', ['start', 'nope'], 1, /no vserver nope/],
    ['start on an unknown host', ['start', 'web1', '--host', 'nohost'], 1, /no host nohost/],
    ['start on the wrong host', ['start', 'web1', '--host', 'host2'], 1, /web1/],
    ['remove of an unknown one', ['remove', 'nope', '--yes'], 1, /no vserver nope/],
    ['remove of one that runs', ['remove', 'web1', '--yes'], 1, /stop it first/],
    ['remove without a terminal', ['remove', 'web2'], 2, /give --yes/],
    ['exec in one that is stopped', ['exec', 'web2', '--', 'true'], 1, /web2/],
    ['an unknown saga', ['saga', 'show', 'nosuch'], 1, /nosuch/],
    ['no id of a saga', ['saga', 'abort', '../x'], 2, /"\.\.\/x" is no saga id/],
    // addresses and sources
    [
      'an address outside of every network',
      ['create', 'web9', '192.0.2.9', 'busybox'],
      1,
      /192\.0\.2\.9 is in no network/,
    ],
    ['a taken address', ['create', 'web9', '10.60.10.5', 'busybox'], 1, /10\.60\.10\.5 belongs to web1/],
    [
      'the gateway',
      ['create', 'web9', '10.60.10.1', 'busybox'],
      1,
      /10\.60\.10\.1 is the gateway of network blue/,
    ],
    ['the address of the network itself', ['create', 'web9', '10.60.10.0', 'busybox'], 1, /10\.60\.10\.0/],
    ['the broadcast address', ['create', 'web9', '10.60.10.255', 'busybox'], 1, /10\.60\.10\.255/],
    [
      'a taken IPv6 address',
      ['create', 'web9', '10.60.10.9,fd60:10::5', 'busybox'],
      1,
      /fd60:10::5 belongs to web1/,
    ],
    ['the IPv6 gateway', ['create', 'web9', '10.60.10.9,fd60:10::1', 'busybox'], 1, /fd60:10::1/],
    [
      'an IPv6 address of no network',
      ['create', 'web9', '10.60.10.9,2001:db8::9', 'busybox'],
      1,
      /2001:db8::9/,
    ],
    ['no IP address', ['create', 'web9', '10.60.10.999', 'busybox'], 2, /"10\.60\.10\.999" is no address/],
    ['a word for an address', ['create', 'web9', 'somewhere', 'busybox'], 2, /"somewhere" is no address/],
    ['a prefix of 33', ['create', 'web9', '10.60.10.9/33', 'busybox'], 2, /is no address/],
    ['an empty source', ['create', 'web9', '10.60.10.9', ''], 2, /source is empty/],
    [
      'an unknown host to create on',
      ['create', 'web9', '10.60.10.9', 'busybox', '--host', 'nohost'],
      1,
      /no host nohost/,
    ],
    [
      'a template that is to be removed and is not there',
      ['template', 'remove', 'nosuch'],
      1,
      /no template nosuch/,
    ],
    ['a tarball that is not there', ['template', 'import', '/nonexistent/x.tar'], 1, /\/nonexistent\/x\.tar/],
    // commands of services
    [
      'arguments that are no JSON',
      ['call', 'host1', 'host-agent.start', '{not json'],
      2,
      /one JSON object.*\{not json/,
    ],
    ['arguments that are a list', ['call', 'host1', 'host-agent.start', '[1]'], 2, /one JSON object/],
    ['arguments that are null', ['call', 'host1', 'host-agent.start', 'null'], 2, /one JSON object/],
    ['an unknown command', ['call', 'host1', 'host-agent.nope'], 2, /no command host-agent\.nope/],
    ['an unknown service', ['call', 'host1', 'nope.start'], 2, /no command nope\.start/],
    ['no command at all', ['call', 'host1', 'start'], 2, /"start" is no SERVICE\.COMMAND/],
    ['a command with a wildcard', ['call', 'host1', '+.#'], 2, /is no SERVICE\.COMMAND/],
    ['a call to an unknown host', ['call', 'nohost', 'host-agent.list'], 1, /no host nohost/i],
    ['a call to a wildcard', ['call', '+', 'host-agent.list'], 2, /is no host name/],
    [
      'an argument of a wrong type',
      ['call', 'host1', 'host-agent.stop', '{"name":5}'],
      2,
      /host-agent\.stop: name: .*string/,
    ],
    [
      'a name with ../ in a call',
      ['call', 'host1', 'host-agent.stop', '{"name":"../web1"}'],
      2,
      /host-agent\.stop: name: /,
    ],
    [
      'an argument that is missing',
      ['call', 'host1', 'host-agent.stop', '{}'],
      2,
      /host-agent\.stop: name: /,
    ],
    [
      'an argument too many',
      ['call', 'host1', 'host-agent.stop', '{"name":"web1","colour":"red"}'],
      2,
      /colour/,
    ],
    [
      'an epoch that the host does not own',
      ['call', 'host1', 'host-agent.start', '{"name":"web2","epoch":99}'],
      1,
      /epoch|owns/,
    ],
    [
      'a stop below zero',
      ['call', 'host1', 'host-agent.stop', '{"name":"web1","timeout":-1}'],
      2,
      /timeout: /,
    ],
    [
      'a time to wait that is none',
      ['call', 'host1', 'host-agent.list', '{}', '--timeout', 'soon'],
      2,
      /--timeout/,
    ],
    // the command line itself
    ['an unknown verb', ['frobnicate'], 2, /unknown command 'frobnicate'/],
    ['an unknown verb below a verb', ['saga', 'frobnicate'], 2, /unknown command 'frobnicate'/],
    ['an unknown flag', ['stop', 'web1', '--frobnicate'], 2, /unknown option '--frobnicate'/],
    ['a flag without its value', ['scan', '--host'], 2, /argument missing/],
    [
      'a transport that is none',
      ['move', 'web1', 'host2', '--transport', 'pigeon'],
      2,
      /rsyncd-tls, rsyncd, ssh, btrfs-send/,
    ],
    ['exec with a time that is none', ['exec', '--timeout', 'soon', 'web1', '--', 'true'], 2, /--timeout/],
    ['a missing host', ['move', 'web1'], 2, /missing required argument 'host'/],
    [
      'a missing source',
      ['create', 'web9', '10.60.10.9'],
      2,
      /no source is given, and create.conf has no TEMPLATE/,
    ],
    ['a missing name', ['show'], 2, /missing required argument 'name'/],
    ['no names to start', ['start'], 2, /--all/],
    ['names and --all', ['stop', 'web1', '--all'], 2, /not both/],
    ['exec without a command', ['exec', 'web1'], 2, /missing required argument 'command'/],
    ['call without a command', ['call', 'host1'], 2, /SERVICE\.COMMAND/],
    ['an argument too many for move', ['move', 'web1', 'host2', 'host3'], 2, /too many arguments/],
    ['an argument too many for scan', ['scan', 'web1'], 2, /too many arguments/],
  ])('%s', (_, args, code, says) => {
    expect(refused(args, code, says)).toBe('');
  });

  test('a template that does not exist: the saga is undone, and a sentence says why', () => {
    const says = /web9 was not created: .*there is no template nosuch.*Nothing of it is left on host[12]/;
    const shown = refused(['create', 'web9', '10.60.10.9', 'nosuch'], 1, says);
    expect(shown).toMatch(/^web9: new on host[12], 10\.60\.10\.9 in network blue, from nosuch\n/);
  });

  test('an argument as large as the kernel lets through is answered by the agent, in a short sentence', () => {
    const args = ['call', 'host1', 'host-agent.stop', `{"name":"${'a'.repeat(120_000)}"}`];
    refused(args, 2, /host-agent\.stop: name: a name has at most 32 characters/);
    expect(vs(args).stderr.length).toBeLessThan(1000);
  });

  test('2 MB for exec -i, more than a message holds, arrive', () => {
    expect(vs(['exec', '-i', 'web1', '--', 'wc', '-c'], 'a'.repeat(2_000_000)).stdout.trim()).toBe('2000000');
  });

  test('2 MB by mosquitto_pub: the sender is ended, nothing comes of it, and others go on', async () => {
    const file = join(directory, 'large');
    writeFileSync(file, `{"args":{"name":"web1"},"x":"${'a'.repeat(2_000_000)}"}`);
    const events = await eventsOf(() => {
      expect(pub('vs/1/hosts/host1/commands/host-agent/stop', '-q', '1', '-f', file).status).not.toBe(0);
      expect(vs(['host', 'list']).status).toBe(0);
    });
    expect(events).toEqual([]);
  });

  test.each([
    ['no JSON', 'hosts/host1/commands/host-agent/stop', 'stop web1', /is not valid JSON/],
    ['no JSON for the master', 'master/commands/orchestrator/move', '{"args":', /is not valid JSON/],
    ['a list', 'hosts/host1/commands/host-agent/stop', '["web1"]', /this is no command/],
    [
      'a name at the wrong place',
      'hosts/host1/commands/host-agent/stop',
      '{"name":"web1"}',
      /Unrecognized key.*name/,
    ],
    [
      'a name with ../',
      'hosts/host1/commands/host-agent/stop',
      '{"args":{"name":"../web1"}}',
      /wrong arguments/,
    ],
    [
      'an unknown service',
      'hosts/host1/commands/nope/stop',
      '{"args":{"name":"web1"}}',
      /no command nope\.stop/,
    ],
    ['a wrong type', 'hosts/host1/commands/host-agent/stop', '{"args":{"name":["web1"]}}', /wrong arguments/],
    [
      'past its deadline',
      'hosts/host1/commands/host-agent/stop',
      '{"deadline":1,"args":{"name":"web1"}}',
      /deadline/,
    ],
  ])(
    '%s on a command topic by mosquitto_pub: an event says what is wrong',
    async (_, topic, message, says) => {
      const events = await eventsOf(() =>
        expect(pub(`vs/1/${topic}`, '-q', '1', '-m', message).status).toBe(0),
      );
      expect(events).toHaveLength(1);
      const { message: sentence } = events[0] as PastEvent;
      expect(sentence).toMatch(says);
      expect(sentence).not.toMatch(/\n| {4}at /);
    },
  );

  test('a command that stands retained is not carried out when the agent comes back', async () => {
    const topic = 'vs/1/hosts/host2/commands/network/list';
    lab.vs(['lab', 'kill', 'host2', '--name', lab.name]);
    expect(pub(topic, '-q', '1', '-r', '-m', '{}').status).toBe(0);
    const events = await eventsOf(() => {
      lab.vs(['lab', 'boot', 'host2', '--name', lab.name]);
      for (let tries = 0; vs(['call', 'host2', 'host-agent.list']).status !== 0; tries++)
        assert.ok(tries < 60, 'host2 comes back');
    });
    expect(pub(topic, '-q', '1', '-r', '-n').status).toBe(0);
    expect(events.filter((one) => one.message.includes('network.list'))).toEqual([]);
  });
});

describe('exec', () => {
  test('passes both outputs and the exit code', () => {
    expect(vs(['exec', 'web1', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7'])).toEqual({
      status: 7,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    for (const code of [0, 1, 2, 3, 4, 255]) {
      const { status, stderr } = vs(['exec', 'web1', '--', 'sh', '-c', `exit ${code}`]);
      expect([status, stderr]).toEqual([code, '']);
    }
  });

  test('no shell sees the words: they arrive as they were given', () => {
    const words = ['a b', '$(id)', '"', "'", '\\n', '*', '--json', '', 'ü'];
    const { stdout } = vs([
      'exec',
      'web1',
      '--',
      'sh',
      '-c',
      'for a in "$@"; do echo "<$a>"; done',
      'x',
      ...words,
    ]);
    expect(stdout).toBe(words.map((word) => `<${word}>\n`).join(''));
  });

  test('a large output arrives whole, and in order', () => {
    const { stdout, status } = vs(['exec', 'web1', '--', 'seq', '1', '200000']);
    expect(status).toBe(0);
    expect(stdout).toBe(Array.from({ length: 200_000 }, (_, n) => `${n + 1}\n`).join(''));
  });

  test('-i: the standard input arrives as it is, text and bytes', () => {
    expect(vs(['exec', '-i', 'web1', '--', 'cat'], 'hello\n').stdout).toBe('hello\n');
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
    const hex = vs(['exec', '-i', 'web1', '--', 'sh', '-c', "od -An -v -tx1 | tr -d ' \\n'"], bytes).stdout;
    expect(hex).toBe(bytes.toString('hex'));
  });

  test.each([
    ['by the master', []],
    ['straight to its host', ['--host', 'host1']],
  ])('-i: 500 kB arrive whole, %s', (_, where) => {
    const { stdout, stderr } = vs(['exec', '-i', ...where, 'web1', '--', 'wc', '-c'], 'a'.repeat(500_000));
    expect([stdout.trim(), stderr]).toEqual(['500000', '']);
  });

  test('a command that is not there', () => {
    const { status, stderr } = vs(['exec', 'web1', '--', '/no/such/command']);
    expect(status).toBe(127);
    expect(stderr).toMatch(/no\/such\/command/);
  });
});

describe('for people and for programs', () => {
  test('version', () => {
    expect(vs(['version'])).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^vs-tools \d+\.\d+\.\d+\n$/),
      stderr: '',
    });
  });

  test('call --list names every command, and each line is a sentence', () => {
    const { status, stdout } = vs(['call', '--list']);
    expect(status).toBe(0);
    for (const name of [
      'host-agent.start',
      'orchestrator.move',
      'transfer.open',
      'network.list',
      'template.build',
    ])
      expect(stdout).toContain(`${name} `);
    for (const line of stdout.trim().split('\n').slice(1))
      expect(line).toMatch(/^\S+ +(host|master) +\S+ \S+|^ {4}(takes|answers) +\S/);
    expect(vs(['call', '--list', 'host-agent.enable']).stdout).toMatch(
      /takes {4}\{ name: Name, saga\?: Id \}\n {4}answers {2}VserverState\n$/,
    );
    const [one] = JSON.parse(vs(['call', '--list', 'network.list', '--json']).stdout);
    expect(one).toMatchObject({ command: 'network.list', scope: 'host', args: {}, data: { type: 'object' } });
    expect(vs(['call', '--list', 'nothing'])).toMatchObject({ status: 1, stdout: '' });
  });

  // each of them, in one process: test/unit/help
  test.each([[[]], [['move']], [['backup', 'run']]])('vs %s --help answers with examples', (words) => {
    const { status, stdout, stderr } = vs([...words, '--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^Examples:\n {2}\S/m);
  });

  const newest = () =>
    (JSON.parse(vs(['saga', 'list', '--json']).stdout) as SagaState[]).find((one) => one.result === 'done')
      ?.id ?? '';
  test.each<[string, () => string[]]>([
    ['host list', () => ['host', 'list']],
    ['scan', () => ['scan']],
    ['scan --name', () => ['scan', '--name', 'web1']],
    ['scan of what is not there', () => ['scan', '--name', 'nope']],
    ['show', () => ['show', 'web1']],
    ['template list', () => ['template', 'list']],
    ['saga list', () => ['saga', 'list']],
    ['saga show', () => ['saga', 'show', newest()]],
    ['saga follow', () => ['saga', 'follow', newest()]],
    ['create --dry-run', () => ['create', 'web9', '10.60.10.9', 'busybox', '--dry-run']],
    ['move --dry-run', () => ['move', 'web1', 'host2', '--dry-run']],
    ['remove --dry-run', () => ['remove', 'web2', '--dry-run']],
    ['lab status', () => ['lab', 'status', '--name', lab.name]],
    ['lab probe', () => ['lab', 'probe', '10.60.10.5:80', '--for', '1s', '--name', lab.name]],
    ['version', () => ['version']],
    ['call --list', () => ['call', '--list']],
    ['enable', () => ['enable', 'web2']],
    ['disable', () => ['disable', 'web2']],
    ['start', () => ['start', 'web2']],
    ['restart', () => ['restart', 'web2']],
    ['stop', () => ['stop', 'web2']],
    ['create', () => ['create', 'web3', '10.60.10.7', 'busybox', '--host', 'host1']],
    [
      'create --no-follow',
      () => ['create', 'web4', '10.60.10.8', 'busybox', '--host', 'host1', '--no-follow'],
    ],
    ['move', () => ['move', 'web3', 'host2']],
    ['remove', () => ['remove', 'web3', '--yes']],
  ])('%s --json is JSON, and nothing else', (_, args) => {
    const { status, stdout, stderr } = vs([...args(), '--json']);
    expect([status, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toBeTypeOf('object');
  });

  test('every verb that prints takes --json', () => {
    const verbs = [
      'template build',
      'template import',
      'template remove',
      'saga abort',
      'saga resume',
      'events',
    ];
    const without = verbs.filter((verb) => !vs([...verb.split(' '), '--help']).stdout.includes('--json'));
    expect(without).toEqual([]);
  });

  test('call prints JSON, events --json one object a line', async () => {
    expect(JSON.parse(vs(['call', 'host1', 'host-agent.list']).stdout)).toMatchObject({
      vservers: expect.any(Array),
    });
    const events = await eventsOf(() => {
      vs(['start', 'web2']);
      vs(['stop', 'web2']);
    });
    expect(events.map((one) => one.event)).toEqual(expect.arrayContaining(['started', 'stopped']));
  });
});
