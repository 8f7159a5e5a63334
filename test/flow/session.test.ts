import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, PassThrough, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { enterPlace } from '../../cli/session/open.ts';
import { talk } from '../../cli/session/talk.ts';
import type { ClientSettings } from '../../cli/settings.ts';
import { withFrames } from '../../services/host-agent/session/argv.ts';
import { newSecret, openEndpoint } from '../../services/host-agent/session/endpoint.ts';
import { serveSession } from '../../services/host-agent/session/open.ts';
import type { SessionWork } from '../../shared/contract/session.ts';
import { frame } from '../../shared/frames.ts';
import { readIdentity } from '../../shared/identity.ts';
import { authority } from './tls-kit.ts';

// The endpoint, session.pl and the near end as they are; what runs is a program of this machine instead of lxc-attach.
/** How long a loaded machine may take. */
const soon = { timeout: 15_000 };
const directory = mkdtempSync(join(tmpdir(), 'vslab-session-'));
const own = authority(directory, 'own');
const foreign = authority(directory, 'foreign');
function identityOf(name: string, from = own) {
  const at = join(directory, `tls-${name}-${Math.random().toString(36).slice(2)}`);
  mkdirSync(at);
  const { cert, key } = from.issue(`${name}-${Math.random().toString(36).slice(2)}`, {
    cn: name,
    usage: 'serverAuth,clientAuth',
  });
  for (const [source, target] of [
    [own.ca, 'ca.pem'],
    [cert, 'host.pem'],
    [key, 'host.key'],
  ] as const)
    copyFileSync(source, join(at, target));
  const identity = readIdentity(at);
  if (!identity) throw new Error('no identity');
  return identity;
}
const host1 = identityOf('host1');
const settings = {
  url: '',
  user: '',
  password: '',
  base: 'vs/1',
  authority: own.ca,
} satisfies ClientSettings;
const open: { destroy(): unknown }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.destroy();
});
afterAll(() => rmSync(directory, { recursive: true }));

type Run = Extract<SessionWork, { kind: 'run' }>;
/** An endpoint in which `argv` waits for its client. */
async function offer(
  argv: string[],
  more: Partial<Run> & { ttl?: number; identity?: typeof host1; socket?: boolean } = {},
) {
  const secret = newSecret();
  const refused: string[] = [];
  let closed = 0;
  const pids: number[] = [];
  const endpoint = await openEndpoint({
    at: more.socket ? { directory } : { address: '127.0.0.1', identity: more.identity ?? host1 },
    secret,
    ttl: more.ttl ?? 20_000,
    serve(wire) {
      open.push(wire);
      pids.push(serveSession(wire, withFrames(argv, more), (line) => refused.push(line)).pid ?? 0);
    },
    onRefused: (_from, reason) => refused.push(reason),
    onClose: () => closed++,
  });
  open.push({ destroy: () => endpoint.close() });
  const { address, port, path } = endpoint;
  return {
    place: { host: 'host1', address, port, path, secret },
    refused,
    pids,
    closed: () => closed,
    port: port ?? 0,
  };
}
function collect(): { stream: Writable; text: () => string } {
  let text = '';
  return {
    stream: new Writable({
      write: (chunk: Buffer, _encoding, done) => ((text += chunk.toString('latin1')), done()),
    }),
    text: () => text,
  };
}
function near(wire: Duplex, input?: AsyncIterable<Buffer>) {
  open.push(wire);
  const [output, complaints] = [collect(), collect()];
  const session = talk(wire, {
    host: 'host1',
    name: 'web1',
    input,
    output: output.stream,
    complaints: complaints.stream,
  });
  session.ended.catch(() => undefined);
  return { ...session, out: output.text, err: complaints.text };
}
async function run(argv: string[], more: Parameters<typeof offer>[1] = {}, input?: AsyncIterable<Buffer>) {
  const { place } = await offer(argv, more);
  return near(await enterPlace(place, settings), input);
}
/** Processes of this machine whose command line holds a word. */
const alive = (word: string): number[] =>
  readdirSync('/proc')
    .filter((one) => /^\d+$/.test(one))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes(word);
      } catch {
        return false;
      }
    });
