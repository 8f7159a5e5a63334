import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type Socket, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ownIdentity } from '../../services/transfer/identity.ts';
import { rsyncWire, throughWire } from '../../services/transfer/rsyncd.ts';
import { openWire } from '../../services/transfer/wire.ts';
import type { Channel, CopyWay } from '../../shared/contract/transfer.ts';
import type { Call } from '../../shared/dispatch.ts';
import { seal, sealKey } from '../../shared/seal.ts';
import { authority } from './tls-kit.ts';
import { transferHost } from './transfer-host.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-private-'));
const root = process.getuid?.() === 0;
const open: { destroy(): unknown }[] = [];
const call: Call = {
  id: 'a',
  issuer: 'test',
  signal: new AbortController().signal,
  progress: () => undefined,
};
const deadline = <T>(what: Promise<T>, ms: number): Promise<T | 'too late'> =>
  Promise.race([what, sleep(ms, 'too late' as const, { ref: false })]);

function host(name: string) {
  const one = transferHost(directory, name);
  const alive = one.life();
  return { ...one, service: alive, handlers: alive.handlers };
}
const [host1, host2] = [host('host1'), host('host2')];
const own = authority(directory, 'own');
const foreign = authority(directory, 'foreign');
const both = 'serverAuth,clientAuth';
function certify(to: string, from = own, more: { cn?: string; usage?: string; days?: number } = {}): void {
  const file = `${to.replaceAll('/', '_')}-${Math.random().toString(36).slice(2)}`;
  const { cert, key } = from.issue(file, { cn: to.split('/').at(-2) ?? '', usage: both, ...more });
  mkdirSync(to, { recursive: true });
  for (const [source, target] of [
    [own.ca, 'ca.pem'],
    [cert, 'host.pem'],
    [key, 'host.key'],
  ] as const)
    copyFileSync(source, join(to, target));
}
const staging = join(host2.settings.VSERVER_DIR, '.staging/web1.s1');
const tree = join(host1.settings.VSERVER_DIR, 'web1');

beforeAll(() => {
  mkdirSync(tree, { recursive: true });
  writeFileSync(join(tree, 'file'), 'content');
  mkdirSync(join(directory, 'outside'));
});
beforeEach(() => {
  mkdirSync(join(staging, 'tree'), { recursive: true });
  certify(host1.tls, own, { cn: 'host1' });
  certify(host2.tls, own, { cn: 'host2' });
});
afterEach(async () => {
  await host2.handlers['transfer.close']?.({ name: 'web1', saga: 's1' }, call);
  for (const one of open.splice(0)) one.destroy();
  rmSync(staging, { recursive: true });
  host2.refused.length = 0;
});
afterAll(() => rmSync(directory, { recursive: true }));

async function openPass(copy: CopyWay = 'rsync', channel: Channel = 'tls', ttl = 60_000) {
  const args = { name: 'web1', saga: 's1', copy, channel, fromHost: 'host1', from: '127.0.0.1', ttl };
  const opened = await host2.handlers['transfer.open']?.(args, call);
  if (!opened) throw new Error('no endpoint');
  return opened;
}
function sendPass(pass: { port: number; secret: string }, channel: Channel = 'tls', toHost = 'host2') {
  const secret = seal(pass.secret, sealKey(host1.settings));
  const args = { name: 'web1', saga: 's1', copy: 'rsync' as const, channel, toHost, secret, final: true };
  return host1.handlers['transfer.send']?.({ ...args, address: '127.0.0.1', port: pass.port }, call);
}
const failing = (what: unknown): Promise<{ code: string; message: string }> =>
  (what as Promise<unknown>).then(
    () => ({ code: 'none', message: 'it was done' }),
    (error: { code: string; message: string }) => error,
  );

/** A connection of TLS by hand, and what it hears until its end. */
function knock(port: number, options: ConnectionOptions & { localAddress?: string } = {}, say = '') {
  const { localAddress = '127.0.0.1', ...more } = options;
  const socket: Socket = connect({ port, host: '127.0.0.1', localAddress });
  const wire = connectTls({
    socket,
    ca: readFileSync(own.ca),
    checkServerIdentity: () => undefined,
    ...more,
  });
  open.push(socket, wire);
  let heard = '';
  if (say) wire.write(say);
  wire.on('data', (chunk: Buffer) => (heard += chunk.toString()));
  const ended = new Promise<string>((resolve) => {
    wire.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    wire.once('close', () => resolve('closed'));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    socket.once('close', () => resolve('closed'));
  });
  return { wire, ended, heard: () => heard };
}
const shown = (name: string, from = own, more: { usage?: string; days?: number } = {}) => {
  const { cert, key } = from.issue(`shown-${Math.random().toString(36).slice(2)}`, {
    cn: name,
    usage: both,
    ...more,
  });
  return { cert: readFileSync(cert), key: readFileSync(key) };
};

