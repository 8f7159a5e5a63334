import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex, PassThrough, Readable, Transform } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import * as fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { END, framesInto, sendFramed, sendGathered, unframed } from '../../services/transfer/frames.ts';
import { startGathered } from '../../services/transfer/gathered.ts';
import { readLine } from '../../services/transfer/hello.ts';
import { meter } from '../../services/transfer/progress.ts';

const signal = new AbortController().signal;
const directory = mkdtempSync(join(tmpdir(), 'vslab-frames-'));
afterAll(() => rmSync(directory, { recursive: true }));
/** What a source puts on the wire for these pieces. */
async function onWire(pieces: Uint8Array[], limit?: number): Promise<Buffer> {
  const wire = new PassThrough();
  const all = buffer(wire);
  await sendFramed(Readable.from(pieces.map((one) => Buffer.from(one))), wire, { signal, bwlimit: limit });
  wire.end();
  return all;
}
/** What a target makes of it, when it comes in pieces of these sizes. */
async function taken(bytes: Buffer, sizes: number[]): Promise<{ text: Buffer; whole: boolean }> {
  const pieces: Buffer[] = [];
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const size = sizes[n % sizes.length] ?? 1;
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  const { stream, whole } = unframed();
  const text = buffer(stream);
  await pipeline(Readable.from(pieces), stream);
  return { text: await text, whole: whole() };
}
const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 });

test('what was sent arrives, however it is cut on the way; the end mark alone makes it whole', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 30 }),
      sizes,
      async (pieces, cuts) => {
        const sent = await onWire(pieces);
        const text = Buffer.concat(pieces);
        expect(await taken(Buffer.concat([sent, END]), cuts)).toEqual({ text, whole: true });
        expect((await taken(sent, cuts)).whole).toBe(false);
        expect((await taken(Buffer.concat([sent, END, END]), cuts)).whole).toBe(false);
        if (text.length > 0) expect((await taken(sent.subarray(0, -1), cuts)).whole).toBe(false);
      },
    ),
    { numRuns: 100 },
  );
});

test('pieces of a few bytes go together; with a limit no frame is more than a twentieth of a second of it', async () => {
  const pieces = Array.from({ length: 10_000 }, () => Buffer.alloc(60, 1));
  expect((await onWire(pieces)).length).toBeLessThan(600_000 + 4 * 100);
  const limited = await onWire(pieces.slice(0, 2000), 400_000);
  for (let at = 0; at < limited.length; at += 4 + limited.readUInt32BE(at))
    expect(limited.readUInt32BE(at)).toBeLessThan(20_000 + 60);
});

test('a length that none has is no end of a stream', async () => {
  const wrong = Buffer.from([0x7f, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0]);
  expect((await taken(wrong, [100])).whole).toBe(false);
});

/** A socket as gather.pl opens it: what it gives to the one who connects. */
async function giving(pieces: Iterable<Buffer>): Promise<string> {
  const path = join(mkdtempSync(join(directory, 'socket-')), 'socket');
  const server = createServer((to) => {
    to.on('error', () => undefined);
    void pipeline(Readable.from(pieces), to).catch(() => undefined);
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return path;
}

test('what comes from the socket of gather.pl arrives whole, whoever reads slowly, and with a limit in time', async () => {
  const pieces = Array.from({ length: 3000 }, (_, n) => Buffer.alloc(1 + ((n * 7919) % 9000), `${n} `));
  for (const bwlimit of [undefined, 40_000_000]) {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const accepted = new Promise<Socket>((resolve) => void server.once('connection', resolve));
    const wire = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
    const { stream, whole } = unframed();
    const slowly = new Transform({
      transform: (chunk: Buffer, _encoding, next) => void setTimeout(next, 1, undefined, chunk),
    });
    const text = buffer(stream);
    const passing = pipeline(await accepted, slowly, stream);
    const counted: number[] = [];
    const count = { ...meter(undefined, () => undefined), add: (bytes: number) => void counted.push(bytes) };
    await sendGathered(await giving(pieces), wire, { signal, bwlimit }, count);
    wire.end(END);
    await passing;
    const all = Buffer.concat(pieces);
    expect((await text).equals(all)).toBe(true);
    expect(whole()).toBe(true);
    expect(counted.reduce((sum, bytes) => sum + bytes, 0)).toBe(all.length);
    if (bwlimit) expect(Math.max(...counted)).toBeLessThanOrEqual(256 * 1024);
    server.close();
  }
});

test('of the socket of gather.pl, too, a wire that breaks or a copy that is given up is no wait', async () => {
  const endless = function* () {
    for (;;) yield Buffer.alloc(100_000);
  };
  const broken = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => done(new Error('broken')),
  });
  broken.on('error', () => undefined);
  await expect(sendGathered(await giving(endless()), broken, { signal })).rejects.toThrow('broken');
  const stuck = new Duplex({ read: () => undefined, write: () => undefined });
  const sending = sendGathered(await giving(endless()), stuck, { signal });
  setTimeout(() => stuck.destroy(), 30);
  await expect(sending).rejects.toThrow('the connection was closed');
  const given = new AbortController();
  const other = new Duplex({ read: () => undefined, write: () => undefined });
  const waiting = sendGathered(await giving(endless()), other, { signal: given.signal });
  setTimeout(() => given.abort(), 30);
  await expect(waiting).rejects.toThrow('given up');
  await expect(sendGathered('/nowhere', new PassThrough(), { signal })).rejects.toThrow('ENOENT');
});

