import { describe, expect, test } from 'vitest';
import { guestPlace, needGuestPlace, overridesOf } from '../../cli/guest-path.ts';
import { viaArgv } from '../../cli/session/carrier.ts';
import { filesArgv, runArgv, stoppedArgv, withFrames } from '../../services/host-agent/session/argv.ts';
import { userIn } from '../../services/host-agent/session/user.ts';
import { lxcDriver } from '../../services/host-agent/lxc.ts';
import { sessionCommands } from '../../shared/contract/session.ts';
import { VsError } from '../../shared/errors.ts';
import { FRAME_MOST, frame, openFrames, sizeFrame } from '../../shared/frames.ts';
import { oneTimeSeal, seal } from '../../shared/seal.ts';

describe('frames', () => {
  const sent = Buffer.concat([
    frame('output', Buffer.from('hello')),
    frame('ping'),
    frame('complaint', Buffer.alloc(FRAME_MOST, 7)),
    frame('exit', Buffer.from([3, 0])),
  ]);
  test.each([1, 2, 4, 5, 6, 1000, 65_541, 1e6])('come whole in pieces of %i bytes', (piece) => {
    const take = openFrames();
    const frames = [];
    for (let at = 0; at < sent.length; at += piece)
      frames.push(...take(Buffer.from(sent.subarray(at, at + piece))));
    expect(frames.map(({ type, data }) => [type, data.length])).toEqual([
      ['output', 5],
      ['ping', 0],
      ['complaint', FRAME_MOST],
      ['exit', 2],
    ]);
    expect(frames[0]?.data.toString()).toBe('hello');
    expect([...(frames[3]?.data ?? [])]).toEqual([3, 0]);
  });

  test('what is none, or too long, is refused', () => {
    expect(() => openFrames()(Buffer.from('HTTP/1.1 400'))).toThrow(VsError);
    const long = frame('output');
    long.writeUInt32BE(FRAME_MOST + 1, 1);
    expect(() => openFrames()(long)).toThrow(VsError);
  });

  test('the size of a terminal', () => {
    expect([...sizeFrame(24, 300)]).toEqual([119, 0, 0, 0, 4, 0, 24, 1, 44]);
  });
});

test('a one-time seal: who asked opens it, nobody else, and nothing is opened that was changed', () => {
  const [mine, other] = [oneTimeSeal(), oneTimeSeal()];
  const sealed = seal('the secret', mine.key);
  expect(mine.open(sealed)).toBe('the secret');
  expect(() => other.open(sealed)).toThrow(VsError);
  const bytes = Buffer.from(sealed, 'base64url');
  for (const at of bytes.keys()) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 0x01;
    expect(() => mine.open(changed.toString('base64url')), `byte ${at}`).toThrow(VsError);
  }
  expect(() => mine.open(sealed.slice(0, -2))).toThrow(VsError);
  expect(sessionCommands['host-agent.session'].args.shape.reader.safeParse(mine.key).success).toBe(true);
});

describe('places in a vserver', () => {
  test('NAME:PATH, and what is a path of this machine', () => {
    expect(guestPlace('web1:/etc/hosts')).toEqual({ name: 'web1', path: '/etc/hosts' });
    expect(guestPlace('web1:/a:b c\n')).toEqual({ name: 'web1', path: '/a:b c\n' });
    for (const here of ['hosts', './a:b', '/etc/a:b', 'dir/a:/b']) expect(guestPlace(here)).toBeUndefined();
  });
  test.each([
    'web1:',
    'web1:etc',
    'web1:/a/../../etc',
    'web1:/..',
    'Web:/a',
    ':/a',
    '-x:/a',
    `web1:/${'a'.repeat(4100)}`,
    'web1:/a\0',
  ])('%j is refused', (text) => expect(() => guestPlace(text)).toThrow(VsError));
  test('what must be one says how it looks', () => {
    expect(() => needGuestPlace('hosts', 'vs pull web1:/a b')).toThrow(/NAME:PATH: vs pull web1:\/a b/);
  });
  test('owner and mode', () => {
    expect(overridesOf({ uid: '33', gid: '0', mode: '0640' })).toEqual({ uid: 33, gid: 0, mode: 0o640 });
    for (const bad of [{ uid: 'root' }, { uid: '65535' }, { gid: '-1' }, { mode: '888' }, { mode: 'u+x' }])
      expect(() => overridesOf(bad)).toThrow(VsError);
  });
  test('the contract refuses what the command line would', () => {
    const args = (work: object) =>
      sessionCommands['host-agent.session'].args.safeParse({ name: 'web1', reader: 'a'.repeat(43), work })
        .success;
    expect(args({ kind: 'pull', from: '/etc', tree: true })).toBe(true);
    expect(args({ kind: 'pull', from: '/etc/../..', tree: true })).toBe(false);
    expect(args({ kind: 'pull', from: 'etc', tree: true })).toBe(false);
    for (const as of ['', '.', '..', 'a/b', 'a\0'])
      expect(args({ kind: 'push', to: '/', as, tree: false })).toBe(false);
    expect(args({ kind: 'run', user: '-x' })).toBe(false);
    expect(args({ kind: 'run', terminal: { term: 'x y', rows: 1, columns: 1 } })).toBe(false);
    expect(args({ kind: 'run', command: [] })).toBe(false);
  });
});

