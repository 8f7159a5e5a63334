import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { type Server, type Socket, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import { admitPlain } from '../../services/transfer/admission.ts';
import { receive, send } from '../../services/transfer/btrfs-send.ts';
import { openEndpoint } from '../../services/transfer/endpoint.ts';
import { service } from '../../services/transfer/main.ts';
import { meter } from '../../services/transfer/progress.ts';
import type { Call } from '../../shared/dispatch.ts';
import { createLog } from '../../shared/log.ts';
import type { Context } from '../../shared/service.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-endpoint-'));
const root = process.getuid?.() === 0;
const secret = 'the-secret-of-this-pass';
const open: { destroy(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.destroy();
});
afterAll(() => rmSync(directory, { recursive: true }));

const tell = (file: string, ...args: string[]) => execFileSync(file, args, { encoding: 'utf8' });
const deadline = <T>(what: Promise<T>, ms: number): Promise<T | 'too late'> =>
  Promise.race([what, sleep(ms, 'too late' as const, { ref: false })]);

/** A connection from one loopback address, what it hears, and its end. */
function knock(port: number, from = '127.0.0.1') {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from, allowHalfOpen: true });
  open.push(socket);
  let heard = '';
  socket.on('data', (chunk) => (heard += chunk.toString()));
  const ended = new Promise<string>((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    socket.once('end', () => resolve('ended'));
    socket.once('close', () => resolve('closed'));
  });
  return { socket, ended, heard: () => heard };
}

/** An endpoint as transfer.open makes it, without the bus. */
async function endpoint(staging: string, ttl = 20_000) {
  const refused: string[] = [];
  const reasons: string[] = [];
  let closed = 0;
  const { promise: served, resolve } = Promise.withResolvers<string>();
  const one = await openEndpoint({
    address: '127.0.0.1',
    from: '127.0.0.1',
    ttl,
    admit: (socket: Socket) => {
      open.push(socket);
      return admitPlain(socket, secret);
    },
    serve: (admitted) => {
      const work = receive(admitted, staging, true, new AbortController().signal);
      work.then(
        () => resolve('received'),
        (error: Error) => resolve(error.message),
      );
      return work;
    },
    onRefused: (from, reason) => {
      refused.push(from);
      reasons.push(reason);
      if (from === '127.0.0.1') resolve(reason);
    },
    onClose: () => closed++,
  });
  open.push({ destroy: () => one.close() });
  return { ...one, refused, reasons, served, closed: () => closed };
}

