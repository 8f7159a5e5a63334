import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdDecompressSync } from 'node:zlib';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import { ensureImage, importImage } from '../../services/template/import-image.ts';
import { howItRuns, runScript, stopSignal } from '../../services/template/oci/init.ts';
import type { Call } from '../../shared/dispatch.ts';
import { type Made, type Put, dockerArchive, ociArchive } from './oci-kit.ts';

const work = mkdtempSync(join(tmpdir(), 'vslab-oci-image-'));
const store = join(work, 'store');
const settings = loadSettings({ file: '/nonexistent', env: { VS_STATE_DIR: work, VS_TEMPLATE_DIR: store } });
const call: Call = {
  id: 'x',
  issuer: 'test',
  signal: new AbortController().signal,
  progress: () => undefined,
};
afterAll(() => rmSync(work, { recursive: true }));
beforeEach(() => rmSync(store, { recursive: true, force: true }));

const file = (name: string, bytes: Buffer): string => {
  writeFileSync(join(work, name), bytes);
  return join(work, name);
};
const importOf = (bytes: Buffer, name = 'web') =>
  importImage(settings, { file: file('image.tar', bytes), name }, call);
/** What is in the store but the locks. */
const stored = () =>
  readdirSync(store)
    .filter((one) => !one.endsWith('.lock'))
    .sort();
/** The template unpacked by GNU tar. */
function unpacked(name: string): string {
  const to = join(work, `tree-${name}`);
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to);
  const { status, stderr } = spawnSync(
    'tar',
    ['-x', '-p', '--numeric-owner', '--xattrs', '--xattrs-include=*', '-C', to, '-f', '-'],
    {
      input: zstdDecompressSync(readFileSync(join(store, `${name}.tar.zst`))),
    },
  );
  expect(status, String(stderr)).toBe(0);
  return to;
}
const layers: Put[][] = [
  [
    { path: 'etc/' },
    { path: 'etc/passwd', data: 'root:x:0:0::/root:/bin/sh\n' },
    { path: 'bin/prog', data: 'first', mode: 0o755 },
    { path: 'gone', data: 'x' },
    { path: 'large', data: 'y'.repeat(200_000), uid: 1000, gid: 2000 },
    { path: 'hard', flag: '1', link: 'large' },
  ],
  [
    { path: 'bin/prog', data: 'second', mode: 0o4755 },
    { path: '.wh.gone' },
    { path: 'dev/null', flag: '3' },
    { path: 'link', link: '/bin/prog' },
  ],
];
const config = {
  Entrypoint: ['/bin/prog'],
  Cmd: ['--serve', "it's"],
  Env: ['A=b c', 'PATH=/bin'],
  User: '1000',
  StopSignal: 'SIGQUIT',
  ExposedPorts: { '80/tcp': {} },
};

