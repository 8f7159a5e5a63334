import { spawnSync } from 'node:child_process';
import { type Socket, createSocket } from 'node:dgram';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { editorOf, editText } from '../../cli/fw/edit.ts';
import { packetOf, packetText, parsePacket } from '../../cli/fw/packet.ts';
import { showText } from '../../cli/fw/view.ts';
import { compile } from '../../services/firewall/compile.ts';
import { countersOf } from '../../services/firewall/counters.ts';
import { linesAbout } from '../../services/firewall/kernel-log.ts';
import { isOf, tagOf, withTag } from '../../services/firewall/live.ts';
import {
  addressesOf,
  inHosts,
  keepInTree,
  keepOwn,
  readNames,
  resolveNames,
} from '../../services/firewall/names.ts';
import { remember } from '../../services/firewall/opening.ts';
import { parseFirewall } from '../../services/firewall/parse.ts';
import { readSources, withEnable } from '../../services/firewall/sources.ts';
import { VsError } from '../../shared/errors.ts';

const work = mkdtempSync(join(tmpdir(), 'vslab-fw-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

test('switched off, the line becomes a comment; switched on, it is back where it was', () => {
  const text = '# my rules\n  enable  # since May\nallow from 0/0 tcp/80\n';
  const off = withEnable(text, false);
  expect(off).toBe('# my rules\n# enable  # since May\nallow from 0/0 tcp/80\n');
  expect(parseFirewall(off, 'f').enabled).toBe(false);
  expect(withEnable(off, true)).toBe('# my rules\nenable  # since May\nallow from 0/0 tcp/80\n');
  expect(withEnable('', true)).toBe('enable\n');
  expect(withEnable(text, true)).toBe(text);
  expect(withEnable('# enable it later\nlog\n', true)).toBe('enable\n# enable it later\nlog\n');
});

test('the mark of the sources changes with each file that the rules are made of, and with no other', async () => {
  mkdirSync(join(work, 'etc/groups'), { recursive: true });
  const etc = join(work, 'etc');
  const file = join(work, 'firewall.conf');
  writeFileSync(file, 'enable\ninclude web\n');
  writeFileSync(join(etc, 'groups/web.conf'), 'allow from 0/0 tcp/80\n');
  writeFileSync(join(etc, 'groups/other.conf'), 'allow from 0/0 tcp/81\n');
  const look = async () => {
    const sources = await readSources({ CONFIG_DIR: etc }, file);
    expect(sources.parse().rules).toHaveLength(1);
    return { hash: sources.hash, mark: sources.mark() };
  };
  const first = await look();
  writeFileSync(join(etc, 'groups/other.conf'), 'allow from 0/0 tcp/82\n');
  expect(await look()).toEqual(first);
  writeFileSync(join(etc, 'groups/web.conf'), 'allow from 0/0 tcp/443\n');
  const second = await look();
  expect(second.hash).toBe(first.hash);
  expect(second.mark).not.toBe(first.mark);
  writeFileSync(join(etc, 'sets.conf'), 'friends: 192.0.2.0/24\n');
  expect((await look()).mark).not.toBe(second.mark);
  const none = await readSources({ CONFIG_DIR: etc }, join(work, 'not-there.conf'));
  expect(none.parse().enabled).toBe(false);
  await expect(
    (async () => (await readSources({ CONFIG_DIR: etc }, file, 'include ../../etc/passwd\n')).parse())(),
  ).rejects.toThrow(/firewall.conf:1:9/);
});

test('what is in force tells what it was made of', () => {
  expect(withTag('', 'a'.repeat(64))).toBe('');
  const rules = compile(parseFirewall('enable\nallow from 0/0 tcp/80\n', 'f'));
  const tagged = withTag(rules, 'a'.repeat(64));
  expect(tagOf(tagged)?.mark).toBe('a'.repeat(16));
  expect(isOf(tagOf(tagged), 'a'.repeat(64))).toBe(true);
  expect(isOf(tagOf(tagged), 'b'.repeat(64))).toBe(false);
  expect(tagOf(withTag(`${rules}\n`, 'a'.repeat(64)))?.rules).not.toBe(tagOf(tagged)?.rules);
  expect(tagOf('table inet vs {\n\tchain input {\n')).toBeUndefined();
});

describe('names', () => {
  const zone: Record<string, { a?: string; aaaa?: string }> = {
    'both.example': { a: '192.0.2.1', aaaa: '2001:db8::1' },
    'four.example': { a: '192.0.2.2' },
  };
  let server: Socket;
  let address: string;
  /** One answer of DNS (RFC 1035): the question again, and at most one record. */
  function answer(query: Buffer): Buffer {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.subarray(at + 1, at + 1 + length).toString());
      at += length + 1;
    }
    const type = query.readUInt16BE(at + 1);
    const known = zone[labels.join('.')];
    const data =
      type === 1 && known?.a
        ? Buffer.from(known.a.split('.').map(Number))
        : type === 28 && known?.aaaa
          ? Buffer.from('20010db8000000000000000000000001', 'hex')
          : undefined;
    const head = Buffer.from(query.subarray(0, 12));
    head.writeUInt16BE(known ? 0x8180 : 0x8183, 2);
    head.writeUInt16BE(data ? 1 : 0, 6);
    head.writeUInt32BE(0, 8);
    const parts = [head, query.subarray(12, at + 5)];
    if (data) {
      const record = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length]);
      parts.push(record, data);
    }
    return Buffer.concat(parts);
  }
  beforeAll(async () => {
    server = createSocket('udp4');
    server.on('message', (query, from) => {
      server.send(answer(query), from.port, from.address);
    });
    await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve));
    address = `127.0.0.1:${server.address().port}`;
  });
  afterAll(() => void server.close());
  const resolve = (names: string[], known = {}, hosts = '') =>
    resolveNames(names, known, { servers: [address], hosts });
  /** A server that hears and never answers. */
  async function silent(): Promise<Socket> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolved) => socket.bind(0, '127.0.0.1', resolved));
    return socket;
  }

  test('both families are asked; the hosts file comes first', async () => {
    const hosts = '192.0.2.9 four.example other # comment\n2001:db8::9\tFOUR.example\n';
    expect(inHosts(hosts, 'four.example')).toEqual(['192.0.2.9', '2001:db8::9']);
    expect(await resolve(['both.example', 'four.example'])).toEqual({
      'both.example': { four: ['192.0.2.1'], six: ['2001:db8::1'], stale: false },
      'four.example': { four: ['192.0.2.2'], six: [], stale: false },
    });
    expect((await resolve(['four.example'], {}, hosts))['four.example']?.four).toEqual(['192.0.2.9']);
    // it had an IPv6 address once: DNS says that it has none any more
    const before = { 'four.example': { four: ['192.0.2.8'], six: ['2001:db8::8'], stale: false } };
    expect((await resolve(['four.example'], before))['four.example']).toEqual({
      four: ['192.0.2.2'],
      six: [],
      stale: false,
    });
  });

  test('what does not resolve keeps its last addresses; nobody is waited for longer than told', async () => {
    const known = {
      'gone.example': { four: ['192.0.2.3'], six: [], stale: false },
      'silent.example': { four: [], six: ['2001:db8::3'], stale: false },
    };
    const dead = await Promise.all(Array.from({ length: 6 }, silent)); // each would be given its time, one after the other
    const began = performance.now();
    const servers = [...dead.map((one) => `127.0.0.1:${one.address().port}`), address];
    const names = ['gone.example', 'silent.example', 'new.example'];
    const found = await resolveNames(names, known, { servers, hosts: '', timeoutMs: 2000 });
    expect(performance.now() - began).toBeLessThan(10_000);
    for (const one of dead) one.close();
    expect(found).toEqual({
      'gone.example': { four: ['192.0.2.3'], six: [], stale: true },
      'silent.example': { four: [], six: ['2001:db8::3'], stale: true },
      'new.example': { four: [], six: [], stale: true },
    });
    expect(addressesOf(found).get('gone.example')).toEqual(['192.0.2.3']);
    const places = { rules: join(work, 'rules'), tree: join(work, 'tree') };
    await keepOwn(places, found);
    expect(await readNames(places)).toEqual({ own: found, all: found });
    writeFileSync(join(work, 'rules/names.json'), '{"version":1,"na');
    expect(await readNames(places)).toEqual({ own: {}, all: {} });
  });

  test('what a vserver brings along counts where its new host knows nothing', async () => {
    const places = { rules: join(work, 'rules-b'), tree: join(work, 'tree-b') };
    const one = (four?: string, stale = false) => ({ four: four ? [four] : [], six: [], stale });
    const brought = { 'a.example': one('192.0.2.1'), 'b.example': one('192.0.2.2') };
    await keepInTree(places, brought, async () => false);
    expect(await readNames(places)).toEqual({ own: {}, all: {} });
    await keepInTree(places, brought, async () => true);
    const own = { 'a.example': one(undefined, true), 'b.example': one('192.0.2.9'), 'c.example': one() };
    await keepOwn(places, own);
    expect(await readNames(places)).toEqual({
      own,
      all: { ...own, 'a.example': brought['a.example'] },
    });
  });
});

