import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, describe, expect, test } from 'vitest';
import { confined } from '../../services/transfer/confine.ts';
import { givingWay } from '../../services/transfer/giving-way.ts';
import { END, pace, sendFramed } from '../../services/transfer/frames.ts';
import { openWire } from '../../services/transfer/wire.ts';
import { readLine } from '../../services/transfer/hello.ts';
import { call, copying, directory, progress, root } from './copy-kit.ts';
import { oracle } from './tree-kit.ts';

afterAll(() => rmSync(directory, { recursive: true }));

/** One entry of a tar archive (ustar, tar(5)), with whatever name somebody evil gives it. */
function entry(
  name: string,
  kind: '0' | '1' | '2' | '4' | '5',
  more: { link?: string; content?: string; device?: [number, number] } = {},
) {
  const { link = '', content = '', device = [0, 0] } = more;
  const head = Buffer.alloc(512);
  const octal = (value: number, at: number, length: number) =>
    head.write(value.toString(8).padStart(length - 1, '0'), at);
  head.write(name, 0);
  octal(0o755, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(content.length, 124, 12);
  octal(1_000_000_000, 136, 12);
  head.write('        ', 148);
  head.write(kind, 156);
  head.write(link, 157);
  head.write('ustar\u{0}00', 257);
  octal(device[0], 329, 8);
  octal(device[1], 337, 8);
  octal(
    head.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return Buffer.concat([head, Buffer.from(content), Buffer.alloc((512 - (content.length % 512)) % 512)]);
}
const archive = (...entries: Buffer[]) => Buffer.concat([...entries, Buffer.alloc(1024)]);

describe.skipIf(!root)('a stream of tar that is evil', () => {
  const outside = join(directory, 'outside');
  async function evil(saga: string, bytes: Buffer) {
    rmSync(outside, { recursive: true, force: true });
    mkdirSync(outside);
    writeFileSync(join(outside, 'victim'), 'as it was');
    const one = copying(saga);
    const opened = await one.open('stream');
    const way = {
      ...opened,
      channel: 'plain' as const,
      address: '127.0.0.1',
      toHost: 'host2',
      signal: call.signal,
    };
    const wire = await openWire(way, ['tar']);
    const from = new PassThrough();
    from.end(bytes);
    await sendFramed(from, wire, { signal: call.signal });
    wire.end(END);
    const word = await readLine(wire).catch((error: Error) => error.message);
    wire.destroy();
    return { word, copy: one.copy, close: () => one.close() };
  }
  const up = '../../../../../../../../../..';

  test('arrives where nothing is evil in it, so that the others prove something', async () => {
    const { word, copy, close } = await evil('good', archive(entry('file', '0', { content: 'planted' })));
    expect(word).toBe('{"ok":true}');
    expect(readFileSync(join(copy, 'file'), 'utf8')).toBe('planted');
    await close();
  });

  test.each([
    ['an absolute name', () => [entry(join(outside, 'planted'), '0', { content: 'planted' })]],
    ['a name with ..', () => [entry(`${up}${outside}/planted`, '0', { content: 'planted' })]],
    [
      'a name behind a symlink',
      () => [
        entry('way', '2', { link: outside }),
        entry('way/planted', '0', { content: 'planted' }),
        entry('way/victim', '0', { content: 'planted' }),
      ],
    ],
    [
      'a name behind a symlink with ..',
      () => [
        entry('way', '2', { link: `${up}${outside}` }),
        entry('way/victim', '0', { content: 'planted' }),
      ],
    ],
    [
      'a hard link to a file outside, and what is written through it',
      () => [entry('tie', '1', { link: join(outside, 'victim') }), entry('tie', '0', { content: 'planted' })],
    ],
    [
      'a hard link through a symlink',
      () => [
        entry('way', '2', { link: outside }),
        entry('tie', '1', { link: 'way/victim' }),
        entry('tie', '0', { content: 'planted' }),
      ],
    ],
    [
      'a directory over a symlink',
      () => [
        entry('way', '2', { link: outside }),
        entry('way', '5'),
        entry('way/planted', '0', { content: 'x' }),
      ],
    ],
  ])('%s does not lead out of the tree', async (what, entries) => {
    const { copy, close } = await evil(`e${what.length}`, archive(...entries()));
    expect(readdirSync(outside)).toEqual(['victim']);
    expect(readFileSync(join(outside, 'victim'), 'utf8')).toBe('as it was');
    expect(statSync(join(outside, 'victim')).nlink).toBe(1);
    expect(readdirSync(join(copy, '..'))).toEqual(['tree']);
    await close();
  });

  test('a device node is kept as it is, and nothing is written into it', async () => {
    const disk = join(directory, 'disk');
    execFileSync('truncate', ['-s', '1M', disk]);
    const loop = execFileSync('losetup', ['--find', '--show', disk], { encoding: 'utf8' }).trim();
    try {
      const minor = Number(loop.replace('/dev/loop', ''));
      const entries = [
        entry('node', '4', { device: [7, minor] }),
        entry('node', '0', { content: 'planted' }),
      ];
      const { close } = await evil('device', archive(...entries));
      execFileSync('sync', ['-f', disk]);
      expect(readFileSync(disk).includes('planted')).toBe(false);
      await close();
    } finally {
      execFileSync('losetup', ['-d', loop]);
    }
  });
});

describe.skipIf(!root)('a stream of tar', () => {
  test('that broke off is known, and a pass of rsync makes it whole', async () => {
    const one = copying('broken');
    for (let number = 0; number < 40; number++)
      writeFileSync(join(one.tree, `file${number}`), Buffer.alloc(200_000, `${number} `));
    progress.length = 0;
    const torn = one.pass('stream', false, { bwlimit: 1_000_000 }).catch((error: Error) => error);
    await expect
      .poll(() => progress.at(-1)?.bytes ?? 0, { interval: 10, timeout: 30_000 })
      .toBeGreaterThan(500_000);
    await one.breakOff();
    expect(await torn).toMatchObject({
      code: 'failed',
      message: expect.stringMatching(/cut off|closed the connection/),
    });
    expect(existsSync(join(one.copy, 'file39'))).toBe(false);
    const whole = await one.pass('full');
    expect(oracle(one.copy)).toEqual(oracle(one.tree));
    const last = await one.pass('list', true);
    expect([whole.full, last.full]).toEqual([undefined, undefined]);
    await one.verify(last);
    await one.close();
  });

  test('into a full disk: the source hears that it is full', async () => {
    const one = copying('full');
    writeFileSync(join(one.tree, 'large'), Buffer.alloc(6_000_000, 'x'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'none', one.copy]);
    try {
      await expect(one.pass('stream')).rejects.toMatchObject({
        message: expect.stringMatching(/^no space left for the copy: .*No space left on device/),
        details: { side: 'target' },
        retryable: false,
      });
    } finally {
      execFileSync('umount', [one.copy]);
    }
    await one.close();
  });

  test('packed, where slaves.conf says so: fewer bytes on the wire, the same tree', async () => {
    const one = copying('packed');
    for (let number = 0; number < 20; number++)
      writeFileSync(join(one.tree, `text${number}`), 'the same words again '.repeat(20_000));
    const began = performance.now();
    await one.pass('stream', false, { compress: true, bwlimit: 200_000 }); // 8 MB: more than 40 s if they were sent as they are
    expect(performance.now() - began).toBeLessThan(30_000);
    expect(oracle(one.copy)).toEqual(oracle(one.tree));
    await one.close();
  });
});

/** By how much y grows with x, by least squares: one pause of a busy machine does not bend it. */
function slope(points: (readonly [number, number])[]): number {
  const mean = (all: number[]) => all.reduce((sum, one) => sum + one, 0) / all.length;
  const [x, y] = [mean(points.map(([one]) => one)), mean(points.map(([, one]) => one))];
  const over = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0);
  return over / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
}

describe('the limit of slaves.conf', () => {
  test('has no burst after a pause, and holds over time', () => {
    let now = 0;
    const wait = pace(1000, () => now);
    let sent = 0;
    for (; now < 10_000; sent += 64) now += Math.max(0, wait(64));
    expect(sent / 10).toBeGreaterThan(950);
    expect(sent / 10).toBeLessThan(1050);
    now += 60_000; // nothing to send for a minute
    expect(wait(1000)).toBeGreaterThanOrEqual(800);
  });

  test.skipIf(!root).each(['stream', 'full'] as const)(
    'is not passed by more than 5 % over five seconds, and nearly used: %s',
    { timeout: 90_000 },
    async (kind) => {
      const limit = 2_000_000;
      const one = copying(`rate${kind}`);
      writeFileSync(join(one.tree, 'large'), randomBytes(24_000_000));
      progress.length = 0;
      await one.pass(kind, false, { bwlimit: limit }, false);
      const steady = progress.slice(1, -2); // without its start and its end
      expect((steady.at(-1)?.at ?? 0) - (steady[0]?.at ?? 0)).toBeGreaterThan(5000);
      const rate = slope(steady.map(({ at, bytes }) => [at / 1000, bytes]));
      console.log(`${kind}: ${Math.round(rate)} of ${limit} bytes a second`);
      expect(rate).toBeLessThan(limit * 1.05);
      expect(rate).toBeGreaterThan(limit * 0.8);
      await one.close();
    },
  );
});

test.skipIf(!root)(
  'what copies while a vserver runs gives way to others, at the processor and at the disk',
  async () => {
    const tree = join(directory, 'low');
    mkdirSync(tree, { recursive: true });
    const how = (low: boolean) =>
      confined({ runDir: directory, tree, write: false }, ['sh', '-c', 'nice; ionice'], async (argv) =>
        execFileSync('env', [...(low ? givingWay : []), ...argv], { encoding: 'utf8' }),
      );
    expect(await how(true)).toBe('10\nbest-effort: prio 7\n');
    expect(await how(false)).toMatch(/^\d\n(none|best-effort): prio [04]\n$/);
  },
);