describe('an image becomes a template', () => {
  test.each([
    ['OCI, gzip', () => ociArchive({ layers, config, packing: 'gzip' })],
    ['OCI, zstd', () => ociArchive({ layers, config, packing: 'zstd' })],
    ['OCI, not compressed', () => ociArchive({ layers, config, packing: 'plain' })],
    ['docker save', () => dockerArchive({ layers, config })],
    ['docker save through gzip', () => gzipSync(dockerArchive({ layers, config }))],
  ])('%s: the files of all layers, and an init for its program', async (_, make) => {
    const made = await importOf(make());
    expect(made).toMatchObject({ name: 'web', source: `oci:${join(work, 'image.tar')}` });
    expect(made.image).toMatchObject({
      runs: 'program',
      entrypoint: ['/bin/prog'],
      cmd: ['--serve', "it's"],
      user: '1000',
      stopSignal: 'SIGQUIT',
      ports: ['80/tcp'],
    });
    expect(made.info).toMatch(/^OCI image sha256:[0-9a-f]{64}: the image has a program instead of an init/);
    expect(made.info).toMatch(/1 device files were left out/);
    const tree = unpacked('web');
    expect(readFileSync(join(tree, 'bin/prog'), 'utf8')).toBe('second');
    expect(statSync(join(tree, 'bin/prog')).mode & 0o7777).toBe(0o4755);
    expect(statSync(join(tree, 'large'))).toMatchObject({ size: 200_000, uid: 1000, gid: 2000, nlink: 2 });
    expect(readdirSync(tree).sort()).toEqual(
      ['.vs-tools', 'bin', 'dev', 'etc', 'hard', 'large', 'link', 'proc', 'root', 'run', 'sys', 'tmp'].sort(),
    );
    expect(readdirSync(join(tree, 'dev'))).toEqual([]);
    expect(statSync(join(tree, 'tmp')).mode & 0o7777).toBe(0o1777);
    expect(readFileSync(join(tree, '.vs-tools/busybox')).equals(readFileSync('/bin/busybox'))).toBe(true);
    expect(spawnSync('/bin/busybox', ['sh', '-n', join(tree, '.vs-tools/run')]).status).toBe(0);
    expect(readFileSync(join(tree, '.vs-tools/stop-signal'), 'utf8')).toBe('SIGQUIT\n');
    expect(stored()).toEqual(['web.json', 'web.tar.zst']);
  });

  test('the same image again is the same template, by its path too; another one needs another name', async () => {
    const bytes = ociArchive({ layers, config });
    const made = await importOf(bytes);
    expect(await importOf(bytes)).toEqual(made);
    expect(
      await ensureImage(settings, file('again.tar', dockerArchive({ layers, config })), call),
    ).toMatchObject({ name: 'web' });
    await expect(importOf(ociArchive({ layers: [[{ path: 'a', data: '' }]] }))).rejects.toThrow(
      /there is another template web/,
    );
    const other = await ensureImage(
      settings,
      file('other.tar', ociArchive({ layers: [[{ path: 'a', data: '' }]] })),
      call,
    );
    expect(other.name).toMatch(/^oci-[0-9a-f]{12}$/);
  });

  test('a text beside the archive is in its info', async () => {
    writeFileSync(join(work, 'image.info'), 'my\u001b[31m image\n');
    const { info } = await importOf(ociArchive({ layers, config }));
    rmSync(join(work, 'image.info'));
    expect(info).toMatch(/^my \[31m image\nOCI image/);
  });

  test('files of ours take the place of what the image has there, and no link of it is followed', async () => {
    await importOf(
      ociArchive({
        layers: [
          [
            { path: '.vs-tools', link: '/etc' },
            { path: 'etc/keep', data: '' },
          ],
        ],
        config,
      }),
    );
    const tree = unpacked('web');
    expect(readdirSync(join(tree, '.vs-tools')).sort()).toEqual(['busybox', 'run', 'stop-signal', 'tini']);
    expect(readdirSync(join(tree, 'etc'))).toEqual(['keep']);
  });
});

describe('what is no good image is refused, and leaves nothing', () => {
  const flip =
    (head: string, at = 40) =>
    (blobs: Map<string, Buffer>) => {
      for (const [name, bytes] of blobs)
        if (bytes.toString('latin1').startsWith(head)) {
          const other = Buffer.from(bytes);
          other[at] = (other[at] ?? 0) ^ 1;
          blobs.set(name, other);
        }
    };
  const cases: [string, Buffer | (() => Buffer), RegExp][] = [
    [
      'a damaged layer',
      () => ociArchive({ layers, packing: 'gzip', spoil: flip('\u001f\u008b') }),
      /is damaged/,
    ],
    [
      'a changed layer',
      () => ociArchive({ layers, packing: 'plain', spoil: flip('etc/', 1030) }),
      /damaged: its digest is not sha256:/,
    ],
    [
      'a changed configuration',
      () => ociArchive({ layers, spoil: flip('{"architecture', 3) }),
      /damaged: its digest is not sha256:/,
    ],
    [
      'a missing blob',
      () => ociArchive({ layers, spoil: (blobs) => blobs.delete([...blobs.keys()][0] ?? '') }),
      /is missing in it/,
    ],
    ['words', Buffer.from('these are words '.repeat(100)), /damaged/],
    ['an archive of something else', () => dockerArchive({ layers }).subarray(0, 0), /neither index.json/],
    [
      'an image for another system',
      () => ociArchive({ layers, platform: { os: 'windows', architecture: 'amd64' } }),
      /for windows, not for Linux/,
    ],
    [
      'an image for another processor',
      () => ociArchive({ layers, platform: { os: 'linux', architecture: 's390x' } }),
      /for s390x, and this machine is/,
    ],
    [
      'a layer that leads out',
      () => ociArchive({ layers: [[{ path: '../../etc/cron.d/x', data: 'x' }]] }),
      /in layer 1 of 1 .*leads out of the image/,
    ],
  ];
  test.each(cases)('%s', async (_, bytes, says) => {
    mkdirSync(store);
    await expect(importOf(typeof bytes === 'function' ? bytes() : bytes)).rejects.toThrow(says);
    expect(stored()).toEqual([]);
  });

  test('an archive of several images, and one that is missing', async () => {
    const two = ociArchive({ layers }).toString('latin1');
    expect(two).toContain('"manifests":[{');
    await expect(importImage(settings, { file: '/nosuch.tar', name: 'x' }, call)).rejects.toThrow(
      /there is no file/,
    );
    await expect(importImage(settings, { file: 'image.tar', name: 'x' }, call)).rejects.toThrow(/absolute/);
    await expect(importOf(ociArchive({ layers }), 'busybox')).rejects.toThrow(/busybox is built in/);
  });

  test('an import that is given up leaves nothing', async () => {
    const ended = new AbortController();
    ended.abort(new Error('given up'));
    const given = { ...call, signal: ended.signal };
    await expect(
      importImage(settings, { file: file('image.tar', ociArchive({ layers })), name: 'x' }, given),
    ).rejects.toThrow(/given up/);
    expect(stored()).toEqual([]);
  });
});

describe('how it runs', () => {
  test.each<[string[], string[], boolean, string]>([
    [['nginx'], ['-g', 'daemon off;'], true, 'program'],
    [[], ['nginx'], false, 'program'],
    [[], ['/bin/sh'], true, 'init'],
    [[], ['bash'], false, 'idle'],
    [[], ['/bin/bash', '-l'], false, 'idle'],
    [[], ['sh', '-c', 'serve'], true, 'program'],
    [[], [], true, 'init'],
    [[], [], false, 'idle'],
    [[], ['/sbin/init'], true, 'init'],
    [['/lib/systemd/systemd'], [], true, 'init'],
  ])('%j %j, init %s: %s', (entrypoint, cmd, hasInit, runs) => {
    expect(howItRuns({ entrypoint, cmd }, hasInit)).toBe(runs);
  });

  test('no word of an image is read by the shell', () => {
    const nasty = `$(touch /x) \`id\` "q" 'q' \\ \n;`;
    const script = runScript(
      {
        id: 'x',
        architecture: 'amd64',
        entrypoint: ['printf', '%s|'],
        cmd: [nasty],
        env: [`A=${nasty}`, 'no-equals', '=x'],
        workdir: nasty,
        user: '',
        stopSignal: '$(id)',
        ports: [],
        layers: [],
      },
      'program',
    );
    const words = /^program ('[^]*)\n$/m.exec(script)?.[1] ?? '';
    const { stdout } = spawnSync('/bin/busybox', ['sh', '-c', `set -- ${words}; printf '%s' "$3"`], {
      encoding: 'utf8',
    });
    expect(stdout).toBe(nasty);
    const signals = ['', '$(id)', 'SIGQUIT', 'usr1', '3;x'].map((one) => stopSignal({ stopSignal: one }));
    expect(signals).toEqual(['SIGTERM', 'SIGTERM', 'SIGQUIT', 'SIGUSR1', 'SIGTERM']);
    expect(script).not.toContain('no-equals');
    expect(spawnSync('/bin/busybox', ['sh', '-n', '-c', script]).status).toBe(0);
  });
});

test('what a made image needs is what the kit makes', () => {
  const made: Made = { layers };
  expect(ociArchive(made).length % 512).toBe(0);
});
