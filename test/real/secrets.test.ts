import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hearing } from '../../deploy/lab/lab.ts';
import { requireLab } from '../../deploy/lab/model.ts';
import { realLab } from './lab-kit.ts';

const lab = realLab('secret');
const cli = new URL('../../vs', import.meta.url).pathname;
const root = `/var/lib/vslab-${lab.name}`;
/** What must stay secret, by what it is. */
const secrets = new Map<string, string>();
const seen = { arguments: new Set<string>(), topics: '', said: '' };
const timers: NodeJS.Timeout[] = [];
let hearer: ChildProcess;

const list = (directory: string) => (existsSync(directory) ? readdirSync(directory) : []);
/** Notes each line of a file that is long enough to be one. */
function note(what: string, file: string): void {
  if (!existsSync(file) || statSync(file).isDirectory()) return;
  for (const line of readFileSync(file, 'utf8').split('\n'))
    if (line.length > 15 && !line.startsWith('-----'))
      secrets.set(`${what}: ${line.slice(0, 4)}...`, line.trim());
}
/** Command lines are everybody's to read: all that ever stood in one. */
function watchArguments(): void {
  for (const pid of list('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      seen.arguments.add(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
    } catch {
      // it has ended
    }
  }
}
/** The one-time secrets of copies are in a file of root's while rsync serves. */
function watchCopies(agents: number[]): void {
  for (const pid of agents) {
    const run = `/proc/${pid}/root/run/vs`;
    for (const entry of list(run).filter((one) => one.startsWith('.transfer-'))) {
      try {
        const [, secret] = readFileSync(join(run, entry, 'secrets'), 'utf8')
          .trim()
          .split(':');
        if (secret) secrets.set(`secret of a copy: ${secret.slice(0, 4)}...`, secret);
      } catch {
        // it is over
      }
    }
  }
}
/** Runs `vs` beside the watchers. */
async function vs(args: string[], input = ''): Promise<void> {
  const child = spawn(cli, args, { env: lab.environment, stdio: ['pipe', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stdin.end(input);
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect(code, `vs ${args.join(' ')}: ${text}`).toBe(0);
  seen.said += text;
}
const onMaster = (args: string[], input?: string) =>
  vs(['lab', 'exec', '--name', lab.name, 'master', '--', cli, ...args], input);
/** Which of the secrets a text holds. */
const held = (text: string) =>
  [...secrets].filter(([, secret]) => text.includes(secret)).map(([what]) => what);

beforeAll(async () => {
  lab.up();
  const known = await requireLab(lab.name);
  const { options, env } = await hearing(known, 'operator');
  hearer = spawn('mosquitto_sub', [...options, '-v', '-t', '#', '-t', '$SYS/#'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  hearer.stdout?.on('data', (chunk: Buffer) => (seen.topics += chunk.toString()));
  await sleep(500);
  const agents = ['host1', 'host2'].map((host) => lab.pidOf(host, 'agent'));
  timers.push(setInterval(watchArguments, 15), setInterval(watchCopies, 5, agents));
  secrets.set('planted password', 'planted-password-of-a-user');
  await onMaster(['user', 'add', 'somebody', '--role', 'viewer'], 'planted-password-of-a-user\n');
  await vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
  const slaves = (text: string) => lab.on('master', `printf '${text}' > /etc/vs-tools/slaves.conf`);
  slaves('host1\\nhost2:transport=rsyncd\\n'); // in the clear rsync itself asks for the secret of a full pass
  await vs(['move', 'web1', 'host2', '--transport', 'rsyncd', '--full']);
  slaves('host1\\nhost2\\n');
  await vs(['move', 'web1', 'host1', '--transport', 'rsyncd-tls']);
  await vs(['move', 'web1', 'host2']);
  await onMaster(['user', 'passwd', 'somebody'], 'planted-password-of-a-user2\n');
  await vs(['stop', 'web1']);
  await vs(['remove', 'web1', '--yes']);
  await vs(['events', '-n', '100', '--json']);
  await vs(['saga', 'list', '--json']);
  await vs(['audit', '--json']);
  const line = lab.vs(['host', 'token', 'host3']).stdout; // it is made to be shown, once, to who asked for it
  secrets.set('token', /--token \S+?\.\S+?\.(\S{22,})\./.exec(line)?.[1] ?? '');
  await sleep(300);
  for (const timer of timers) clearInterval(timer);
  for (const file of list(join(root, 'secrets'))) note(`password ${file}`, join(root, 'secrets', file));
  for (const node of ['master', 'host1', 'host2']) {
    note(`seal of ${node}`, join(root, node, 'state/seal.pem'));
    note(`key of ${node}`, join(root, node, 'state/tls/host.key'));
  }
  note('key of the authority', join(root, 'master/state/ca/ca.key'));
});
afterAll(() => {
  for (const timer of timers) clearInterval(timer);
  hearer.kill();
  lab.down();
});

test('the secrets of this lab are known: passwords, keys, one-time secrets', () => {
  expect([...secrets.keys()].filter((what) => what.startsWith('password')).length).toBeGreaterThan(1);
  for (const what of ['seal of host1', 'secret of a copy', 'key of host1', 'key of the authority', 'token'])
    expect([...secrets.keys()]).toContainEqual(expect.stringContaining(what));
});
test('none is in a command line', () => {
  const all = [...seen.arguments].join('\n');
  expect(all).toContain('rsync');
  expect(held(all)).toEqual([]);
});
test('none is in a topic, not even for the operator', () => {
  expect(seen.topics).toContain('transfer/open');
  expect(held(seen.topics)).toEqual([]);
});
test('none is in what commands say, in events, sagas or the audit', () => {
  expect(seen.said).toContain('transfer');
  expect(held(seen.said)).toEqual([]);
});
test('none is in a log', () => {
  for (const node of ['master', 'host1', 'host2']) {
    const files = list(join(root, node, 'log')).map((file) => join(root, node, 'log', file));
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) expect([file, ...held(readFileSync(file, 'utf8'))]).toEqual([file]);
  }
});
test('none is in a file that a plain user of a node can read', () => {
  for (const node of ['master', 'host1', 'host2']) {
    const plain = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
    const find = [
      'grep',
      '-rlaF',
      '--exclude-dir=proc',
      '--exclude=disk.img',
      '-D',
      'skip',
      ...[...secrets.values()].flatMap((one) => ['-e', one]),
    ];
    const where = ['/etc/vs-tools', '/run', '/var/lib/vs-tools', '/var/lib/vservers'];
    const run = (words: string[]) =>
      lab.vs(['lab', 'exec', '--name', lab.name, node, '--', ...words, ...where], null).stdout;
    expect(run([...find, '-e', 'ROLE=']), `root finds them on ${node}`).toContain('/host.key');
    expect(run([...plain, ...find])).toBe('');
    expect(run([...plain, 'grep', '-rlaF', '-e', 'ROLE='])).toContain('/etc/vs-tools/vs-tools.conf');
  }
});