const gone = (word: string) => expect.poll(() => alive(word), { timeout: 15_000 }).toEqual([]);
let number = 7_000_000;
/** A number of seconds by which a sleep is known. */
const aSleep = () => String(++number + process.pid);

describe('who is let in', () => {
  test('the secret opens it once: the second client finds nobody', async () => {
    const { place, port, closed } = await offer(['cat']);
    const first = near(await enterPlace(place, settings));
    expect(await first.ended).toBe(0);
    expect(closed()).toBe(1);
    await expect(enterPlace(place, settings)).rejects.toMatchObject({
      code: 'unavailable',
      details: { session: 'none' },
    });
    expect(port).toBeGreaterThan(0);
  });

  test('a second client that was connected before the first had shown its secret is ended', async () => {
    const { place, port } = await offer(['sleep', aSleep()]);
    const second = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
    open.push(second);
    second.on('error', () => undefined);
    await new Promise((resolve) => second.once('secureConnect', resolve));
    const ended = new Promise((resolve) => second.once('close', () => resolve('ended')));
    near(await enterPlace(place, settings));
    expect(await ended).toBe('ended');
  });

  test.each([
    ['a wrong secret', () => newSecret()],
    ['none', () => ''],
    ['the beginning of it', (secret: string) => secret.slice(0, -1)],
    ['a longer one', (secret: string) => `${secret}x`],
  ])('%s: nothing runs, and the right one still opens it', async (_, change) => {
    const word = aSleep();
    const { place, pids, refused } = await offer(['sleep', word]);
    const wrong = near(await enterPlace({ ...place, secret: change(place.secret) }, settings));
    // what is too short is waited for; the rest of a line never comes
    if (change(place.secret).length < 43) wrong.close(new Error('gave up'));
    await expect(wrong.ended).rejects.toThrow();
    await expect.poll(() => refused.length, { timeout: 12_000 }).toBe(1);
    expect([pids, alive(word), refused.join()]).toEqual([[], [], expect.not.stringContaining(place.secret)]);
    const right = near(await enterPlace(place, settings));
    await expect.poll(() => alive(word).length, soon).toBeGreaterThan(0);
    right.close(new Error('enough'));
    await gone(word);
  });

  test('who guesses closes it', async () => {
    const { place, closed } = await offer(['true']);
    for (let tries = 0; tries < 5; tries++)
      await near(await enterPlace({ ...place, secret: newSecret() }, settings)).ended.catch(() => undefined);
    await expect.poll(closed, soon).toBe(1);
  });

  test('nobody comes: it closes at its deadline', async () => {
    const { place, closed } = await offer(['true'], { ttl: 200 });
    await expect.poll(closed, soon).toBe(1);
    await expect(enterPlace(place, settings)).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('a connection without TLS gets nothing', async () => {
    const { port, place, pids } = await offer(['true']);
    const socket = connect(port, '127.0.0.1');
    open.push(socket);
    socket.on('error', () => undefined);
    socket.write(`${place.secret}\n`);
    await new Promise((resolve) => socket.once('close', resolve));
    expect(pids).toEqual([]);
  });

  test.each([
    ['of another authority', () => identityOf('host1', foreign), /not of this pool/],
    ['of another host', () => identityOf('host2'), /certificate of "host2"/],
  ])('a host with a certificate %s is not told the secret', async (_, make, says) => {
    const { place, refused, pids } = await offer(['true'], { identity: make() });
    await expect(enterPlace(place, settings)).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringMatching(says) as unknown,
    });
    expect([pids, refused.filter((reason) => /wrong secret/.test(reason))]).toEqual([[], []]);
  });

  test('on the host itself by a socket, which goes with its use', async () => {
    const { place } = await offer(['sh', '-c', 'echo here'], { socket: true });
    expect(existsSync(place.path ?? '')).toBe(true);
    const session = near(await enterPlace(place, settings));
    expect([await session.ended, session.out(), existsSync(place.path ?? '')]).toEqual([0, 'here\n', false]);
  });
});