test('counters: by rule, what was let pass, denied, and matched by nothing; with log and without', () => {
  const rule = (chain: string, comment: string, packets: number, end: object) => ({
    rule: {
      family: 'inet',
      table: 'vs',
      chain,
      comment,
      expr: [{ match: {} }, { counter: { packets, bytes: packets * 100 } }, end],
    },
  });
  const json = JSON.stringify({
    nftables: [
      { metainfo: { version: '1.0.6' } },
      { chain: { name: 'input' } },
      { rule: { chain: 'input', expr: [{ match: {} }, { accept: null }] } },
      rule('input', 'established', 50, { accept: null }),
      rule('input', 'r1', 3, { accept: null }),
      rule('input', 'r1', 4, { accept: null }),
      rule('r2', 'r2', 5, { drop: null }),
      rule('input', 'r3', 6, { goto: { target: 'denied' } }),
      rule('input', 'default', 7, { goto: { target: 'denied' } }),
      rule('output', 'default', 8, { drop: null }),
    ],
  });
  const found = countersOf(json);
  expect(Object.fromEntries(found.rules)).toEqual({
    r1: { packets: 7, bytes: 700 },
    r2: { packets: 5, bytes: 500 },
    r3: { packets: 6, bytes: 600 },
  });
  expect(found.accepted.packets).toBe(57);
  expect(found.denied.packets).toBe(26);
  expect(found.unmatched).toEqual({ packets: 15, bytes: 1500 });
});