test('a tool behind gather.pl that is ended before anybody reads leaves no socket behind', async () => {
  const runDir = mkdtempSync(join(directory, 'run-'));
  const { child, socket } = startGathered(runDir, ['true'], signal);
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  expect(existsSync(socket)).toBe(true);
  child.kill('SIGKILL');
  await expect.poll(() => readdirSync(runDir), { timeout: 10_000 }).toEqual([]);
});

test('a socket that is read slowly gets what was sent, though its pieces lie in memory that is used again', async () => {
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const accepted = new Promise<Socket>((resolve) => void server.once('connection', resolve));
  const wire = connect({ port, host: '127.0.0.1' });
  const far = await accepted;
  const pieces = Array.from({ length: 3000 }, (_, n) => Buffer.alloc(1 + ((n * 7919) % 9000), `${n} `));
  const { stream, whole } = unframed();
  const slowly = new Transform({
    transform: (chunk: Buffer, _encoding, next) => void setTimeout(next, 1, undefined, chunk),
  });
  const text = buffer(stream);
  const passing = pipeline(far, slowly, stream);
  await sendFramed(Readable.from(pieces), wire, { signal });
  wire.end(END);
  await passing;
  expect((await text).equals(Buffer.concat(pieces))).toBe(true);
  expect(whole()).toBe(true);
  server.close();
});

test('a wire that breaks fails what is sent through it, and does not let it wait', async () => {
  const wire = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => done(new Error('broken')),
  });
  wire.on('error', () => undefined);
  const endless = Readable.from(
    (function* () {
      for (;;) yield Buffer.alloc(100_000);
    })(),
  );
  await expect(sendFramed(endless, wire, { signal })).rejects.toThrow();
});

test('a line is not waited for on a wire that has closed or ended before', async () => {
  const closed = new PassThrough();
  closed.destroy();
  await new Promise((resolve) => closed.once('close', resolve));
  await expect(readLine(closed)).rejects.toThrow('the other side closed the connection');
  const ended = new PassThrough();
  ended.end();
  await new Promise((resolve) => ended.resume().once('end', resolve));
  await expect(readLine(ended)).rejects.toThrow('the other side closed the connection');
});

/** Two ends of a connection, the second one paused. */
async function pair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<Socket>((resolve) => void server.once('connection', resolve));
  const near = connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  });
  const far = await accepted;
  server.close();
  return [near, far];
}

test('frames go into a tool that takes them slowly, from a wire that was paused, and their end ends it', async () => {
  const pieces = Array.from({ length: 2000 }, (_, n) => Buffer.alloc(1 + ((n * 7919) % 9000), `${n} `));
  const [wire, far] = await pair();
  const [stdin, tool] = await pair();
  far.pause(); // as it is once a line was read from it
  const { over, whole } = framesInto(far, stdin);
  const slowly = new Transform({
    transform: (chunk: Buffer, _encoding, next) => void setTimeout(next, 1, undefined, chunk),
  });
  const text = buffer(slowly);
  const passing = pipeline(tool, slowly);
  await sendFramed(Readable.from(pieces), wire, { signal });
  wire.end(END);
  await Promise.all([over, passing]);
  expect((await text).equals(Buffer.concat(pieces))).toBe(true);
  expect(whole()).toBe(true);
});

test('a few bytes do not wait for more', async () => {
  const [wire, far] = await pair();
  const [stdin, tool] = await pair();
  framesInto(far, stdin);
  const came = new Promise<string>((resolve) =>
    tool.once('data', (chunk: Buffer) => resolve(chunk.toString())),
  );
  tool.resume();
  wire.write(Buffer.from('\0\0\0\u0005hello'));
  expect(await came).toBe('hello');
  for (const socket of [wire, far, stdin, tool]) socket.destroy();
});

test('a tool that has enough before the end lets the rest go; a wire that breaks is not whole', async () => {
  const [wire, far] = await pair();
  const [stdin, tool] = await pair();
  stdin.on('error', () => undefined);
  const { over, whole } = framesInto(far, stdin);
  tool.destroy();
  await sendFramed(Readable.from(Array.from({ length: 300 }, () => Buffer.alloc(50_000))), wire, { signal });
  wire.end(END);
  await over;
  expect(whole()).toBe(true);
  const [other, end] = await pair();
  const cut = framesInto(end, new PassThrough());
  other.write(Buffer.from('\0\0\0\u0005hel'));
  setTimeout(() => other.destroy(), 20);
  await cut.over;
  expect(cut.whole()).toBe(false);
});