describe.skipIf(!root)('rsync through TLS', () => {
  test('copies, once, and leaves nothing of it', async () => {
    const pass = await openPass();
    expect(await sendPass(pass)).toMatchObject({ files: 1, treeFiles: 2, treeBytes: 7 });
    expect(readFileSync(join(staging, 'tree/file'), 'utf8')).toBe('content');
    expect(await failing(sendPass(pass))).toMatchObject({ code: 'failed', retryable: true });
    for (let tries = 0; readdirSync(host2.settings.RUN_DIR).length > 0 && tries < 100; tries++)
      await sleep(20);
    expect(readdirSync(host2.settings.RUN_DIR)).toEqual([]);
  });

  test('a renewed certificate, of a renewed authority too, counts for the next pass', async () => {
    await sendPass(await openPass());
    for (const one of [host1, host2]) {
      certify(one.tls, foreign, { cn: one.name });
      copyFileSync(foreign.ca, join(one.tls, 'ca.pem'));
    }
    expect(await sendPass(await openPass())).toMatchObject({ treeFiles: 2 });
  });

  test('a close ends a copy in the middle, on both sides', async () => {
    writeFileSync(join(tree, 'large'), Buffer.alloc(8e6, 'x'));
    const pass = await openPass();
    const secret = seal(pass.secret, sealKey(host1.settings));
    const sent = failing(
      host1.handlers['transfer.send']?.(
        {
          name: 'web1',
          saga: 's1',
          copy: 'rsync',
          channel: 'tls',
          toHost: 'host2',
          address: '127.0.0.1',
          port: pass.port,
          secret,
          final: true,
          bwlimit: 500_000,
        },
        call,
      ),
    );
    await sleep(1500);
    await host1.handlers['transfer.close']?.({ name: 'web1', saga: 's1' }, call);
    expect(await sent).toMatchObject({ message: 'the copy was given up' });
    await host2.handlers['transfer.close']?.({ name: 'web1', saga: 's1' }, call);
    rmSync(join(tree, 'large'));
    expect(existsSync(join(staging, 'tree/large'))).toBe(false);
  });
});