test.skipIf(process.getuid?.() !== 0)('the compiler and the counters speak of the same rules', () => {
  const text = 'enable\nlog\nallow from 0/0,::/0 tcp/80\ndeny from 192.0.2.1\nallow to 0/0 limit 5/second\n';
  const rules = withTag(compile(parseFirewall(text, 'f'), new Map(), 'vs/web1 '), 'a'.repeat(64));
  const script = 'nft -f - && nft -j -t list table inet vs && nft list chains inet >&2';
  const { stdout, stderr, status } = spawnSync('unshare', ['-n', 'sh', '-c', script], {
    input: rules,
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  expect([...countersOf(stdout).rules.keys()].sort()).toEqual(['r1', 'r2', 'r3']);
  expect(tagOf(stderr)).toEqual(tagOf(rules));
});

test('what is open for a time is open after a reload too, and not for longer', () => {
  const opened = remember();
  const to = [{ address: '192.0.2.80', port: 80 }];
  opened.add({ name: 'web1', to, resolvers: ['192.0.2.53'], seconds: 100 });
  expect(opened.statements('web1')).toMatch(/mirrors4 \{ 192\.0\.2\.80 \. 80 timeout 99s \}/);
  expect(opened.statements('web2')).toBe('');
  opened.drop('web1');
  expect(opened.statements('web1')).toBe('');
});

test("of the kernel's log only the lines of this vserver", () => {
  const log =
    '2026-11-27T01:00:00,1+00:00 vs/web1 vs-deny IN=eth0 OUT= SRC=192.0.2.1\n2026-11-27T01:00:01,1+00:00 vs/web10 vs-deny IN=eth0\nother\n2026-11-27T01:00:02,1+00:00 vs/web1 vs-deny IN=eth0 OUT= SRC=192.0.2.2\n';
  expect(linesAbout('web1', log, 50)).toEqual([
    '2026-11-27T01:00:00,1+00:00 vs-deny IN=eth0 OUT= SRC=192.0.2.1',
    '2026-11-27T01:00:02,1+00:00 vs-deny IN=eth0 OUT= SRC=192.0.2.2',
  ]);
  expect(linesAbout('web1', log, 1)).toHaveLength(1);
});

describe('vs fw test', () => {
  const web1 = { name: 'web1', address: '10.60.10.5', address6: 'fd60:10::5' };
  test.each([
    ['in tcp 1.2.3.4:5555 -> 22', 'in tcp 1.2.3.4:5555 -> 10.60.10.5:22'],
    ['in tcp 1.2.3.4 to 10.60.10.5:22', 'in tcp 1.2.3.4 -> 10.60.10.5:22'],
    ['in udp [2001:db8::1]:53 to :1000', 'in udp [2001:db8::1]:53 -> [fd60:10::5]:1000'],
    ['out udp -> 8.8.8.8:53', 'out udp 10.60.10.5 -> 8.8.8.8:53'],
    ['out tcp 8.8.8.8:443', 'out tcp 10.60.10.5 -> 8.8.8.8:443'],
    ['out tcp 33000 to [2001:db8::1]:443', 'out tcp [fd60:10::5]:33000 -> [2001:db8::1]:443'],
    ['in icmp 1.2.3.4', 'in icmp 1.2.3.4 -> 10.60.10.5 type 8'],
    ['in icmp 1.2.3.4 3', 'in icmp 1.2.3.4 -> 10.60.10.5 type 3'],
    ['out icmp to 2001:db8::1 echo-reply', 'out icmpv6 fd60:10::5 -> 2001:db8::1 type 129'],
    ['in 47 1.2.3.4', 'in 47 1.2.3.4 -> 10.60.10.5'],
    ['in gre 1.2.3.4', 'in 47 1.2.3.4 -> 10.60.10.5'],
    ['in 6 1.2.3.4 to 22', 'in tcp 1.2.3.4 -> 10.60.10.5:22'],
    ['in 58 2001:db8::1', 'in icmpv6 2001:db8::1 -> fd60:10::5 type 128'],
    ['in icmp 1.2.3.4 timestamp-request', 'in icmp 1.2.3.4 -> 10.60.10.5 type 13'],
    ['in icmpv6 2001:db8::1 packet-too-big', 'in icmpv6 2001:db8::1 -> fd60:10::5 type 2'],
  ])('%s', (text, told) => {
    expect(packetText(packetOf(parsePacket([text]), web1))).toBe(told);
    expect(packetText(packetOf(parsePacket(text.split(' ')), web1))).toBe(told);
  });
  test.each([
    [''],
    ['sideways tcp 1.2.3.4 to 22'],
    ['in tcp'],
    ['in tcp 1.2.3.4'],
    ['in tcp to 22'],
    ['in quic 1.2.3.4 to 22'],
    ['in tcp 1.2.3.4:70000 to 22'],
    ['in tcp 1.2.3.400 to 22'],
    ['in tcp 1.2.3.4 to 22 to 23'],
    ['in tcp 1.2.3.4 to 22 23'],
    ['in tcp 2001:db8::1 to 10.60.10.5:22'],
    ['in 47 1.2.3.4:5 to 10.60.10.5'],
    ['in icmpv6 1.2.3.4'],
    ['in icmp 1.2.3.4 strange'],
    ['in icmp 1.2.3.4 packet-too-big'],
    ['in icmp 1.2.3.4 256'],
    ['in icmp 1.2.3.4:80 8'],
    ['in any 1.2.3.4 to 22'],
    ['in tcp any to 22'],
    ['in tcp 1.2.3.4: to 22'],
    ['in tcp 1.2.3.4 to ssh'],
    ['in tcp 2001:db8::1:5555 to [fd60:10::5'],
    ['in tcp fe80::1%eth0 to 22'],
    ['in tcp [fe80::1%eth0]:5 to 22'],
    ['in tcp ::ffff:1.2.3.4 to 22'],
    ['out tcp 1.2.3.4'],
    ['out udp 53 to 8.8.8.8'],
    ['in 256 1.2.3.4'],
    ['in __proto__ 1.2.3.4'],
    ['in tcp 1.2.3.4 to 22 --jsn'],
  ])('%j is refused with examples', (text) => {
    expect(() => packetOf(parsePacket([text]), web1)).toThrow(/such as: in tcp/);
  });
  test('a vserver without IPv6 has no such packets', () => {
    const only4 = { name: 'web1', address: '10.60.10.5' };
    expect(() => packetOf(parsePacket(['in tcp 2001:db8::1 to 22']), only4)).toThrow(/no IPv6 address/);
  });
});

test('the rules as a table fit the width, whatever stands in them', () => {
  const rule = (line: number, text: string, packets?: number) => ({
    id: `r${line}`,
    file: line > 1 ? '/etc/vs-tools/groups/web.conf' : '/var/lib/vservers/web1/firewall.conf',
    line,
    text,
    ...(packets === undefined ? {} : { packets, bytes: packets * 1500 }),
  });
  const text = showText(
    {
      name: 'web1',
      enabled: true,
      running: true,
      loaded: true,
      changed: true,
      hash: '',
      rules: [
        rule(1, `allow from ${'192.0.2.1,'.repeat(40)}0/0\u001b[2J`, 123_456_789),
        rule(22, 'deny from 0/0', 0),
      ],
      more: 3,
      denied: { packets: 12, bytes: 600 },
      names: [{ name: 'a.example', addresses: Array<string>(30).fill('192.0.2.1'), stale: true }],
      faults: [],
    },
    'host1',
    80,
  );
  for (const line of text.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  expect(text).not.toContain('\u001b');
  expect(text).toMatch(
    /vs fw reload web1[^]*^1 +123 M +185 GB +allow from[^]*^web\.conf:22 +0 +0 B +deny[^]*^- +12 +600 B/m,
  );
});

describe('an editor', () => {
  const editor = (script: string): void => {
    const file = join(work, 'editor');
    writeFileSync(file, `#!/bin/sh\n${script}\n`, { mode: 0o700 });
    process.env['VISUAL'] = `${file} -f`;
  };
  test('is found in VISUAL, then EDITOR, split at blanks and at nothing else', () => {
    expect(editorOf({ VISUAL: ' ', EDITOR: "vim  -u 'x;y'" })).toEqual(['vim', '-u', "'x;y'"]);
    expect(editorOf({ VISUAL: 'emacs', EDITOR: 'vi' })).toEqual(['emacs']);
  });
  test('gets a file of its own that nobody else reads; what is unchanged is not saved', async () => {
    editor(`stat -c %a "$2" > ${work}/mode; [ "$1" = -f ]`);
    const saved: string[] = [];
    expect(await editText('web1', 'log\n', async (text) => saved.push(text))).toBeUndefined();
    expect(spawnSync('cat', [`${work}/mode`], { encoding: 'utf8' }).stdout).toBe('600\n');
    editor('echo enable >> "$2"');
    expect(await editText('web1', 'log\n', async (text) => saved.push(text))).toBe(1);
    expect(saved).toEqual(['log\nenable\n']);
  });
  test('a broken editor opens nothing: an empty file, none at all, no text', async () => {
    const save = () => Promise.reject(new Error('saved'));
    const edited = async (script: string, said: RegExp) => {
      editor(script);
      await expect(editText('web1', 'enable\n', save)).rejects.toThrow(said);
    };
    await edited(': > "$2"', /empty file: nothing was changed\. .*vs fw down web1/);
    await edited('echo > "$2"', /empty file/);
    await edited('rm "$2"', /no file \(ENOENT\)/);
    await edited('printf "# \\377\\n" > "$2"', /no UTF-8 text/);
    editor('echo > "$2"');
    expect(await editText('web1', '', async (text) => text)).toBe('\n'); // it was empty before
    await edited('exit 7', /exit code 7: nothing was changed\.$/);
    await edited('kill -9 $$', /was ended by SIGKILL/);
    const cut = await editText('web1', 'enable\n', (editor('echo log >> "$2"; exit 1'), save)).catch(
      (one: unknown) => one as VsError,
    );
    const [, kept = ''] = /What you wrote is in (\S+)\.$/.exec((cut as VsError).message) ?? [];
    expect(readFileSync(kept, 'utf8')).toBe('enable\nlog\n');
    rmSync(join(kept, '..'), { recursive: true });
    rmSync(join(work, 'editor'));
    await expect(editText('web1', '', save)).rejects.toThrow(/cannot be run \(ENOENT\): set EDITOR/);
  });
  test('what cannot be saved is not lost', async () => {
    editor('echo enabel >> "$2"');
    const refuse = () => Promise.reject(new VsError('conflict', 'It has changed.'));
    const error = await editText('web1', 'log\n', refuse).catch((one: unknown) => one as VsError);
    expect(error).toMatchObject({ code: 'conflict' });
    const [, file = ''] = /is in (\S+)\.$/.exec((error as VsError).message) ?? [];
    expect(spawnSync('cat', [file], { encoding: 'utf8' }).stdout).toBe('log\nenabel\n');
    rmSync(join(file, '..'), { recursive: true });
    editor('exit 3');
    await expect(editText('web1', '', refuse)).rejects.toThrow(/exit code 3/);
  });
});
