import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { pruneCache } from '../../services/host-agent/template-cache.ts';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import { suiteOf, update } from '../../services/template/build.ts';
import { importFile } from '../../services/template/import.ts';
import { look } from '../../services/template/look.ts';
import { find, locked, place, temporaryIn } from '../../services/template/store.ts';
import {
  buildCommand,
  buildFailure,
  distributionOf,
  requireKeyring,
} from '../../services/template/suites.ts';
import type { Call } from '../../shared/dispatch.ts';
import { tar } from './oci-kit.ts';

const work = mkdtempSync(join(tmpdir(), 'vslab-templates-'));
const store = join(work, 'store');
const settings = loadSettings({
  file: '/nonexistent',
  env: { VS_STATE_DIR: work, VS_TEMPLATE_DIR: store, VS_TEMPLATE_UBUNTU_KEYRING: join(work, 'nokeys.gpg') },
});
const call: Call = {
  id: 'x',
  issuer: 'test',
  signal: new AbortController().signal,
  progress: () => undefined,
};
afterAll(() => rmSync(work, { recursive: true }));
beforeEach(() => rmSync(store, { recursive: true, force: true }));
const stored = () =>
  readdirSync(store)
    .filter((one) => !one.endsWith('.lock'))
    .sort();

describe('suites', () => {
  test('of Debian by the mirror that is set, else by those that mmdebstrap knows, with security updates', () => {
    expect(buildCommand(settings, 'bookworm', 'debian').slice(-2)).toEqual(['bookworm', '-']);
    const set = {
      ...settings,
      TEMPLATE_MIRROR: 'http://m/debian',
      TEMPLATE_KEYRING: '/k.gpg',
      TEMPLATE_NETNS: '/ns',
    };
    const words = buildCommand(set, 'trixie', 'debian');
    expect(words.slice(0, 4)).toEqual(['nsenter', '--net=/ns', '--', 'mmdebstrap']);
    expect(words).toContain('--keyring=/k.gpg');
    expect(words.slice(-3)).toEqual(['trixie', '-', 'http://m/debian']);
  });

  test('of Ubuntu by its own mirror and keys, with its updates', () => {
    const words = buildCommand(
      { ...settings, TEMPLATE_UBUNTU_MIRROR: 'http://u', TEMPLATE_MIRROR: 'http://m' },
      'noble',
      'ubuntu',
    );
    expect(words).toContain(`--keyring=${join(work, 'nokeys.gpg')}`);
    expect(words).toContain('--include=apt,systemd-sysv,iproute2,procps'); // Ubuntu's minimal set has no apt
    expect(words.slice(-3)).toEqual([
      'deb http://u noble main universe',
      'deb http://u noble-updates main universe',
      'deb http://u noble-security main universe',
    ]);
    expect([distributionOf('noble'), distributionOf('trixie'), distributionOf('other')]).toEqual([
      'ubuntu',
      'debian',
      'debian',
    ]);
  });

  test('keys that are missing are told with what to do, before anything is built', async () => {
    expect(() => requireKeyring(settings, 'noble', 'ubuntu')).toThrow(
      /noble could not be built: its keys are missing, there is no .*nokeys\.gpg \(TEMPLATE_UBUNTU_KEYRING\); on the master: apt-get install ubuntu-keyring/,
    );
    expect(() => requireKeyring(settings, 'bookworm', 'debian')).not.toThrow();
  });

  test.each([
    ['debian', 'E: Could not resolve host', /the default mirror does not answer; set TEMPLATE_MIRROR/],
    ['ubuntu', 'W: Unable to connect', /the mirror http:\/\/\S+ does not answer; set TEMPLATE_UBUNTU_MIRROR/],
    ['debian', '404  Not Found', /has no suite x; a suite of Ubuntu that is not known here needs --ubuntu/],
    [
      'ubuntu',
      'The following signatures: NO_PUBKEY 87',
      /signature cannot be checked .*install ubuntu-keyring/,
    ],
    ['debian', 'E: something else', /x could not be built: E: something else/],
  ] as const)('%s: %s', (distribution, line, says) => {
    expect(buildFailure(settings, 'x', distribution, [line]).message).toMatch(says);
  });
});