describe('what runs', () => {
  const lxc = lxcDriver('/var/lib/vservers');
  test('values are words of their own, whatever is in them', () => {
    const evil = '/a; rm -rf "$HOME" $(id) `id`';
    const pull = filesArgv(lxc, 'web1', { kind: 'pull', from: evil, tree: false });
    expect(pull.slice(-3)).toEqual(['sh', evil, 'file']);
    expect(pull.slice(0, 6)).toEqual(['lxc-attach', '-P', '/var/lib/vservers', '-n', 'web1', '--clear-env']);
    const push = stoppedArgv('/root', '/run/vs', {
      kind: 'push',
      to: `${evil}/`,
      as: '-x',
      tree: true,
      parents: true,
    });
    expect(push.slice(2, 8)).toEqual(['/root', '/run/vs', evil, 'rw', 'sh', '-c']);
    expect(push.slice(-6)).toEqual(['sh', '{}', '-x', 'tree', 'parents', 'into']);
  });
  test('terminal, user and home come as variables and numbers', () => {
    const terminal = { term: 'xterm-256color', rows: 24, columns: 80, colours: 'truecolor' as const };
    const user = { name: 'www-data', uid: 33, gid: 33, home: '/var/www' };
    const argv = runArgv(lxc, 'web1', { kind: 'run', terminal }, user).join(' ');
    for (const word of [
      '-v TERM=xterm-256color',
      '-v COLORTERM=truecolor',
      '-v HOME=/var/www',
      '-u 33 -g 33',
    ])
      expect(argv).toContain(word);
    const framed = withFrames(['true'], { terminal, timeout: 5000 });
    expect(framed.slice(2)).toEqual(['24', '80', '5000', 'true']);
    expect(withFrames(['true']).slice(2)).toEqual(['0', '0', '0', 'true']);
  });
});

test('a user of a passwd file, which may hold anything', () => {
  const passwd =
    'root:x:0:0:root:/root:/bin/sh\nbad\nevil:x:-1:0::/:\nweb:x:33:34:W:/var/www:/bin/sh\nodd:x:5:6::rel\u001b:\n';
  expect(userIn(passwd, 'web')).toEqual({ name: 'web', uid: 33, gid: 34, home: '/var/www' });
  expect(userIn(passwd, '33')).toMatchObject({ name: 'web', gid: 34 });
  expect(userIn(passwd, '33:7')).toMatchObject({ uid: 33, gid: 7 });
  expect(userIn(passwd, '1000')).toEqual({ name: '1000', uid: 1000, gid: 1000, home: '/' });
  expect(userIn(passwd, 'odd')?.home).toBe('/');
  for (const none of ['evil', 'bad', 'nobody']) expect(userIn(passwd, none)).toBeUndefined();
});

test('STREAM_VIA: address and port in their places, or at the end', () => {
  expect(viaArgv('ssh -W %h:%p root@master', '10.0.0.1', 4000)).toEqual([
    'ssh',
    '-W',
    '10.0.0.1:4000',
    'root@master',
  ]);
  expect(viaArgv('/opt/through', '10.0.0.1', 4000)).toEqual(['/opt/through', '10.0.0.1', '4000']);
});