describe('what runs', () => {
  test('both outputs, exit codes and signals', async () => {
    const both = await run(['sh', '-c', 'echo out; echo err >&2; exit 7']);
    expect([await both.ended, both.out(), both.err()]).toEqual([7, 'out\n', 'err\n']);
    for (const [script, code] of [
      ['exit 255', 255],
      ['kill -9 $$', 137],
    ] as const)
      expect(await (await run(['sh', '-c', script])).ended).toBe(code);
    const none = await run(['/no/such/tool']);
    expect([await none.ended, none.err()]).toEqual([127, expect.stringContaining('/no/such/tool')]);
  });

  test('what it leaves running does not hold the session', async () => {
    const word = aSleep();
    const session = await run(['sh', '-c', `sleep ${word} & echo begun`]);
    expect([await session.ended, session.out()]).toEqual([0, 'begun\n']);
    for (const pid of alive(word)) process.kill(pid);
  });

  test('50 MB of input arrive, and come back', async () => {
    const piece = Buffer.alloc(1_000_000, 'x');
    const input = async function* () {
      for (let n = 0; n < 50; n++) yield piece;
    };
    const session = await run(['sh', '-c', 'cat | wc -c'], {}, input());
    expect([await session.ended, session.out().trim()]).toEqual([0, '50000000']);
  });

  test('a program that does not read: its input waits, a signal does not', async () => {
    let given = 0;
    const input = async function* () {
      for (;;) {
        given += 100_000;
        yield Buffer.alloc(100_000);
      }
    };
    const word = aSleep();
    const session = await run(['sleep', word], {}, input());
    await expect.poll(() => alive(word).length, soon).toBeGreaterThan(0);
    await sleep(500);
    expect(given).toBeLessThan(1_000_000);
    session.signal(2);
    expect(await session.ended).toBe(130);
  });

  test('a program that closes its input is not given more, and ends by itself', async () => {
    const input = async function* () {
      for (let n = 0; n < 100; n++) yield Buffer.alloc(100_000);
    };
    const session = await run(['sh', '-c', 'exec <&-; sleep 0.5; echo done'], {}, input());
    expect([await session.ended, session.out()]).toEqual([0, 'done\n']);
  });

  test('a signal that is not heeded: the whole of it is ended a moment later', async () => {
    const word = aSleep();
    const session = await run(['sh', '-c', `trap '' INT TERM HUP; sleep ${word}; sleep ${word}`]);
    await expect.poll(() => alive(word).length, soon).toBeGreaterThan(0);
    session.signal(2);
    session.signal(2); // twice: now
    expect(await session.ended).toBe(137);
    await gone(word);
  });

  test('its time is over: all of it is ended, also what was put in the background', async () => {
    const word = aSleep();
    const session = await run(['sh', '-c', `sleep ${word} & sleep ${word}`], { timeout: 300 });
    await expect(session.ended).rejects.toMatchObject({ code: 'deadline' });
    await gone(word);
  });

  test.each([
    ['is cut off', (wire: Duplex) => wire.destroy()],
    ['sends what is no frame', (wire: Duplex) => void wire.write('z\0\0\0\0')],
    ['sends a frame that is too long', (wire: Duplex) => void wire.write(Buffer.from([105, 255, 0, 0, 0]))],
    [
      'sends more than it was asked for',
      (wire: Duplex) =>
        void wire.write(Buffer.concat(Array.from({ length: 8 }, () => frame('input', Buffer.alloc(60_000))))),
    ],
  ])('a client that %s: what ran is ended, with all that it began', async (_, act) => {
    const word = aSleep();
    const { place, pids } = await offer(['sh', '-c', `setsid sleep ${word} & sleep ${word} & sleep ${word}`]);
    const wire = await enterPlace(place, settings);
    open.push(wire);
    await expect.poll(() => alive(word).length, soon).toBeGreaterThanOrEqual(3);
    act(wire);
    await gone(word);
    await expect
      .poll(
        () =>
          existsSync(`/proc/${pids[0]}/cmdline`) &&
          readFileSync(`/proc/${pids[0]}/cmdline`, 'latin1').includes('session.pl'),
        { timeout: 15_000 },
      )
      .toBe(false);
  });

  test('the agent is gone: session.pl ends what it had begun', async () => {
    const word = aSleep();
    const { place, pids } = await offer(['sleep', word]);
    open.push(await enterPlace(place, settings));
    await expect.poll(() => alive(word).length, soon).toBeGreaterThan(0);
    process.kill(pids[0] ?? 0, 'SIGTERM'); // as at the end of its unit; a SIGKILL of the agent closes its pipes
    await gone(word);
  });
});

