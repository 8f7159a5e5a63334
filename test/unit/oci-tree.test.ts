import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type TarEntry, readTar } from '../../services/template/oci/tar-read.ts';
import { find, names as namesOf } from '../../services/template/oci/tree.ts';
import { applied, paths, pieces, tar } from './oci-kit.ts';

const work = mkdtempSync(join(tmpdir(), 'vslab-oci-'));
afterAll(() => rmSync(work, { recursive: true }));

async function entriesOf(bytes: Buffer): Promise<(TarEntry & { text: string })[]> {
  const all: (TarEntry & { text: string })[] = [];
  for await (const { entry, data } of readTar(pieces(bytes, 700))) {
    const parts: Buffer[] = [];
    for await (const part of data) parts.push(part);
    all.push({ ...entry, text: Buffer.concat(parts).toString() });
  }
  return all;
}
/** An archive of GNU tar. */
function byTar(...options: string[]): Buffer {
  const { status, stderr } = spawnSync('tar', [
    ...options,
    '-C',
    join(work, 'root'),
    '-cf',
    join(work, 'made.tar'),
    '.',
  ]);
  expect(status, String(stderr)).toBe(0);
  return readFileSync(join(work, 'made.tar'));
}

describe('archives of others', () => {
  const long = 'd'.repeat(120);
  mkdirSync(join(work, 'root', long), { recursive: true });
  writeFileSync(join(work, 'root', long, 'e'.repeat(140)), 'deep');
  spawnSync('ln', ['-s', `/${long}/${'e'.repeat(140)}`, join(work, 'root', 'link')]);
  writeFileSync(join(work, 'root', 'ümlaut'), 'x'.repeat(5000));

  test.each(['gnu', 'pax', 'posix'])('names of any length, in the format %s of GNU tar', async (format) => {
    const all = await entriesOf(byTar(`--format=${format}`));
    expect(all.map((one) => one.path).sort()).toEqual(
      ['./', './link', './ümlaut', `./${long}/`, `./${long}/${'e'.repeat(140)}`].sort(),
    );
    expect(all.find((one) => one.kind === 'symlink')?.link).toBe(`/${long}/${'e'.repeat(140)}`);
    expect(all.find((one) => one.path.endsWith('eee'))?.text).toBe('deep');
    expect(all.find((one) => one.path === './ümlaut')?.text).toBe('x'.repeat(5000));
  });

  test('GNU tar reads what we write: owners, modes, long names, attributes', () => {
    const file = join(work, 'ours.tar');
    writeFileSync(
      file,
      tar([
        { path: `${'p'.repeat(150)}/`, mode: 0o700, uid: 3_000_000 },
        {
          path: `${'p'.repeat(150)}/file`,
          data: 'text',
          mode: 0o4750,
          uid: 1000,
          gid: 2000,
          xattrs: { 'user.note': 'hello' },
        },
        { path: 'hard', flag: '1', link: `${'p'.repeat(150)}/file` },
      ]),
    );
    const { stdout, status } = spawnSync(
      'tar',
      ['--numeric-owner', '--xattrs', '--xattrs-include=*', '-tvvf', file],
      { encoding: 'utf8' },
    );
    expect(status).toBe(0);
    expect(stdout).toMatch(/^drwx------ +3000000\/0 +0 /);
    expect(stdout).toMatch(/-rwsr-x---\*? +1000\/2000 +4 .*\/file\n +x: +5 user\.note/);
    expect(stdout).toMatch(/hard link to p{150}\/file/);
  });

  test('damage is named, not taken', async () => {
    const good = tar([{ path: 'a', data: 'x'.repeat(3000) }]);
    const flipped = Buffer.from(good);
    flipped[3] = 0x41;
    await expect(entriesOf(flipped)).rejects.toThrow(/checksum of a header is wrong/);
    await expect(entriesOf(good.subarray(0, 2000))).rejects.toThrow(/ends in the middle/);
    await expect(entriesOf(Buffer.from('words '.repeat(200)))).rejects.toThrow(/damaged/);
  });

  test('a sparse file is refused by name', async () => {
    spawnSync('truncate', ['-s', '8M', join(work, 'root', 'holes')]);
    await expect(entriesOf(byTar('--format=gnu', '--sparse'))).rejects.toThrow(/"\.\/holes" is of a kind/);
    await expect(entriesOf(byTar('--format=posix', '--sparse'))).rejects.toThrow(/sparse/);
    rmSync(join(work, 'root', 'holes'));
  });
});