describe('the store', () => {
  const one = (text: string, sha256: string) => ({
    name: 'web',
    sha256,
    bytes: text.length,
    source: 'bookworm',
    suite: 'bookworm',
    ts: 1,
    file: 'web.tar.zst',
  });
  const put = (text: string, sha256: string) =>
    locked(store, 'web', () => {
      const temporary = temporaryIn(store, 'web');
      writeFileSync(temporary, text);
      return place(store, temporary, one(text, sha256));
    });

  test('a new one takes the place of the old with its record: until then the old is whole', async () => {
    await put('old', 'a'.repeat(64));
    expect(stored()).toEqual(['web.json', 'web.tar.zst']);
    const temporary = temporaryIn(store, 'web');
    writeFileSync(temporary, 'newer');
    // as if the power went between tarball and record
    writeFileSync(join(store, `web@${'b'.repeat(12)}.tar.zst`), 'newer');
    expect(await find(store, 'web')).toMatchObject({ sha256: 'a'.repeat(64), file: 'web.tar.zst' });
    await put('newer', 'b'.repeat(64));
    const found = await find(store, 'web');
    expect(found).toMatchObject({ sha256: 'b'.repeat(64), bytes: 5 });
    expect(readFileSync(join(store, found?.file ?? ''), 'utf8')).toBe('newer');
    expect(stored()).toEqual(['web.json', `web@${'b'.repeat(12)}.tar.zst`]);
    await put('third', 'c'.repeat(64));
    expect(stored()).toEqual(['web.json', 'web.tar.zst']);
  });

  test('what a life that was cut off left of a name goes with the next work on it, and nothing else', async () => {
    await put('old', 'a'.repeat(64));
    const left = [`.web.${'0'.repeat(12)}.tmp`, `web@${'0'.repeat(12)}.tar.zst`];
    const others = [
      `.webx.${'0'.repeat(12)}.tmp`,
      `xweb@${'0'.repeat(12)}.tar.zst`,
      'web.txt',
      `.w.b.${'0'.repeat(12)}.tmp`,
    ];
    for (const file of [...left, ...others]) writeFileSync(join(store, file), '');
    await locked(store, 'web', async () => undefined);
    expect(stored()).toEqual([...others, 'web.json', 'web.tar.zst'].sort());
  });

  test('an update that fails leaves the old one as it was, and nothing else', async () => {
    await put('old', 'a'.repeat(64));
    const away = { ...settings, TEMPLATE_MIRROR: 'http://127.0.0.1:9/debian' };
    await expect(update(away, 'web', call)).rejects.toThrow(
      /bookworm could not be built: the mirror http:\/\/127\.0\.0\.1:9\/debian does not answer/,
    );
    await expect(update({ ...settings, TEMPLATE_KEYRING: join(work, 'none') }, 'web', call)).rejects.toThrow(
      /apt-get install debian-archive-keyring/,
    );
    const ended = new AbortController();
    setTimeout(() => ended.abort(new Error('given up')), 100);
    await expect(update(away, 'web', { ...call, signal: ended.signal })).rejects.toThrow();
    expect(stored()).toEqual(['web.json', 'web.tar.zst']);
    expect(readFileSync(join(store, 'web.tar.zst'), 'utf8')).toBe('old');
  });

  test('what was imported is not built anew, and what is not there is named', async () => {
    writeFileSync(join(work, 'x.tar'), tar([{ path: 'a', data: '' }]));
    await importFile(settings, { file: join(work, 'x.tar') }, call);
    await expect(update(settings, 'x', call)).rejects.toThrow(
      /template x was imported from .*x\.tar, so it is not built anew/,
    );
    await expect(update(settings, 'nosuch', call)).rejects.toThrow(/there is no template nosuch/);
    expect(
      suiteOf({
        name: 'old',
        sha256: '',
        bytes: 1,
        source: 'bookworm',
        info: 'mmdebstrap minbase with x',
        ts: 1,
      }),
    ).toBe('bookworm');
  });

  test('the text beside a tarball is in its info: x.info or x.tar.info, without control characters', async () => {
    writeFileSync(join(work, 'y.tar'), tar([{ path: 'a', data: '' }]));
    writeFileSync(join(work, 'y.info'), 'Debian\r\nwith \u001b]0;title\u0007nginx\n\n');
    expect((await importFile(settings, { file: join(work, 'y.tar') }, call)).info).toBe(
      'Debian\nwith  ]0;title nginx',
    );
    rmSync(join(work, 'y.info'));
    writeFileSync(join(work, 'y.tar.info'), 'z'.repeat(10_000));
    expect((await importFile(settings, { file: join(work, 'y.tar'), name: 'y2' }, call)).info).toBe(
      'z'.repeat(4096),
    );
  });
});

test('archives on a host that nobody used for a month go, and half ones of yesterday', async () => {
  const cache = mkdtempSync(join(work, 'cache-'));
  const days = (count: number) => (Date.now() - count * 86_400_000) / 1000;
  for (const [file, age] of [
    ['used', 29],
    ['old', 31],
    ['half.tmp', 2],
    ['fetching.tmp', 0],
  ] as const) {
    writeFileSync(join(cache, file), '');
    utimesSync(join(cache, file), days(age), days(age));
  }
  await pruneCache(cache);
  expect(readdirSync(cache).sort()).toEqual(['fetching.tmp', 'used']);
});

describe('a look at a source builds nothing', () => {
  test.each([
    ['busybox', 'busybox', /built in/],
    ['bookworm', 'suite', /a suite of Debian, which is built first/],
    ['noble', 'suite', /a suite of Ubuntu/],
    ['nosuch', 'unknown', /there is no template nosuch; there are busybox/],
    ['/nosuch.tar', 'unknown', /there is no tarball \/nosuch\.tar on the master/],
    ['oci:/nosuch.tar', 'unknown', /there is no image archive \/nosuch\.tar on the master/],
    ['oci:rel.tar', 'unknown', /rel\.tar/],
    ['../x.tar', 'unknown', /no tarball/],
  ])('%s: %s', async (source, kind, says) => {
    const seen = await look(settings, source);
    expect(seen.kind).toBe(kind);
    expect(seen.text).toMatch(says);
    expect(existsSync(store)).toBe(false);
  });

  test('files and templates, with their info', async () => {
    const file = join(work, 'seen.tar');
    writeFileSync(file, tar([{ path: 'a', data: '' }]));
    writeFileSync(join(work, 'seen.info'), 'hello\n');
    expect(await look(settings, file)).toMatchObject({ kind: 'tarball', info: 'hello', bytes: 1536 });
    expect(await look(settings, `oci:${file}`)).toMatchObject({ kind: 'image', info: 'hello' });
    await importFile(settings, { file }, call);
    expect(await look(settings, 'seen')).toMatchObject({ kind: 'template', template: 'seen', info: 'hello' });
  });
});