describe('who is refused at an endpoint of TLS', () => {
  const strangers: [string, () => ConnectionOptions, RegExp][] = [
    ['no certificate', () => ({}), /it shows no certificate; that of host1 was expected/],
    [
      'a certificate of another authority',
      () => shown('host1', foreign),
      /its certificate \(host1\) does not count: it is of another authority/,
    ],
    [
      "another host's certificate",
      () => shown('host3'),
      /it shows the certificate of host3; that of host1 was expected/,
    ],
    ['one that has expired', () => shown('host1', own, { days: -1 }), /does not count: it has expired/],
    [
      'one that is not made for clients',
      () => shown('host1', own, { usage: 'serverAuth' }),
      /does not count: it is not made for this side/,
    ],
  ];
  test.each(strangers)('%s: it is told why, and the endpoint is not used up', async (_, options, reason) => {
    const pass = await openPass();
    const stranger = knock(pass.port, options(), `${pass.secret} rsync\n`);
    expect(await deadline(stranger.ended, 4000)).not.toBe('too late');
    expect((JSON.parse(stranger.heard()) as { error: string }).error).toMatch(reason);
    expect(host2.refused).toEqual([expect.stringMatching(reason)]);
    const right = knock(pass.port, shown('host1'), `${pass.secret} rsync\n`);
    for (let tries = 0; right.heard() === '' && tries < 200; tries++) await sleep(20);
    expect(right.heard()).toMatch(/^\{"ok":true\}\n/);
  });

  test('a wrong secret, behind the right certificate, hears nothing and does not use it up', async () => {
    const pass = await openPass();
    const one = knock(pass.port, shown('host1'), 'guess rsync\n');
    expect(await deadline(one.ended, 4000)).not.toBe('too late');
    expect([one.heard(), host2.refused]).toEqual(['', ['it came with a wrong secret']]);
    const right = knock(pass.port, shown('host1'), `${pass.secret} rsync\n`);
    for (let tries = 0; right.heard() === '' && tries < 200; tries++) await sleep(20);
    expect(right.heard()).toMatch(/^\{"ok":true\}\n/);
    expect(await deadline(knock(pass.port, shown('host1')).ended, 3000)).toBe('ECONNREFUSED'); // twice
  });

  test('another address, with everything else right', async () => {
    const pass = await openPass();
    const stranger = knock(
      pass.port,
      { ...shown('host1'), localAddress: '127.0.0.2' },
      `${pass.secret} rsync\n`,
    );
    expect(await deadline(stranger.ended, 3000)).not.toBe('too late');
    expect([stranger.heard(), host2.refused]).toEqual(['', ['it is another address']]);
  });

  test('TLS 1.1 and no TLS at all', async () => {
    const pass = await openPass();
    const old = knock(pass.port, { ...shown('host1'), minVersion: 'TLSv1', maxVersion: 'TLSv1.1' });
    expect(await deadline(old.ended, 3000)).not.toBe('too late');
    const plain = connect({ port: pass.port, host: '127.0.0.1' });
    open.push(plain);
    let heard = '';
    plain.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1'))).write(`${pass.secret} rsync\n`);
    expect(await deadline(new Promise((resolve) => plain.once('close', resolve)), 3000)).not.toBe('too late');
    expect(heard).not.toContain('ok');
    expect(host2.refused).toEqual([
      expect.stringMatching(/TLS handshake failed/),
      expect.stringMatching(/TLS handshake failed/),
    ]);
  });

  test('after its deadline, after a close, after the end of the service nobody is let in', async () => {
    const late = await openPass('rsync', 'tls', 1000);
    const closed = await openPass();
    await host2.handlers['transfer.close']?.({ name: 'web1', saga: 's1' }, call);
    const ended = await openPass();
    await host2.service.stop?.();
    await sleep(1100);
    for (const pass of [late, closed, ended])
      expect(await deadline(knock(pass.port, shown('host1')).ended, 3000)).toBe('ECONNREFUSED');
    expect(host2.refused).toEqual([]);
  });

  test('a slow handshake, and one who says nothing, hold nobody up and end after ten seconds', async () => {
    const pass = await openPass();
    const silent = connect({ port: pass.port, host: '127.0.0.1' });
    const slow = connect({ port: pass.port, host: '127.0.0.1' });
    open.push(silent, slow);
    const mute = knock(pass.port, shown('host1')); // a good handshake, and then no word
    slow.write(Buffer.from([0x16, 3, 1, 2, 0, 1]));
    const ends = [silent, slow].map(
      (socket) =>
        new Promise<string>((resolve) => {
          socket.on('error', () => undefined).once('close', () => resolve('closed'));
        }),
    );
    await sleep(10_800);
    expect(await deadline(Promise.all([...ends, mute.ended]), 2000)).toEqual(['closed', 'closed', 'closed']);
    const others = [1, 2, 3].map(() => connect({ port: pass.port, host: '127.0.0.1' }));
    open.push(...others);
    for (const one of others) one.on('error', () => undefined);
    await sleep(100);
    const right = knock(pass.port, shown('host1'), `${pass.secret} rsync\n`);
    for (let tries = 0; right.heard() === '' && tries < 150; tries++) await sleep(20);
    expect(right.heard()).toMatch(/^\{"ok":true\}\n/);
  });
});

describe('whom a source refuses', () => {
  test.each([
    ['another host', own, 'host3', /expected, shows a certificate of host3: nothing was sent/],
    ['another authority', foreign, 'host2', /does not count: it is of another authority; nothing was sent/],
  ] as const)('%s behind the address of the target: the secret is not told', async (_, from, cn, reason) => {
    const pass = await openPass(); // of the true one, whose secret must not get out
    const { cert, key } = from.issue(`false-${cn}-${from === own}`, { cn, usage: both });
    const { createServer } = await import('node:tls');
    let heard = '';
    const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (socket) => {
      socket.on('data', (chunk: Buffer) => (heard += chunk.toString())).on('error', () => undefined);
    });
    server.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    open.push({ destroy: () => server.close() });
    const { port } = server.address() as { port: number };
    const failure = await failing(sendPass({ ...pass, port }));
    expect(failure).toMatchObject({ code: 'refused', message: expect.stringMatching(reason) });
    await sleep(50);
    expect(heard).toBe('');
  });

  test('the target says whom it expected: the sentence has both names', async () => {
    certify(host1.tls, foreign, { cn: 'host1' });
    copyFileSync(foreign.ca, join(host1.tls, 'ca.pem'));
    for (const file of ['host.pem', 'host.key']) copyFileSync(join(host2.tls, file), join(directory, file));
    writeFileSync(join(host1.tls, 'ca.pem'), readFileSync(foreign.ca)); // host1 was given away to another pool
    expect(await failing(sendPass(await openPass()))).toMatchObject({
      code: 'refused',
      message: expect.stringMatching(/host2 was expected, shows a certificate that does not count/),
    });
  });

  test('a host without a certificate, or with that of another, says what to do before anything is touched', async () => {
    const check = (one: typeof host1) =>
      failing(one.handlers['transfer.check']?.({ channel: 'tls', role: 'source' }, call));
    expect(await check(host1)).toMatchObject({ message: 'it was done' });
    certify(host2.tls, own, { cn: 'host9' });
    expect((await check(host2)).message).toMatch(/^host2 has no certificate .*belongs to "CN=host9"/);
    rmSync(host1.tls, { recursive: true });
    const { code, message } = await check(host1);
    expect(code).toBe('refused');
    expect(message).toMatch(/run "vs join" on host1 again, or .* host1:transport=rsyncd in slaves.conf/);
  });
});