describe('layers', () => {
  test('a later layer adds, replaces and changes modes; what it does not name stays', async () => {
    const tree = await applied(
      [
        { path: 'etc/' },
        { path: 'etc/a', data: 'old' },
        { path: 'etc/b', data: 'b' },
        { path: 'srv/', mode: 0o700 },
      ],
      [
        { path: 'etc/a', data: 'newer' },
        { path: 'srv/', mode: 0o755 },
        { path: './var/log/c', data: 'c' },
      ],
    );
    expect(paths(tree)).toEqual(['etc', 'etc/a', 'etc/b', 'srv', 'var', 'var/log', 'var/log/c']);
    expect(find(tree, 'etc/a')?.inode).toMatchObject({ size: 5, layer: 1, index: 0 });
    expect(find(tree, 'etc/b')?.inode).toMatchObject({ layer: 0, index: 2 });
    expect(find(tree, 'srv')?.inode.mode).toBe(0o755);
  });

  test('a whiteout removes what lower layers had, and nothing of its own layer', async () => {
    const lower = [
      { path: 'd/x', data: '' },
      { path: 'd/y', data: '' },
      { path: 'e/z', data: '' },
    ];
    expect(paths(await applied(lower, [{ path: 'd/.wh.x' }]))).toEqual(['d', 'd/y', 'e', 'e/z']);
    expect(paths(await applied(lower, [{ path: '.wh.d' }]))).toEqual(['e', 'e/z']);
    expect(paths(await applied(lower, [{ path: 'd/x', data: 'new' }, { path: 'd/.wh.x' }]))).toContain('d/x');
    expect(paths(await applied(lower, [{ path: 'd/new', data: '' }, { path: '.wh.d' }]))).toEqual([
      'd',
      'd/new',
      'e',
      'e/z',
    ]);
    expect(paths(await applied(lower, [{ path: '.wh.nothing' }, { path: 'no/where/.wh.x' }]))).toEqual(
      paths(await applied(lower)),
    );
    expect(paths(await applied(lower, [{ path: '.wh..wh.plnk' }, { path: '.wh..wh.aufs' }]))).toEqual(
      paths(await applied(lower)),
    );
    // what was removed may come back with the next layer
    expect(paths(await applied(lower, [{ path: '.wh.d' }], [{ path: 'd/again', data: '' }]))).toEqual([
      'd',
      'd/again',
      'e',
      'e/z',
    ]);
  });

  test('an opaque directory hides all of the lower layers, whatever the order of its layer', async () => {
    const lower = [
      { path: 'd/sub/deep', data: '' },
      { path: 'd/x', data: '' },
    ];
    const own = [{ path: 'd/' }, { path: 'd/own', data: '' }];
    const opaque = { path: 'd/.wh..wh..opq' };
    for (const upper of [
      [opaque, ...own],
      [...own, opaque],
    ])
      expect(paths(await applied(lower, upper))).toEqual(['d', 'd/own']);
    expect(paths(await applied(lower, [{ path: 'd/sub/new', data: '' }, opaque]))).toEqual([
      'd',
      'd/sub',
      'd/sub/new',
    ]);
    expect(paths(await applied(lower, [{ path: '.wh..wh..opq' }]))).toEqual([]);
  });

  test('a file in the place of a directory takes its place, and the other way round', async () => {
    const tree = await applied(
      [
        { path: 'd/x', data: '' },
        { path: 'f', data: '' },
      ],
      [
        { path: 'd', data: 'file' },
        { path: 'f/y', data: '' },
      ].slice(0, 1),
      [{ path: 'f/' }, { path: 'f/y', data: '' }],
    );
    expect(paths(tree)).toEqual(['d', 'f', 'f/y']);
  });

  test('hard links share a file, which stays when its first name goes', async () => {
    const lower = [
      { path: 'a', data: 'text' },
      { path: 'b', flag: '1', link: 'a' },
      { path: 's/c', flag: '1', link: './a' },
    ];
    const tree = await applied(lower, [{ path: '.wh.a' }, { path: 'b', data: 'other' }]);
    expect(paths(tree)).toEqual(['b', 's', 's/c']);
    expect(find(tree, 's/c')?.inode).toMatchObject({ layer: 0, index: 0, size: 4 });
    expect(find(tree, 'b')?.inode).toMatchObject({ layer: 1, size: 5 });
    await expect(applied([{ path: 'b', flag: '1', link: 'gone' }])).rejects.toThrow(
      /"b" is a hard link to "gone"/,
    );
    await expect(
      applied([
        { path: 'd/x', data: '' },
        { path: 'b', flag: '1', link: 'd' },
      ]),
    ).rejects.toThrow(/is no file of the image/);
  });

  test('links of the image are followed inside of it, as its own kernel would', async () => {
    const tree = await applied(
      [
        { path: 'usr/bin/sh', data: '' },
        { path: 'bin', link: 'usr/bin' },
        { path: 'up', link: '../../../usr/../usr' },
        { path: 'abs', link: '/usr' },
        { path: 'opt/abs', link: '/usr' },
      ],
      [
        { path: 'bin/ls', data: '' },
        { path: 'up/one', data: '' },
        { path: 'abs/two', data: '' },
        { path: 'opt/abs/three', data: '' },
        { path: 'abs/bin/.wh.sh' },
      ],
    );
    const names = 'abs bin opt opt/abs up usr usr/bin usr/bin/ls usr/one usr/three usr/two';
    expect(paths(tree)).toEqual(names.split(' '));
    expect(find(tree, 'bin/ls')?.inode.kind).toBe('file');
    expect(find(tree, 'bin')?.inode.kind).toBe('directory');
    await expect(
      applied([
        { path: 'x', link: 'y' },
        { path: 'y', link: 'x' },
        { path: 'x/z', data: '' },
      ]),
    ).rejects.toThrow(/too many links/);
    expect(find(await applied([{ path: 'x', link: 'x' }]), 'x')).toBeUndefined();
  });

  test('a link in the place of what a path goes through leads nowhere outside', async () => {
    const tree = await applied([
      { path: 'etc', link: '/../../../../outside' },
      { path: 'etc/passwd', data: 'x' },
    ]);
    expect(paths(tree)).toEqual(['etc', 'outside', 'outside/passwd']);
  });

  test.each([
    ['../x', /leads out of the image/],
    ['a/../../x', /leads out of the image/],
    ['a/.wh...', /removes nothing that could be/],
    ['.wh.', /removes nothing that could be/],
    ['a'.repeat(256), /more than 255 bytes/],
    [`${'a/'.repeat(2100)}x`, /more than 4096 bytes/],
    ['.', /takes the place of the root/],
  ])('%s is refused', async (path, says) => {
    await expect(applied([{ path, flag: '0', data: '' }])).rejects.toThrow(says);
  });

  test('a hard link out of the image, and a file below a file, are refused', async () => {
    await expect(applied([{ path: 'b', flag: '1', link: '../../etc/shadow' }])).rejects.toThrow(
      /leads out of the image/,
    );
    await expect(
      applied([
        { path: 'a', data: '' },
        { path: 'a/b', data: '' },
      ]),
    ).rejects.toThrow(/below something that is no directory/);
  });

  test('devices are left out and counted, and take away what they hide', async () => {
    const tree = await applied(
      [
        { path: 'dev/null', data: '' },
        { path: 'dev/fifo', flag: '6' },
      ],
      [
        { path: 'dev/null', flag: '3' },
        { path: 'dev/sda', flag: '4' },
      ],
    );
    expect(paths(tree)).toEqual(['dev', 'dev/fifo']);
    expect(tree.devices).toBe(2);
  });

  test('attributes that a guest needs stay, others go', async () => {
    const xattrs = {
      'security.capability': 'c',
      'user.mine': 'm',
      'trusted.overlay.opaque': 'y',
      'security.selinux': 's',
      'user.overlay.origin': 'o',
    };
    const tree = await applied([{ path: 'a', data: '', xattrs }]);
    expect([...(find(tree, 'a')?.inode.xattrs.keys() ?? [])]).toEqual(['security.capability', 'user.mine']);
  });

  test('a directory comes before what is in it', async () => {
    const all = [
      ...namesOf(
        await applied([
          { path: 'b/c/d', data: '' },
          { path: 'a', data: '' },
          { path: 'b/', mode: 0o700 },
        ]),
      ),
    ];
    expect(all.map(([path, { mode }]) => [path, mode])).toEqual([
      ['a', 0o644],
      ['b', 0o700],
      ['b/c', 0o755],
      ['b/c/d', 0o644],
    ]);
  });
});
