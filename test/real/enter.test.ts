import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realLab } from './lab-kit.ts';

const lab = realLab('enter');
const directory = mkdtempSync(join(tmpdir(), 'vslab-enter-'));
const at = (...parts: string[]) => join(directory, ...parts);
const inside = (script: string, expected: number | null = 0) =>
  lab.vs(['exec', 'web1', '--', 'sh', '-c', script], expected).stdout;
const rootfs = '/var/lib/vservers/web1/rootfs';
/** Processes of the host that a session has. */
const sessions = () => lab.on('host1', 'ps -eo args | grep -c "[s]ession.pl" || true').trim();

beforeAll(() => {
  writeFileSync(at('tmux.conf'), 'set -g status off\nset -g default-terminal xterm-256color\n');
  lab.up('--hosts', '1');
  lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
});
afterAll(() => {
  tmux('kill-server');
  lab.down();
  rmSync(directory, { recursive: true });
});

/** A terminal of its own, in which a person types. */
let session = 't0';
const tmux = (...words: string[]) =>
  spawnSync('tmux', ['-L', 'vslab-enter', '-f', at('tmux.conf'), ...words], {
    encoding: 'utf8',
    env: { ...lab.environment, TERM: 'xterm-256color', LANG: 'C.UTF-8' },
  }).stdout;
const screen = (...flags: string[]) => tmux('capture-pane', '-p', '-t', session, ...flags);
const type = (...keys: string[]) => tmux('send-keys', '-t', session, ...keys);
const expectShown = (what: RegExp | string, ...flags: string[]) =>
  expect.poll(() => screen(...flags), { timeout: 15_000, interval: 100 }).toMatch(what);
function terminal(...words: string[]): void {
  session = `t${Number(session.slice(1)) + 1}`; // the server of the one before may just be ending
  tmux('new-session', '-d', '-s', session, '-x', '90', '-y', '25', 'bash', '--norc', '--noprofile');
  type(
    `PS1='near> '; clear; stty -g > ${at('before')}; ${lab.cli} ${words.join(' ')}; echo "it was $?"; stty -g > ${at('after')}`,
    'Enter',
  );
}
const expectRestored = () =>
  expect
    .poll(() => existsSync(at('after')) && readFileSync(at('after'), 'utf8'), { timeout: 10_000 })
    .toBe(readFileSync(at('before'), 'utf8'));