describe.skipIf(!root)('a source that is evil', () => {
  const outside = join(directory, 'outside');
  /** rsync of an evil source, with what it wants to do, through a connection that is let in. */
  async function evil(words: string[], to = throughWire): Promise<{ code: number; said: string }> {
    const pass = await openPass();
    const identity = ownIdentity(host1.tls, 'host1');
    const way = {
      channel: 'tls' as const,
      address: '127.0.0.1',
      toHost: 'host2',
      signal: call.signal,
      identity,
    };
    const wire = await openWire({ ...way, ...pass }, ['rsync']);
    open.push(wire);
    const child: ChildProcess = spawn('rsync', [`--rsh="${rsyncWire}"`, '--timeout=10', ...words, to], {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    const inner = child.stdio[3] as Socket;
    pipeline(inner, wire, () => undefined);
    pipeline(wire, inner, () => undefined);
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => (said += String(chunk)));
    const code = await new Promise<number>((resolve) =>
      child.once('close', (status) => resolve(status ?? -1)),
    );
    return { code, said };
  }
  const mine = join(directory, 'evil');
  beforeEach(() => {
    rmSync(mine, { recursive: true, force: true });
    mkdirSync(mine);
    writeFileSync(join(mine, 'planted'), 'planted');
    writeFileSync(join(outside, 'victim'), 'as it was');
  });
  const unharmed = () => {
    expect(readdirSync(outside)).toEqual(['victim']);
    expect(readFileSync(join(outside, 'victim'), 'utf8')).toBe('as it was');
    expect(readdirSync(staging)).toEqual(['tree']);
  };

  test('..: what it wants above the tree lands in the tree, or nowhere', async () => {
    const before = readdirSync(host2.settings.VSERVER_DIR);
    await evil(['-a', `${mine}/planted`], 'vs-transfer::tree/../../../escaped/');
    await evil(['-aR', `${mine}/./../evil/planted`]);
    await evil(['-a', '--backup', '--backup-dir=../../up', '--temp-dir=../..', `${mine}/`]);
    expect(readdirSync(host2.settings.VSERVER_DIR)).toEqual(before);
    expect(existsSync(join(directory, 'escaped'))).toBe(false);
    unharmed();
  });

  test('a symlink that points out is kept as it is, and is not followed', async () => {
    symlinkSync(outside, join(mine, 'out'));
    symlinkSync('../../../../../outside', join(mine, 'up'));
    await evil(['-a', `${mine}/`]);
    expect(lstatSync(join(staging, 'tree/out')).isSymbolicLink()).toBe(true);
    await evil(['-a', '--keep-dirlinks', `${mine}/planted`], 'vs-transfer::tree/out/');
    await evil(['-a', '--keep-dirlinks', `${mine}/planted`], 'vs-transfer::tree/up/');
    await evil(['-a', '--inplace', '--keep-dirlinks', '--delete', `${mine}/`], 'vs-transfer::tree/out/');
    await evil(['-a', `--link-dest=${outside}`, `--copy-dest=${outside}`, `${mine}/`]);
    unharmed();
  });

  test('nothing can be read, and there is no other module', async () => {
    writeFileSync(join(staging, 'tree/secret'), 'of before');
    const got = join(mine, 'got');
    expect((await evil([throughWire], got)).code).not.toBe(0);
    expect((await evil(['vs-transfer::'], got)).said).not.toMatch(/tree/);
    expect((await evil(['vs-transfer::etc/passwd'], got)).said).toMatch(/Unknown module/);
    expect(existsSync(got)).toBe(false);
    unharmed();
  });
});

const btrfs = root && ['/usr/bin/btrfs', '/usr/sbin/mkfs.btrfs'].every((file) => existsSync(file));
if (!btrfs) console.log('skipped: evil streams of btrfs are tried as root, with btrfs-progs');
describe.skipIf(!btrfs)('an evil stream of btrfs', () => {
  const disk = join(directory, 'disk');
  beforeAll(() => {
    const tell = (file: string, ...args: string[]) => execFileSync(file, args, { stdio: 'pipe' });
    mkdirSync(disk);
    tell('truncate', '-s', '256M', join(directory, 'disk.img'));
    tell('mkfs.btrfs', '-q', '-L', 'vslab-private', join(directory, 'disk.img'));
    tell('mount', '-o', 'loop', join(directory, 'disk.img'), disk);
  });
  afterAll(() => void execFileSync('umount', [disk]));

  /** CRC-32C as btrfs counts it: no inversion (send.c, kernel). */
  function crc32c(bytes: Buffer): number {
    let crc = 0;
    for (const byte of bytes) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    }
    return crc >>> 0;
  }
  const text = (type: number, value: string | Buffer) => {
    const data = Buffer.from(value as string);
    const head = Buffer.alloc(4);
    head.writeUInt16LE(type, 0);
    head.writeUInt16LE(data.length, 2);
    return Buffer.concat([head, data]);
  };
  const long = (type: number, value: number) => {
    const data = Buffer.alloc(8);
    data.writeBigUInt64LE(BigInt(value));
    return text(type, data);
  };
  function command(kind: number, ...attributes: Buffer[]): Buffer {
    const body = Buffer.concat(attributes);
    const all = Buffer.concat([Buffer.alloc(10), body]);
    all.writeUInt32LE(body.length, 0);
    all.writeUInt16LE(kind, 4);
    all.writeUInt32LE(crc32c(all), 6);
    return all;
  }
  const [SUBVOL, SYMLINK, WRITE, TRUNCATE, END] = [1, 8, 15, 17, 21];
  const [UUID, CTRANSID, INO, SIZE, PATH, LINK, OFFSET, DATA] = [1, 2, 3, 4, 15, 17, 18, 19];
  const stream = (subvolume: string, ...commands: Buffer[]) =>
    Buffer.concat([
      Buffer.from('btrfs-stream\0'),
      Buffer.from([1, 0, 0, 0]),
      command(SUBVOL, text(PATH, subvolume), text(UUID, Buffer.alloc(16, 7)), long(CTRANSID, 5)),
      ...commands,
      command(END),
    ]);

  test.each([
    ['a subvolume above the staging', () => stream('../escaped')],
    [
      'a file above the staging',
      () => stream('s1.p0', command(TRUNCATE, text(PATH, '../../../victim'), long(SIZE, 1))),
    ],
    [
      'a file behind a symlink',
      () =>
        stream(
          's1.p0',
          command(SYMLINK, text(PATH, 'link'), long(INO, 260), text(LINK, join(directory, 'disk/victim'))),
          command(WRITE, text(PATH, 'link'), long(OFFSET, 0), text(DATA, 'planted')),
        ),
    ],
  ])('%s is out of reach', async (_, made) => {
    const place = join(disk, 'staging');
    mkdirSync(place, { recursive: true });
    writeFileSync(join(disk, 'victim'), 'as it was');
    const { receive } = await import('../../services/transfer/btrfs-send.ts');
    const { PassThrough, Duplex } = await import('node:stream');
    type Streams = Parameters<typeof Duplex.from>[0];
    const bytes = made();
    const [input, output] = [new PassThrough(), new PassThrough()];
    const head = Buffer.alloc(4);
    head.writeUInt32BE(bytes.length);
    input.end(Buffer.concat([head, bytes, Buffer.alloc(4)]));
    let heard = '';
    output.on('data', (chunk: Buffer) => (heard += chunk.toString()));
    const wire = Duplex.from({ readable: input, writable: output } as unknown as Streams);
    await receive({ wire, words: ['btrfs-send', 's1.p0', 'p0'] }, place, true, call.signal).catch(
      () => undefined,
    );
    await expect.poll(() => heard, { timeout: 8000 }).toMatch(/"ok":false/);
    expect(readFileSync(join(disk, 'victim'), 'utf8')).toBe('as it was');
    expect(readdirSync(disk).toSorted()).toEqual(['staging', 'victim']);
  });
});
