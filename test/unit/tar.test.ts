import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { extract, partsOf } from '../../cli/tar/extract.ts';
import { type Member, padding, readHeader, writeHeader } from '../../cli/tar/header.ts';
import { putInPlace, targetOf } from '../../cli/tar/place.ts';
import { readTar } from '../../cli/tar/read.ts';
import { measure, sendTar } from '../../cli/tar/write.ts';

let directory = '';
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'vslab-tar-'))));
afterEach(() => rmSync(directory, { recursive: true }));
const at = (...parts: string[]) => join(directory, ...parts);

const silent = { bytes: () => undefined, leftOut: () => undefined };
async function bytesOf(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}
/** Unpacks into `into/data`, the stream in pieces of an awkward length. */
async function unpack(stream: Buffer, into = 'into', piece = 700, leftOut: string[] = []) {
  mkdirSync(at(into), { mode: 0o700 });
  const pieces = function* () {
    for (let from = 0; from < stream.length; from += piece) yield stream.subarray(from, from + piece);
  };
  const members = readTar(Readable.from(pieces(), { objectMode: true }), (path) => leftOut.push(path));
  return extract(members, at(into), {}, () => undefined);
}

const plain = { mode: 0o644, uid: 0, gid: 0, mtime: 1e9, size: 0, target: '' };
const member = (type: Member['type'], path: string, more: Partial<Member> = {}, content = ''): Buffer => {
  const size = Buffer.byteLength(content);
  return Buffer.concat([
    writeHeader({ ...plain, type, path, size, ...more }),
    Buffer.from(content),
    Buffer.alloc(padding(size)),
  ]);
};
const end = Buffer.alloc(1024);
const top = member('directory', '.', { mode: 0o755 });

function makeTree(): string {
  const tree = at('tree');
  mkdirSync(join(tree, 'sub', 'd'.repeat(90)), { recursive: true });
  writeFileSync(join(tree, 'file'), 'content');
  writeFileSync(join(tree, 'empty'), '');
  writeFileSync(join(tree, 'sub', 'd'.repeat(90), 'long'.repeat(40)), 'x'.repeat(5000));
  writeFileSync(join(tree, '-dash'), 'dash');
  writeFileSync(join(tree, 'new\nline'), 'newline');
  writeFileSync(Buffer.concat([Buffer.from(`${tree}/latin`), Buffer.from([0xe4, 0xff])]), 'bytes');
  symlinkSync('file', join(tree, 'link'));
  symlinkSync(`/${'t'.repeat(150)}`, join(tree, 'far'));
  linkSync(join(tree, 'file'), join(tree, 'hard'));
  chmodSync(join(tree, 'file'), 0o640);
  chmodSync(join(tree, 'sub'), 0o750);
  utimesSync(join(tree, 'file'), 1_000_000_000, 1_000_000_000);
  return tree;
}
const names = (path: string) => readdirSync(path, { recursive: true, encoding: 'latin1' }).sort();

describe('what is sent', () => {
  test('GNU tar unpacks it, with every kind of name, mode, time and link', async () => {
    const tree = makeTree();
    const stream = await bytesOf(sendTar(tree, {}, silent));
    mkdirSync(at('gnu'));
    execFileSync('tar', ['-xpf', '-', '-C', at('gnu')], { input: stream });
    expect(names(at('gnu'))).toEqual(names(tree));
    expect(statSync(at('gnu/file'))).toMatchObject({ mode: 0o100640, nlink: 2 });
    expect(statSync(at('gnu/file')).mtimeMs).toBe(1e12);
    expect(statSync(at('gnu/sub')).mode & 0o777).toBe(0o750);
    expect(readlinkSync(at('gnu/far'))).toBe(`/${'t'.repeat(150)}`);
    expect(await measure(tree)).toMatchObject({ files: 12 });
  });

  test('owner and mode may be given; what no vserver has becomes its root', async () => {
    writeFileSync(at('one'), 'x');
    const head = readHeader(
      await bytesOf(sendTar(at('one'), { uid: 33, gid: 34, mode: 0o600 }, silent)).then((all) =>
        all.subarray(0, 512),
      ),
    );
    expect(head).toMatchObject({ path: 'data', uid: 33, gid: 34, mode: 0o600, size: 1 });
  });

  test('8 GB and more have a size that tar understands', () => {
    const head = writeHeader({ ...plain, type: 'file', path: 'big', size: 20e9 });
    expect(readHeader(head)?.size).toBe(20e9);
    const listed = spawnSync('tar', ['-tvf', '-'], { input: head, encoding: 'utf8' }).stdout; // it is cut off, which tar says
    expect(listed).toContain('20000000000');
  });

  test('a file that becomes shorter meanwhile is an error, not a file of zeros', async () => {
    writeFileSync(at('one'), 'x'.repeat(1_000_000));
    const stream = sendTar(at('one'), {}, silent);
    await stream.next(); // its header
    await stream.next();
    writeFileSync(at('one'), '');
    await expect(bytesOf(stream)).rejects.toThrow(/became shorter/);
  });
});