describe('vs enter', () => {
  test('a shell at a real terminal: size, resize, colours, ctrl-C, ctrl-D and its exit code', async () => {
    terminal('enter', 'web1');
    await expectShown(/^~ #$/m);
    type('tty; stty size; echo "$TERM in $(hostname) at $(pwd)"', 'Enter');
    await expectShown(/^\/dev\/pts\/\d+\n25 90\nxterm-256color in web1 at \/root$/m);
    tmux('resize-window', '-t', session, '-x', '110', '-y', '33');
    type('stty size', 'Enter');
    await expectShown(/^33 110$/m);
    type(String.raw`printf '\033[31mred\033[0m plain\n'`, 'Enter');
    await expect.poll(() => screen('-e'), { timeout: 15_000 }).toContain('\u001b[31mred');
    type('sleep 7654321', 'Enter');
    await expect
      .poll(() => lab.on('host1', 'pgrep -fc "sleep 765432[1]" || true').trim(), { timeout: 15_000 })
      .toBe('1');
    type('C-c');
    await expect
      .poll(() => lab.on('host1', 'pgrep -fc "sleep 765432[1]" || true').trim(), { timeout: 15_000 })
      .toBe('0');
    type('sh -c "exit 7"', 'Enter', 'C-d');
    await expectShown(/it was 7/);
    await expectRestored();
    expect(sessions()).toBe('0');
  });

  test('from the host itself, as another user, a program of its own', async () => {
    const operator = [
      'VS_BROKER_URL=mqtts://10.98.0.1:8883',
      'VS_BROKER_USER=operator',
      `VS_BROKER_PASSWORD_FILE=/var/lib/vslab-${lab.name}/secrets/operator`,
    ];
    terminal(
      'lab',
      'exec',
      '--name',
      lab.name,
      'host1',
      '--',
      'env',
      ...operator,
      lab.cli,
      'enter',
      '--user',
      '1234',
      'web1',
      '--',
      'sh',
      '-c',
      `'id -u; exit 3'`,
    );
    await expectShown(/^1234\s+it was 3/m);
  });

  test('the connection breaks: it says so, the terminal is as it was, and nothing is left on the host', async () => {
    rmSync(at('after'), { force: true });
    terminal('enter', 'web1');
    await expectShown(/^~ #$/m);
    type('sleep 7654322', 'Enter');
    await expect
      .poll(() => lab.on('host1', 'pgrep -fc "sleep 765432[2]" || true').trim(), { timeout: 15_000 })
      .toBe('1');
    // every lab has such an address: the one of this lab
    const isOurs = (one: number): boolean => {
      try {
        return readFileSync(`/proc/${one}/environ`, 'utf8').split('\0').includes(`VS_LAB=${lab.name}`);
      } catch {
        return false; // it has ended meanwhile
      }
    };
    const pid = spawnSync('pgrep', ['-f', 'through.pl 10.98.0.11'], { encoding: 'utf8' })
      .stdout.trim()
      .split('\n')
      .map(Number)
      .find(isOurs);
    process.kill(pid ?? Number.NaN);
    await expectShown(/connection to host1 broke.*is ended there/s);
    await expectShown(/it was 4/);
    await expectRestored();
    await expect
      .poll(() => lab.on('host1', 'pgrep -fc "sleep 765432[2]" || true').trim(), { timeout: 15_000 })
      .toBe('0');
    await expect.poll(sessions, { timeout: 15_000 }).toBe('0');
  });

  test('without a terminal it says what to do instead', () => {
    expect(lab.vs(['enter', 'web1'], 2).stderr).toContain('vs exec NAME -- CMD');
  });
});

describe('vs exec', () => {
  test('50 MB of input, and 50 MB back', () => {
    const data = randomBytes(50_000_000);
    const { status, stdout } = spawnSync(lab.cli, ['exec', '-i', 'web1', '--', 'cat'], {
      input: data,
      env: lab.environment,
      maxBuffer: 64e6,
    });
    expect([status, createHash('sha256').update(stdout).digest('hex')]).toEqual([
      0,
      createHash('sha256').update(data).digest('hex'),
    ]);
  });

  test('-t gives it a terminal, --user another user, with the home that he has', () => {
    expect(
      lab.vs(['exec', '-t', 'web1', '--', 'sh', '-c', 'sleep 1; tty; echo mine > $(tty)'], 0).stdout,
    ).toMatch(/^\/dev\/pts\/\d+\r\nmine\r\n$/);
    // what is typed before there is a terminal inside waits for it
    const typed = spawnSync(
      lab.cli,
      ['exec', '-t', 'web1', '--', 'sh', '-c', 'read line; echo "<$line>"; exit 4'],
      {
        input: 'early\n',
        encoding: 'utf8',
        env: lab.environment,
        timeout: 30_000,
      },
    );
    expect([typed.status, typed.stdout]).toEqual([4, expect.stringContaining('<early>')]);
    inside('grep -q ^www: /etc/passwd || echo "www:x:1033:1034::/srv/www:/bin/sh" >> /etc/passwd');
    expect(
      lab.vs(['exec', '--user', 'www', 'web1', '--', 'sh', '-c', 'echo $(id -u) $(id -g) $HOME']).stdout,
    ).toBe('1033 1034 /srv/www\n');
    expect(lab.vs(['exec', '--user', 'nobody9', 'web1', '--', 'true'], 1).stderr).toMatch(/no user nobody9/);
  });

  test('its time is over, or ctrl-C: nothing of it goes on', async () => {
    expect(
      lab.vs(['exec', '--timeout', '0.5', 'web1', '--', 'sh', '-c', 'sleep 7654323 & sleep 7654323'], 4)
        .stderr,
    ).toMatch(/did not end in its time/);
    const child = spawn(lab.cli, ['exec', 'web1', '--', 'sh', '-c', 'sleep 7654323 & sleep 7654323'], {
      env: lab.environment,
    });
    const left = () => lab.on('host1', 'pgrep -fc "sleep 765432[3]" || true').trim();
    await expect.poll(left, { timeout: 15_000 }).not.toBe('0');
    child.kill('SIGINT');
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(130);
    expect(left()).toBe('0');
  });

  test('it has no more rights than the vserver: its user namespace, cgroup and capabilities', () => {
    const status = inside('cat /proc/self/uid_map; grep CapBnd /proc/self/status; cat /proc/self/cgroup');
    expect(status).toMatch(/^\s+0\s+100000\s+65536$/m);
    const bound = BigInt(`0x${/CapBnd:\s+([0-9a-f]+)/.exec(status)?.[1] ?? '0'}`);
    expect(bound & (1n << 12n)).toBe(0n); // net_admin
  });

  test('the secret of a session is in no log, audit or command line', () => {
    const seen = lab.on('master', 'grep -h host-agent.session /var/lib/vs-tools/audit.jsonl | tail -n 5');
    expect(seen).toContain('"kind":"run"');
    expect(seen).not.toMatch(/"secret":"[^[]/);
    expect(readFileSync(`/var/lib/vslab-${lab.name}/host1/log/agent.log`, 'utf8')).toMatch(
      /a session has begun/,
    );
  });
});

/** A tree with what trees have. */
function makeTree(): string {
  rmSync(at('tree'), { recursive: true, force: true });
  mkdirSync(at('tree/sub'), { recursive: true });
  writeFileSync(at('tree/file'), 'content', { mode: 0o640 });
  writeFileSync(at('tree/sub', 'n'.repeat(120)), 'long');
  writeFileSync(at('tree/big'), randomBytes(5_000_000));
  symlinkSync('/etc/passwd', at('tree/link'));
  utimesSync(at('tree/file'), 1e9, 1e9);
  return at('tree');
}
const same = (one: string, two: string) => expect(readFileSync(one).equals(readFileSync(two))).toBe(true);

for (const state of ['running', 'stopped'] as const)
  describe(`vs push and pull, ${state}`, () => {
    const root = `/t-${state}`;
    beforeAll(() => {
      if (state === 'stopped') lab.vs(['stop', 'web1']);
      lab.on('host1', `mkdir -p ${rootfs}${root}`);
    });
    /** What lies there, by the host's own tools. */
    const look = (script: string) => lab.on('host1', `cd ${rootfs}${root} && ${script}`);

    test('a file: owner, mode and time; over another one, and into a directory', () => {
      const file = join(makeTree(), 'file');
      lab.vs(['push', '--uid', '33', '--gid', '34', file, `web1:${root}/one`]);
      expect(look('stat -c "%u %g %a %Y %s" one')).toBe('33 34 640 1000000000 7\n');
      writeFileSync(at('other'), 'changed');
      lab.vs(['push', '--mode', '0600', at('other'), `web1:${root}/one`]);
      expect(look('cat one; stat -c " %u %a" one')).toBe('changed 0 600\n');
      lab.vs(['push', file, at('other'), `web1:${root}/`]);
      expect(look('cat file other')).toBe('contentchanged');
      lab.vs(['push', '-p', file, `web1:${root}/new/way/`]);
      expect(look('cat new/way/file')).toBe('content');
      expect(look('ls -A')).not.toContain('.vs-push');
    });

    test('a tree goes in and comes out the same', () => {
      const tree = makeTree();
      lab.vs(['push', '-r', tree, `web1:${root}/copy`]);
      expect(look('readlink copy/link; stat -c "%a %Y" copy/file')).toBe('/etc/passwd\n640 1000000000\n');
      const { stdout } = lab.vs(['pull', '-r', `web1:${root}/copy`, at(`back-${state}`)]);
      expect(stdout).toMatch(/5 files|6 files/);
      const back = at(`back-${state}`);
      for (const file of ['file', 'big', `sub/${'n'.repeat(120)}`]) same(join(tree, file), join(back, file));
      expect(readlinkSync(join(back, 'link'))).toBe('/etc/passwd');
      expect(statSync(join(back, 'file'))).toMatchObject({ mode: 0o100640, mtimeMs: 1e12 });
      lab.vs(['push', '-r', tree, `web1:${root}`]); // into a directory that is there
      expect(look('cat tree/file')).toBe('content');
      expect(lab.vs(['pull', `web1:${root}/copy/file`, '-']).stdout).toBe('content');
    });

    test('what cannot be done says why, and changes nothing', () => {
      const file = join(makeTree(), 'file');
      for (const [args, code, says] of [
        [['push', file, `web1:${root}/no/such/file`], 1, /directory is not there/],
        [['push', file, `web1:${root}/copy/sub/${'n'.repeat(120)}/x`], 1, /directory is not there|could not/],
        [['push', at('tree'), `web1:${root}`], 2, /give -r/],
        [['push', '-r', at('tree'), `web1:${root}/one`], 1, /no directory is in its place/],
        [['pull', `web1:${root}/nothing`, at('x')], 1, /no such file/],
        [['pull', `web1:${root}/copy`, at('x')], 1, /give -r/],
        [['pull', `web1:${root}/one`, at('no/x')], 1, /make it first/],
      ] as const)
        expect(lab.vs([...args], code).stderr, args.join(' ')).toMatch(says);
      expect(existsSync(at('x'))).toBe(false);
      expect(readdirSync(directory).filter((name) => name.startsWith('.vs-pull'))).toEqual([]);
    });

    test('symbolic links of the guest lead nowhere on the host', () => {
      const file = join(makeTree(), 'file');
      const host = at('host');
      mkdirSync(join(host, 'dir'), { recursive: true });
      writeFileSync(join(host, 'file'), 'host-secret');
      const up = '../'.repeat(12);
      lab.on(
        'host1',
        `cd ${rootfs}${root} && ln -sfn ${host}/file f && ln -sfn ${host}/dir d && ln -sfn ${up}${host}/dir up && ln -sfn /proc/1/root${host}/dir proc`,
      );
      for (const link of ['f', 'd/x', 'up/x'])
        expect(lab.vs(['pull', `web1:${root}/${link}`, at('stolen')], 1).stderr).toMatch(/no such file/);
      for (const link of ['d/', 'up/', 'proc/']) lab.vs(['push', file, `web1:${root}/${link}`], 1);
      lab.vs(['push', '-p', file, `web1:${root}/d/made/`], null); // wherever that is, it is in the guest
      lab.vs(['push', file, `web1:${root}/f`]); // takes the place of the link
      expect([readFileSync(join(host, 'file'), 'utf8'), readdirSync(join(host, 'dir'))]).toEqual([
        'host-secret',
        [],
      ]);
      expect(existsSync(at('stolen'))).toBe(false);
    });

    test('links of the guest to the guest itself are followed, as it would', () => {
      lab.on(
        'host1',
        `cd ${rootfs}${root} && mkdir -p real && echo there > real/file && ln -sfn ${root}/real abs && ln -sfn real rel`,
      );
      for (const link of ['abs/file', 'rel/file', 'abs'])
        lab.vs(['pull', '-r', `web1:${root}/${link}`, at(`by-${state}-${link.replace('/', '-')}`)]);
      expect(readFileSync(at(`by-${state}-abs-file`), 'utf8')).toBe('there\n');
      expect(readFileSync(at(`by-${state}-abs/file`), 'utf8')).toBe('there\n');
      lab.vs(['push', join(makeTree(), 'file'), `web1:${root}/abs/pushed`]);
      expect(look('cat real/pushed')).toBe('content');
    });
  });

describe('an enemy inside', () => {
  test('its tar sends what it likes: nothing is written outside of the target', () => {
    lab.vs(['start', 'web1']);
    const victim = at('victim');
    writeFileSync(victim, 'untouched');
    // a stream in which a link leads out, and a file goes through it
    mkdirSync(at('evil/a'), { recursive: true });
    mkdirSync(at('evil/b/out'), { recursive: true });
    symlinkSync(directory, at('evil/a/out'));
    writeFileSync(at('evil/b/out/victim'), 'evil');
    const made = spawnSync('bash', [
      '-c',
      `tar -C ${at('evil/a')} -cf ${at('one.tar')} . && tar -C ${at('evil/b')} -rf ${at('one.tar')} ./out/victim`,
    ]);
    expect(made.status).toBe(0);
    lab.vs(['push', at('one.tar'), 'web1:/evil.tar']);
    inside(
      `mkdir -p /srv/x; printf '#!/bin/busybox sh\\nexec busybox cat /evil.tar\\n' > /bin/evil; chmod 755 /bin/evil; mv /bin/evil /bin/sh`,
    );
    expect(lab.vs(['pull', '-r', 'web1:/srv/x', at('got')], 1).stderr).toMatch(/nothing was put in place/);
    expect([readFileSync(victim, 'utf8'), existsSync(at('got'))]).toEqual(['untouched', false]);
    expect(lstatSync(directory).isDirectory()).toBe(true);
    lab.vs(['exec', 'web1', '--', 'busybox', 'ln', '-sfn', '/bin/busybox', '/bin/sh']);
  });

  test('a push that is broken off leaves the old file, and nothing beside it', async () => {
    writeFileSync(at('large'), '');
    truncateSync(at('large'), 1e9);
    inside('mkdir -p /srv/y; echo old > /srv/y/large');
    const child = spawn(lab.cli, ['push', at('large'), 'web1:/srv/y/large'], {
      env: lab.environment,
      stdio: 'ignore',
    });
    await expect.poll(() => inside('ls -A /srv/y'), { timeout: 15_000, interval: 20 }).toContain('.vs-push');
    child.kill('SIGKILL');
    await expect
      .poll(() => inside('ls -A /srv/y; cat /srv/y/large'), { timeout: 15_000 })
      .toBe('large\nold\n');
  });
});