describe('a large output', () => {
  const kilobytes = (pid: number, key: string) =>
    Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

  test('a slow reader makes neither the agent nor session.pl grow; all of 600 MB arrives', async () => {
    const { place, pids } = await offer(['sh', '-c', 'head -c 600000000 /dev/zero; echo err >&2']);
    let bytes = 0;
    const slow = new Writable({
      highWaterMark: 64 * 1024,
      write(chunk: Buffer, _encoding, done) {
        bytes += chunk.length;
        if (bytes < 3_000_000) setTimeout(done, 20);
        else done();
      },
    });
    const wire = await enterPlace(place, settings);
    open.push(wire);
    const before = process.memoryUsage.rss();
    const { ended } = talk(wire, {
      host: 'host1',
      name: 'web1',
      output: slow,
      complaints: new PassThrough().resume(),
    });
    let helper = 0;
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage.rss() - before);
      try {
        helper = Math.max(helper, kilobytes(pids[0] ?? 0, 'VmHWM'));
      } catch {
        // it has ended
      }
    }, 50);
    expect(await ended).toBe(0);
    clearInterval(watch);
    expect(bytes).toBe(600_000_000);
    expect(helper).toBeGreaterThan(0);
    expect(helper).toBeLessThan(40_000); // kB
    expect(most).toBeLessThan(300e6); // agent and client in one process, with what their collector leaves for later
  }, 120_000);
});

describe('a terminal', () => {
  const terminal = { term: 'xterm', rows: 31, columns: 97 };
  /** Input that comes in its time, and stays open. */
  function keys() {
    const stream = new PassThrough();
    return { input: stream as AsyncIterable<Buffer>, press: (text: string) => void stream.write(text) };
  }

  test('is one: its size, also when it changes', async () => {
    const { input, press } = keys();
    const session = await run(
      ['sh', '-c', 'stty -echo; tty; stty size; read x; stty size'],
      { terminal },
      input,
    );
    await expect.poll(session.out, soon).toMatch(/^\/dev\/pts\/\d+\r\n31 97\r\n$/);
    session.resize(40, 120);
    press('\r');
    expect(await session.ended).toBe(0);
    expect(session.out()).toMatch(/40 120\r\n$/);
  });

  test('ctrl-C reaches what is in front, ctrl-D ends the shell with its exit code', async () => {
    const { input, press } = keys();
    const word = aSleep();
    const session = await run(['sh', '-i'], { terminal }, input);
    press(`sleep ${word}\r`);
    await expect.poll(() => alive(word).length, soon).toBe(1);
    press('\u0003');
    await gone(word);
    press('sh -c "exit 9"\r');
    await sleep(200);
    press('\u0004');
    expect(await session.ended).toBe(9);
  });

  test('the client goes: the shell hears that its terminal hung up, and nothing stays', async () => {
    const { input, press } = keys();
    const [front, back] = [aSleep(), aSleep()];
    const session = await run(['sh', '-i'], { terminal }, input);
    press(`nohup sleep ${back} &\r`);
    press(`sleep ${front}\r`);
    await expect.poll(() => alive(front).length + alive(back).length, soon).toBe(2);
    session.close(new Error('gone'));
    await gone(front);
    await gone(back);
  });
});