describe('what comes', () => {
  test.each(['gnu', 'posix', 'ustar', 'v7', 'oldgnu'])('a stream of GNU tar in format %s', async (format) => {
    const tree = makeTree();
    if (format === 'ustar' || format === 'v7') {
      rmSync(join(tree, 'sub'), { recursive: true });
      rmSync(join(tree, 'far'));
    }
    const stream = execFileSync('tar', [`--format=${format}`, '-cf', '-', '.'], {
      cwd: tree,
      maxBuffer: 64e6,
    });
    expect(await unpack(stream)).toBe('tree');
    expect(names(at('into/data'))).toEqual(names(tree));
    expect(readFileSync(at('into/data/file'), 'utf8')).toBe('content');
    expect(statSync(at('into/data/file'))).toMatchObject({ mode: 0o100640, nlink: 2, mtimeMs: 1e12 });
    expect(readlinkSync(at('into/data/link'))).toBe('file');
  });

  test('a stream of busybox', async () => {
    const tree = makeTree();
    const stream = execFileSync('busybox', ['tar', '-cf', '-', '.'], { cwd: tree, maxBuffer: 64e6 });
    expect(await unpack(stream)).toBe('tree');
    expect(names(at('into/data'))).toEqual(names(tree));
  });

  test('what was sent here comes back the same, in pieces of any length', async () => {
    const tree = makeTree();
    const stream = await bytesOf(sendTar(tree, {}, silent));
    for (const piece of [1, 511, 513, 1e6]) {
      await unpack(stream, `into${piece}`, piece);
      expect(names(at(`into${piece}/data`))).toEqual(names(tree));
    }
  });

  test('set-id bits do not come along, and its owner is who pulls', async () => {
    const bits = member('file', './suid', { mode: 0o6755, uid: 1234, gid: 1234 }, '#!/bin/sh\n');
    await unpack(Buffer.concat([top, bits, end]));
    const { mode, uid } = statSync(at('into/data/suid'));
    expect([mode & 0o7777, uid]).toEqual([0o755, process.getuid?.()]);
  });

  test('devices and pipes are left out and told', async () => {
    const device = writeHeader({ ...plain, type: 'file', path: './null' });
    device.write('3', 156, 'latin1');
    device.fill(' ', 148, 156);
    device.write(
      `${device
        .reduce((all, byte) => all + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
      'latin1',
    );
    const leftOut: string[] = [];
    await unpack(Buffer.concat([top, device, member('file', './a', {}, 'a'), end]), 'into', 700, leftOut);
    expect([leftOut, readdirSync(at('into/data'))]).toEqual([['./null'], ['a']]);
  });
});

describe('a vserver that is an enemy writes nothing elsewhere', () => {
  const victim = () => at('victim');
  beforeEach(() => writeFileSync(victim(), 'untouched'));
  const dir = (path: string) => member('directory', path, { mode: 0o755 });
  const file = (path: string) => member('file', path, {}, 'evil');
  const sym = (path: string, target: string) => member('symlink', path, { target });
  const hard = (path: string, target: string) => member('link', path, { target });

  test.each<[string, () => Buffer[]]>([
    ['an absolute path', () => [top, file(victim())]],
    ['a path with ..', () => [top, file('./../../victim')]],
    ['.. in the middle', () => [top, dir('./a'), file('./a/../../../victim')]],
    ['a link out, then a file through it', () => [top, sym('./out', directory), file('./out/victim')]],
    ['a link to a file, then that file', () => [top, sym('./v', victim()), file('./v')]],
    ['a file, then a directory of its name', () => [top, file('./a'), dir('./a')]],
    ['a directory that becomes a link', () => [top, dir('./a'), sym('./a', directory), file('./a/victim')]],
    ['a hard link to a file of this machine', () => [top, hard('./h', victim()), file('./h')]],
    ['a hard link with ..', () => [top, hard('./h', '../../victim')]],
    ['a hard link to a symbolic link', () => [top, sym('./s', victim()), hard('./h', './s')]],
    ['a file twice', () => [top, file('./a'), file('./a')]],
    ['a file in no directory', () => [top, file('./no/a')]],
    ['a file below a file', () => [top, file('./a'), file('./a/b')]],
    ['a second top', () => [top, top]],
    ['a link as the top', () => [sym('.', directory)]],
    ['a link as the file that was asked for', () => [sym('./hosts', victim())]],
    ['more than the one file', () => [file('./a'), file('./b')]],
    ['one file that lies deeper', () => [file('./a/b')]],
    ['a name of nothing', () => [top, file('')]],
    ['a link to nothing', () => [top, sym('./a', '')]],
    ['too many levels', () => [top, file(`./${'a/'.repeat(300)}b`)]],
  ])('%s', async (_, parts) => {
    await expect(unpack(Buffer.concat([...parts(), end]))).rejects.toMatchObject({ code: 'refused' });
    expect(readFileSync(victim(), 'utf8')).toBe('untouched');
    expect(lstatSync(victim()).nlink).toBe(1);
    expect(readdirSync(directory).sort()).toEqual(['into', 'victim']);
  });

  test('names in attributes are judged as others are', async () => {
    const record = (text: string) => {
      let length = text.length + 3;
      while (`${length} ${text}\n`.length !== length) length = `${length} ${text}\n`.length;
      return `${length} ${text}\n`;
    };
    const attributes = record(`path=${victim()}`);
    const head = writeHeader({ ...plain, type: 'file', path: 'attributes', size: attributes.length });
    head.write('x', 156, 'latin1');
    head.fill(' ', 148, 156);
    head.write(
      `${head
        .reduce((all, byte) => all + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
      'latin1',
    );
    const stream = Buffer.concat([
      top,
      head,
      Buffer.from(attributes),
      Buffer.alloc(padding(attributes.length)),
      file('./a'),
      end,
    ]);
    await expect(unpack(stream)).rejects.toMatchObject({ code: 'refused' });
    expect(readFileSync(victim(), 'utf8')).toBe('untouched');
  });

  test.each<[string, (whole: Buffer) => Buffer]>([
    ['nothing', () => Buffer.alloc(0)],
    ['cut in a header', (whole) => whole.subarray(0, 700)],
    ['cut in a file', (whole) => whole.subarray(0, 1100)],
    ['without its end', (whole) => whole.subarray(0, 1536)],
    [
      'a wrong checksum',
      (whole) =>
        Buffer.concat([top, whole.subarray(512).map((byte, index) => (index === 3 ? byte ^ 1 : byte))]),
    ],
    ['garbage', () => Buffer.alloc(4096, 'x')],
  ])('%s is no tar stream', async (_, change) => {
    const whole = Buffer.concat([top, member('file', './a', {}, 'content'), end]);
    await expect(unpack(change(whole))).rejects.toMatchObject({ code: 'failed' });
  });

  test('a name without end is not collected', async () => {
    const head = writeHeader({ ...plain, type: 'file', path: 'x', size: 1e9 });
    head.write('L', 156, 'latin1');
    head.fill(' ', 148, 156);
    head.write(
      `${head
        .reduce((all, byte) => all + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
      'latin1',
    );
    await expect(unpack(Buffer.concat([top, head, Buffer.alloc(4096)]))).rejects.toThrow(/too long/);
  });
});

test('paths of a stream', () => {
  expect([partsOf('.'), partsOf('./'), partsOf('./a/b/'), partsOf('a')]).toEqual([[], [], ['a', 'b'], ['a']]);
  for (const bad of ['/', '/a', '..', './..', 'a/..', 'a//b', './a/./b', 'a\0'])
    expect(() => partsOf(bad), bad).toThrow();
});

describe('putting it in place', () => {
  const place = (from: string, to: string) => putInPlace(Buffer.from(at(from)), Buffer.from(at(to)));
  beforeEach(() => {
    mkdirSync(at('fresh/sub'), { recursive: true });
    writeFileSync(at('fresh/sub/file'), 'new');
  });

  test('a new name, and a directory that takes it in', async () => {
    await place('fresh', 'one');
    expect(readFileSync(at('one/sub/file'), 'utf8')).toBe('new');
    mkdirSync(at('fresh/sub'), { recursive: true });
    writeFileSync(at('fresh/sub/other'), 'more');
    await place('fresh', 'one');
    expect(readdirSync(at('one/sub')).sort()).toEqual(['file', 'other']);
  });

  test('a link of an earlier pull is not followed', async () => {
    mkdirSync(at('outside'));
    mkdirSync(at('one'));
    symlinkSync(at('outside'), at('one/sub'));
    await expect(place('fresh', 'one')).rejects.toThrow(/symbolic link/);
    expect(readdirSync(at('outside'))).toEqual([]);
  });

  test('a file takes the place of a link, not of what it leads to', async () => {
    writeFileSync(at('outside'), 'untouched');
    mkdirSync(at('one/sub'), { recursive: true });
    symlinkSync(at('outside'), at('one/sub/file'));
    await place('fresh', 'one');
    expect(readFileSync(at('one/sub/file'), 'utf8')).toBe('new');
    expect(readFileSync(at('outside'), 'utf8')).toBe('untouched');
  });

  test('a file and a directory are not exchanged', async () => {
    mkdirSync(at('one/sub/file'), { recursive: true });
    await expect(place('fresh', 'one')).rejects.toMatchObject({ code: 'conflict' });
    writeFileSync(at('two'), 'x');
    await expect(place('fresh', 'two')).rejects.toMatchObject({ code: 'conflict' });
  });

  test('where it goes', async () => {
    expect(await targetOf(directory, 'hosts', false)).toBe(at('hosts'));
    expect(await targetOf(at('other'), 'hosts', false)).toBe(at('other'));
    for (const [to, many] of [
      [at('other'), true],
      [at('other/'), false],
      [at('no/other'), false],
    ] as const)
      await expect(targetOf(to, 'hosts', many)).rejects.toMatchObject({ code: 'not-found' });
    expect(existsSync(at('other'))).toBe(false);
  });
});