describe('who may speak to an endpoint', () => {
  const staging = join(directory, 'plain');
  beforeAll(() => mkdirSync(staging));

  test('a connection from another address is dropped, and does not use the endpoint up', async () => {
    const one = await endpoint(staging);
    const stranger = knock(one.port, '127.0.0.2');
    stranger.socket.write(`${secret} btrfs-send s.p0 p0\n`);
    expect(await deadline(stranger.ended, 3000)).toMatch(/closed|ended|ECONNRESET/);
    expect(one.refused).toEqual(['127.0.0.2']);
    expect([one.closed(), stranger.heard()]).toEqual([0, '']);
    const right = knock(one.port);
    right.socket.write('a wrong secret\n');
    expect(await deadline(one.served, 3000)).toMatch(/wrong secret/); // it was served, where the stranger was not
  });

  test.each([
    ['a wrong secret', 'the-secret-of-another btrfs-send s.p0 p0\n'],
    ['a longer secret', `${secret}x btrfs-send s.p0 p0\n`],
    ['the beginning of the secret', `${secret.slice(0, -1)} btrfs-send s.p0 p0\n`],
    ['no secret', ' btrfs-send s.p0 p0\n'],
    ['a snapshot name that leaves the staging', `${secret} btrfs-send ../../s.p0 p0\n`],
    ['a label that leaves the staging', `${secret} btrfs-send s.p0 ../p0\n`],
    ['no names', `${secret}\n`],
    ['an HTTP request', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['garbage without a line end', randomBytes(9000).map((byte) => (byte === 10 ? 11 : byte))],
    ['a rsync greeting', '@RSYNCD: 31.0\n'],
  ])('%s is refused without a word, and nothing is written', async (_, line) => {
    const one = await endpoint(staging);
    const client = knock(one.port);
    client.socket.write(line);
    expect(await deadline(one.served, 3000)).toMatch(
      /wrong secret|does not speak the transfer protocol|names that are none/,
    );
    expect(await deadline(client.ended, 3000)).not.toBe('too late');
    expect(client.heard()).toBe('');
    expect(readdirSync(staging)).toEqual([]);
  });

  test('one connection uses it up: others are not served, also while the first still works', async () => {
    const one = await endpoint(staging);
    const [early, first] = [knock(one.port), knock(one.port)];
    await deadline(new Promise((resolve) => early.socket.once('connect', resolve)), 3000);
    first.socket.write(`${secret} btrfs-send s.p0 p0\n`);
    while (first.heard() === '') await sleep(10);
    expect(first.heard()).toBe('{"ok":true}\n');
    expect(await deadline(early.ended, 3000)).toMatch(/closed|ended|ECONNRE/);
    expect(await deadline(knock(one.port).ended, 3000)).toBe('ECONNREFUSED');
    expect([first.socket.destroyed, one.closed()]).toEqual([false, 1]);
  });

  test('a wrong secret does not use it up, and the right one is not in the reasons', async () => {
    const one = await endpoint(staging);
    knock(one.port).socket.write('guess btrfs-send s.p0 p0\n');
    expect(await deadline(one.served, 3000)).toBe('it came with a wrong secret');
    const right = knock(one.port);
    right.socket.write(`${secret} btrfs-send s.p0 p0\n`);
    for (let tries = 0; right.heard() === '' && tries < 300; tries++) await sleep(10);
    expect(right.heard()).toBe('{"ok":true}\n');
  });

  test('nobody comes: it closes at its deadline', async () => {
    const one = await endpoint(staging, 300);
    await expect.poll(one.closed, { timeout: 8000 }).toBe(1);
    expect(await deadline(knock(one.port).ended, 3000)).toBe('ECONNREFUSED');
  });

  test.each([
    ['nothing', ''],
    ['half a line', `${secret} btrfs-send s.p`],
  ])('a connection that says %s is not waited for longer than ten seconds', async (_, said) => {
    const one = await endpoint(staging);
    const client = knock(one.port);
    client.socket.write(said);
    expect(await deadline(client.ended, 14_000)).not.toBe('too late');
    expect(await deadline(one.served, 1000)).not.toBe('too late');
    expect(one.closed()).toBe(0);
  });

  test('the other side goes before its line is whole: the endpoint fails, it does not wait', async () => {
    const one = await endpoint(staging);
    const client = knock(one.port);
    client.socket.end(`${secret} btrfs-send s.p`);
    expect(await deadline(one.served, 3000)).toMatch(/closed the connection/);
  });
});

describe('transfer.open and transfer.close', () => {
  const settings = loadSettings({
    file: '/nonexistent',
    env: {
      VS_HOST: 'host1',
      VS_VSERVER_DIR: join(directory, 'vservers'),
      VS_RUN_DIR: join(directory, 'run'),
      VS_MANAGEMENT_ADDRESS: '127.0.0.1',
    },
  });
  const log = createLog('fatal', 'host1');
  const { handlers } = service({ host: 'host1', settings, log, version: '0' } as Context); // it asks nothing of the bus
  const call: Call = {
    id: 'a',
    issuer: 'test',
    signal: new AbortController().signal,
    progress: () => undefined,
  };
  const openPass = (copy: 'btrfs-send' | 'rsync' = 'btrfs-send', channel: 'plain' | 'tls' = 'plain') =>
    handlers['transfer.open']?.(
      {
        name: 'web1',
        saga: 's1',
        copy,
        channel,
        fromHost: 'host1',
        from: '127.0.0.1',
        ttl: 60_000,
      },
      call,
    );
  const closePass = () => handlers['transfer.close']?.({ name: 'web1', saga: 's1' }, call);
  const staging = join(directory, 'vservers/.staging/web1.s1');
  beforeAll(() => void mkdirSync(join(staging, 'tree'), { recursive: true }));

  test('an endpoint needs the staging of its saga, and each has a secret of its own', async () => {
    await expect(
      handlers['transfer.open']?.(
        {
          name: 'web1',
          saga: 's2',
          copy: 'btrfs-send',
          channel: 'plain',
          fromHost: 'host1',
          from: '127.0.0.1',
          ttl: 60_000,
        },
        call,
      ),
    ).rejects.toMatchObject({ code: 'conflict' });
    const [one, two] = [await openPass(), await openPass()];
    expect(one?.secret).not.toBe(two?.secret);
    expect(one?.secret.length).toBeGreaterThanOrEqual(32);
    const other = knock(one?.port ?? 0);
    other.socket.write(`${two?.secret} btrfs-send s1.p0 p0\n`); // the secret of the other endpoint is wrong here
    expect(await deadline(other.ended, 3000)).not.toBe('too late');
    expect(other.heard()).toBe('');
    await closePass();
  });

  test('close ends an endpoint that waits', async () => {
    const one = await openPass();
    await closePass();
    expect(await deadline(knock(one?.port ?? 0).ended, 3000)).toBe('ECONNREFUSED');
  });

  test('close ends an endpoint in use: what comes later through it is not written', async () => {
    const one = await openPass();
    const client = knock(one?.port ?? 0);
    client.socket.write('half a li');
    await sleep(200);
    await closePass();
    expect(await deadline(client.ended, 2000)).not.toBe('too late');
  });

  if (!root) console.log('skipped: the rsync daemon is tried as root, for it changes its root directory');
  test.skipIf(!root)(
    'rsyncd: a wrong secret and another address copy nothing; the right ones do',
    async () => {
      writeFileSync(join(directory, 'file'), 'x');
      const push = (port: number, password: string, from = '127.0.0.1') =>
        promisify(execFile)(
          'rsync',
          [
            '--timeout=10',
            `--address=${from}`,
            join(directory, 'file'),
            `rsync://vs@127.0.0.1:${port}/tree/`,
          ],
          { timeout: 20_000, env: { ...process.env, RSYNC_PASSWORD: password } },
        ).then(
          () => 'copied',
          (error: Error & { stderr: string }) => error.stderr,
        );
      const one = await openPass('rsync');
      expect(await push(one?.port ?? 0, one?.secret ?? '', '127.0.0.2')).toMatch(/rsync error/);
      expect(await push(one?.port ?? 0, 'guess')).toMatch(/auth failed/);
      const two = await openPass('rsync');
      expect(readdirSync(join(staging, 'tree'))).toEqual([]);
      expect(await push(two?.port ?? 0, two?.secret ?? '')).toBe('copied');
      expect(readdirSync(join(staging, 'tree'))).toEqual(['file']);
      expect(await push(two?.port ?? 0, two?.secret ?? '')).toMatch(/Connection refused/);
      await expect.poll(() => readdirSync(settings.RUN_DIR), { timeout: 8000 }).toEqual([]); // no secret stays on the disk
    },
  );
});

const btrfs = root && ['/usr/bin/btrfs', '/usr/sbin/mkfs.btrfs'].every((file) => existsSync(file));
if (!btrfs) console.log('skipped: the framing of btrfs-send is tried as root, with btrfs-progs');
describe.skipIf(!btrfs)('a btrfs stream is whole, or it is nothing', () => {
  const image = join(directory, 'disk.img');
  const disk = join(directory, 'disk');
  const staging = join(disk, 'staging');
  const snapshot = (label: string) => join(disk, 'snapshots', `s1.${label}`);
  let stream: Buffer;

  beforeAll(() => {
    mkdirSync(disk);
    tell('truncate', '-s', '256M', image);
    tell('mkfs.btrfs', '-q', '-L', 'vslab-endpoint', image);
    tell('mount', '-o', 'loop', image, disk);
    mkdirSync(staging);
    mkdirSync(join(disk, 'snapshots'));
    tell('btrfs', 'subvolume', 'create', join(disk, 'tree'));
    writeFileSync(join(disk, 'tree/one'), randomBytes(3_000_000));
    tell('btrfs', 'subvolume', 'snapshot', '-r', join(disk, 'tree'), snapshot('p0'));
    writeFileSync(join(disk, 'tree/two'), 'second pass');
    tell('btrfs', 'subvolume', 'snapshot', '-r', join(disk, 'tree'), snapshot('p1'));
    stream = execFileSync('btrfs', ['send', '-q', snapshot('p0')], { maxBuffer: 64e6, stdio: 'pipe' });
  });
  afterEach(() => {
    for (const label of readdirSync(staging)) tell('btrfs', 'subvolume', 'delete', join(staging, label));
  });
  afterAll(() => void tell('umount', disk));

  /** The stream in frames of 64 kB, as the source sends it, without the mark at its end. */
  function frames(bytes: Buffer): Buffer {
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += 65_536) {
      const part = bytes.subarray(at, at + 65_536);
      const head = Buffer.alloc(4);
      head.writeUInt32BE(part.length);
      parts.push(head, part);
    }
    return Buffer.concat(parts);
  }
  const mark = Buffer.alloc(4);
  async function give(body: Buffer, how: 'end' | 'reset' = 'end') {
    const one = await endpoint(staging);
    const client = knock(one.port);
    client.socket.write(`${secret} btrfs-send s1.p0 p0\n`);
    await new Promise((resolve) => client.socket.write(body, resolve));
    if (how === 'end') client.socket.end();
    else {
      while (!client.heard().includes('\n')) await sleep(20); // it was let in: what comes is being taken
      await sleep(300);
      client.socket.resetAndDestroy();
    }
    const served = await deadline(one.served, 10_000);
    await deadline(client.ended, 3000);
    expect(client.heard()).toMatch(/^\{"ok":true\}\n/);
    return { served, answer: client.heard().slice('{"ok":true}\n'.length) };
  }

  test('whole, with its mark: it is there under its label, and the source is told', async () => {
    expect(await give(Buffer.concat([frames(stream), mark]))).toEqual({
      served: 'received',
      answer: '{"ok":true}\n',
    });
    expect(readdirSync(staging)).toEqual(['p0']);
    expect(readFileSync(join(staging, 'p0/one'))).toEqual(readFileSync(join(disk, 'tree/one')));
  });

  const pieces: [string, () => Buffer][] = [
    ['the mark alone is missing', () => frames(stream)],
    ['cut between two frames', () => frames(stream).subarray(0, 20 * 65_540)],
    ['cut inside a frame', () => frames(stream).subarray(0, 20 * 65_540 + 1000)],
    ['cut inside the length of a frame', () => frames(stream).subarray(0, 20 * 65_540 + 2)],
    ['cut inside the mark', () => Buffer.concat([frames(stream), mark.subarray(0, 3)])],
    ['the mark, but no stream', () => mark],
    ['nothing', () => Buffer.alloc(0)],
    ['a stream without frames', () => stream],
    ['garbage', () => Buffer.concat([frames(randomBytes(300_000)), mark])],
    ['a frame of 4 GB', () => Buffer.concat([Buffer.alloc(4, 255), stream])],
    ['half a stream with the mark', () => Buffer.concat([frames(stream).subarray(0, 20 * 65_540), mark])],
    ['more behind the mark', () => Buffer.concat([frames(stream), mark, Buffer.from('more')])],
  ];
  test.each(pieces)('%s: the source is told, and nothing stays', async (_, body) => {
    const { served, answer } = await give(body());
    expect(served).not.toBe('too late');
    expect(answer).toMatch(/^\{"ok":false,"error":"[^"]+"\}\n$/);
    expect(readdirSync(staging)).toEqual([]);
  });

  test.each(pieces.slice(0, 5))('%s, and the connection is reset: nothing stays', async (_, body) => {
    const { served } = await give(body(), 'reset');
    expect(served).not.toBe('too late');
    expect(readdirSync(staging)).toEqual([]);
  });

  /** Stands between source and target, and ends both ways after some bytes of the source. */
  async function between(port: number, limit: number, how: 'end' | 'reset'): Promise<Server> {
    const server = createServer({ allowHalfOpen: true }, (source) => {
      const target = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      open.push(source, target);
      let passed = 0;
      source.on('error', () => undefined).on('end', () => target.end());
      target
        .on('error', () => undefined)
        .on('data', (chunk) => source.write(chunk))
        .on('end', () => source.end());
      source.on('data', (chunk: Buffer) => {
        if (passed >= limit) return; // what the source still sends gets lost
        const part = chunk.subarray(0, limit - passed);
        passed += part.length;
        target.write(part);
        if (passed < limit) return;
        if (how === 'end') target.end();
        else for (const one of [source, target]) one.resetAndDestroy();
      });
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    open.push({ destroy: () => void server.close() });
    return server;
  }
  const portOf = (server: Server) => (server.address() as { port: number }).port;
  const pass = (port: number, label: string, parent?: string) =>
    send(
      {
        channel: 'plain',
        toHost: 'host2',
        address: '127.0.0.1',
        port,
        secret,
        signal: AbortSignal.timeout(15_000),
      },
      {
        snapshot: snapshot(label),
        snapshotName: `s1.${label}`,
        label,
        runDir: directory,
        live: parent === undefined,
        ...(parent ? { parent: snapshot(parent) } : {}),
      },
      meter(undefined, () => undefined),
    );

  test.each(
    (['end', 'reset'] as const).flatMap((how) => [10, 100_000, 3_000_000].map((limit) => ({ how, limit }))),
  )('the source fails, and nothing stays, when its bytes $how after $limit', async ({ how, limit }) => {
    const one = await endpoint(staging);
    const middle = await between(one.port, limit, how);
    const sent = pass(portOf(middle), 'p0').then(
      () => 'done',
      (error: Error) => error.message,
    );
    expect(await deadline(one.served, 8000)).not.toBe('too late');
    expect(await deadline(sent, 8000)).not.toMatch(/^(done|too late)$/);
    expect(readdirSync(staging)).toEqual([]);
  });

  test('a pass and an incremental one arrive whole', async () => {
    await pass((await endpoint(staging)).port, 'p0');
    await pass((await endpoint(staging)).port, 'p1', 'p0');
    expect(readdirSync(staging).toSorted()).toEqual(['p0', 'p1']);
    expect(readFileSync(join(staging, 'p1/two'), 'utf8')).toBe('second pass');
    expect(readFileSync(join(staging, 'p1/one'))).toEqual(readFileSync(join(disk, 'tree/one')));
  });

  test('the source is told what the target found wrong', async () => {
    const elsewhere = join(directory, 'no-btrfs');
    mkdirSync(elsewhere);
    const one = await endpoint(elsewhere);
    await expect(pass(one.port, 'p0')).rejects.toThrow(/the copy was not taken: ERROR: /);
    expect(readdirSync(elsewhere)).toEqual([]);
  });
});
