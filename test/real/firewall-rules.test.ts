import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compile } from '../../services/firewall/compile.ts';
import { type Packet, evaluate } from '../../services/firewall/evaluate.ts';
import { whatRefuses } from '../../services/firewall/kernel.ts';
import { refusalOf } from '../../services/firewall/live.ts';
import { parseFirewall } from '../../services/firewall/parse.ts';
import { namesOf } from '../../services/firewall/rule.ts';
import { vethRules } from '../../services/network/rules.ts';
import { everySample } from '../unit/firewall-kit.ts';

/** What a host without the package netbase lacks: rules must not need its names. Then nft, where a port of a vserver is. */
const bare = `for file in /etc/protocols /etc/services; do ! [ -e $file ] || mount --bind /dev/null $file; done
ip link add vsv0a1b2c3d type veth peer name inside; exec nft "$@"`;
/** The rules, by a real nft in a network namespace of its own. */
function nft(rules: string, ...flags: string[]): string {
  const result = spawnSync('unshare', ['-n', '-m', 'sh', '-c', bare, 'sh', ...flags, '-f', '-'], {
    input: rules,
    encoding: 'utf8',
    timeout: 60_000,
  });
  return result.error ? String(result.error) : `${result.status}${result.stderr}`;
}

test('what this kernel cannot do is told by the lines that ask for it', async () => {
  const file = '/var/lib/vservers/web1/firewall.conf';
  const text =
    'enable\nallow from any tcp/80 limit 5/second\n  allow from any tcp/21 helper ftp # data\nlog\n';
  const firewall = parseFirewall(text, file);
  // a kernel without nf_conntrack_ftp: it is asked for a helper that no kernel has
  const refusal = async (rules: string) => {
    const said = nft(rules.replace('{ type "ftp"', '{ type "ftpx"'), '-c');
    return said === '0' ? undefined : said;
  };
  const said = (await refusal(compile(firewall))) ?? '';
  expect(said).toMatch(/No such file or directory/);
  const asked = { firewall, file, text, host: 'host1', said, resolved: new Map<string, string[]>() };
  const { code, message } = await whatRefuses(asked, refusal);
  expect(code).toBe('usage');
  expect(message).toMatch(
    /^\S+firewall\.conf:3:25: found "helper ftp", expected something that the kernel of host1 can do \(nft: [^)]*No such file or directory[^]*modprobe nf_conntrack_ftp[^\n]*$/,
  );
  expect(await refusalOf(compile(firewall))).toBeUndefined();
  expect(await refusalOf('table inet vs { nonsense }\n')).toMatch(/syntax error/);
});

describe('nft takes what is compiled', () => {
  test.each(everySample)('$name', ({ text, sources }) => {
    const firewall = { ...parseFirewall(text, 'firewall.conf', sources), enabled: true };
    const some = new Map(
      namesOf(firewall).map((name, index) => [name, [`192.0.2.${index + 1}`, '2001:db8::5']]),
    );
    expect(nft(compile(firewall), '-c')).toBe('0');
    expect(nft(compile(firewall, some, 'web1: '))).toBe('0');
  });

  test('what guards the port of a vserver', () => {
    const port = { device: 'eth0', veth: 'vsv0a1b2c3d', network: 'blue', mac: '02:00:0a:3c:0a:05' };
    const addresses = ['10.60.10.5', '10.60.10.15'].map((address) => ({ address, prefix: 24 }));
    const addresses6 = [{ address: 'fd60:10::5', prefix: 64 }];
    expect(nft(vethRules({ ...port, addresses, addresses6 }))).toBe('0');
    expect(nft(vethRules({ ...port, addresses, addresses6: [] }))).toBe('0');
    expect(nft(vethRules({ ...port, addresses: [], addresses6 }))).toBe('0');
  });

  test('a fault would be seen', () => expect(nft('table inet vs { nonsense }', '-c')).not.toBe('0'));

  test('overlapping, touching and outermost addresses', () => {
    const addresses = [
      '0.0.0.0-0.0.0.9',
      '0.0.0.5',
      '10.0.0.0/8',
      '10.1.0.0/16',
      '255.255.255.255',
      '192.0.2.0/25',
      '192.0.2.128/25',
    ];
    const addresses6 = [
      '::',
      '::1-::f',
      'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
      '2001:db8::/32',
      '2001:db8::7',
    ];
    const line = `allow from ${[...addresses, ...addresses6, '10.9.0.1', '172.16.0.1'].join(',')} tcp/1,0:5,7,9,11,65535`;
    expect(nft(compile(parseFirewall(`enable\n${line}`, 'f')))).toBe('0');
  });

  test('5000 rules parse, compile and load fast', () => {
    const lines = Array.from(
      { length: 5000 },
      (_, index) =>
        `${index % 3 ? 'allow' : 'deny'} ${index % 2 ? 'from' : 'to'} 10.${index % 256}.${index >> 8}.0/24,2001:db8:${index.toString(16)}::/48 tcp/${index + 1}`,
    );
    const start = performance.now();
    const rules = compile(parseFirewall(`enable\n${lines.join('\n')}`, 'f'));
    const compiled = performance.now();
    expect(nft(rules)).toBe('0');
    const loaded = performance.now();
    console.log(
      `5000 rules: parsed and compiled in ${Math.round(compiled - start)} ms, loaded in ${Math.round(loaded - compiled)} ms`,
    );
    expect(compiled - start).toBeLessThan(5000);
    expect(loaded - compiled).toBeLessThan(5000);
  });
});

/** Sends what it is told, one JSON object a line, and says when it has. */
const sender = `
const dgram = require('node:dgram'), net = require('node:net');
// an FTP server as short as can be: every line opens a port for data and is answered with it
const ftp = net.createServer((control) => {
  control.on('error', () => {});
  control.write('220 ready\\r\\n');
  control.on('data', () => {
    const data = net.createServer((socket) => socket.end('data')).listen(0, '10.77.0.1', () => {
      const { port } = data.address();
      control.write('227 Entering Passive Mode (10,77,0,1,' + (port >> 8) + ',' + (port & 255) + ')\\r\\n');
    });
    data.unref();
  });
});
ftp.on('error', () => {});
ftp.listen(21, '10.77.0.1').unref();
const lines = require('node:readline').createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const one = JSON.parse(line);
  const done = () => process.stdout.write('sent\\n');
  if (one.ftp) {
    const control = net.connect({ host: '10.77.0.1', port: 21 });
    const end = (what) => { control.destroy(); process.stdout.write(what + '\\n'); };
    control.on('error', () => end('no control'));
    control.on('data', (text) => {
      const [, high, low] = /1,([0-9]+),([0-9]+)\\)/.exec(String(text)) ?? [];
      if (high === undefined) return void control.write('PASV\\r\\n');
      const data = net.connect({ host: '10.77.0.1', port: high * 256 + Number(low) });
      const ended = setTimeout(() => { data.destroy(); end('no data'); }, 1000);
      data.on('data', (text) => { clearTimeout(ended); end(String(text)); });
    });
  } else if (one.protocol === 'udp') {
    const socket = dgram.createSocket(one.source.includes(':') ? 'udp6' : 'udp4');
    const end = () => { try { socket.close(); } catch {} done(); };
    socket.on('error', end);
    socket.bind(one.sourcePort, one.source, () => socket.send('x', one.destinationPort, one.destination, end));
  } else {
    const socket = net.connect({ host: one.destination, port: one.destinationPort, localAddress: one.source, localPort: one.sourcePort });
    let ended = false;
    const end = () => { if (!ended) { ended = true; socket.destroy(); done(); } };
    socket.on('error', end); socket.on('connect', end);
    setTimeout(end, 60);
  }
});
process.stdout.write('ready\\n');
`;

describe('the kernel decides as the evaluation says', () => {
  const [self, peer] = [`vsfwl${process.pid}a`, `vsfwl${process.pid}b`];
  const ip = (...words: string[]) => {
    const { status, stderr } = spawnSync('ip', words, { encoding: 'utf8', timeout: 20_000 });
    expect(status, `ip ${words.join(' ')}: ${stderr}`).toBe(0);
  };
  const own = { 4: '10.77.0.1', 6: 'fd77::1' };
  const peers = { 4: ['10.77.0.2', '10.77.0.3', '10.77.0.20'], 6: ['fd77::2', 'fd77::3', 'fd77::20'] };
  const senders: Record<string, ChildProcess> = {};
  const answers: Record<string, AsyncIterator<string>> = {};

  beforeAll(async () => {
    for (const one of [self, peer]) ip('netns', 'add', one);
    ip('link', 'add', 'v0', 'netns', self, 'type', 'veth', 'peer', 'name', 'v0', 'netns', peer);
    for (const [space, addresses] of [
      [self, [own[4], own[6]]],
      [peer, [...peers[4], ...peers[6]]],
    ] as const) {
      for (const one of addresses)
        ip('-n', space, 'addr', 'add', `${one}/${one.includes(':') ? 64 : 24}`, 'dev', 'v0', ...(one.includes(':') ? ['nodad'] : [])); // oxfmt-ignore
      ip('-n', space, 'link', 'set', 'v0', 'up');
      const child = spawn('ip', ['netns', 'exec', space, process.execPath, '-e', sender], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      senders[space] = child;
      answers[space] = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      await answers[space].next(); // it says that it is ready
    }
  });
  afterAll(async () => {
    for (const child of Object.values(senders)) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    for (const one of [self, peer]) spawnSync('ip', ['netns', 'del', one], { timeout: 20_000 });
  });

  /** Packets by the comment of the rules that counted them, of one chain and what it jumps to. */
  function counters(): Map<string, number> {
    const { stdout } = spawnSync('ip', ['netns', 'exec', self, 'nft', '-j', 'list', 'table', 'inet', 'vs'], {
      encoding: 'utf8',
      timeout: 20_000,
      maxBuffer: 64e6,
    });
    const found = new Map<string, number>();
    const { nftables } = JSON.parse(stdout) as {
      nftables: { rule?: { chain: string; comment?: string; expr: { counter?: { packets: number } }[] } }[];
    };
    for (const { rule } of nftables) {
      if (!rule?.comment) continue;
      const key = rule.comment === 'default' ? `default ${rule.chain}` : rule.comment;
      const packets = rule.expr.find((one) => one.counter)?.counter?.packets ?? 0;
      found.set(key, (found.get(key) ?? 0) + packets);
    }
    return found;
  }

  const rules = `enable
deny from 10.77.0.3,fd77::3 tcp,udp/5000:5003,5010
allow from 10.77.0.0-10.77.0.9 udp/5001,5003,5005,5007,5009
allow from 10.77.0.2,fd77::2,fd77::3 from udp/41000:41020,41030
allow from 10.77.0.20,10.77.0.21,10.77.0.23,10.77.0.25,fd77::20 tcp/5000:5004 limit 1000/second burst 500
deny from any tcp/5004 log
allow from peer.example.org udp
allow from ::/0 tcp/5005:
allow to 10.77.0.2 udp/5000:5004
deny to 10.77.0.0/30,fd77::2 udp,tcp/:5006
allow to any tcp/5006:5008
allow to fd77::20 udp
`;

  test('for 160 packets of both directions, both families, UDP and TCP', { timeout: 120_000 }, async () => {
    const firewall = parseFirewall(rules, 'f');
    const resolved = new Map([['peer.example.org', ['10.77.0.20', 'fd77::20']]]);
    const loaded = spawnSync('ip', ['netns', 'exec', self, 'nft', '-f', '-'], {
      input: compile(firewall, resolved),
      encoding: 'utf8',
      timeout: 20_000,
    });
    expect(loaded.stderr).toBe('');
    const decided = new Set<string>();
    for (let number = 0; number < 160; number += 1) {
      const family = number % 2 ? 6 : 4;
      const incoming = number % 4 < 2;
      const other = peers[family][(number >> 2) % 3] ?? '';
      const packet: Packet = {
        direction: incoming ? 'in' : 'out',
        protocol: number % 5 < 3 ? 'udp' : 'tcp',
        source: incoming ? other : own[family],
        destination: incoming ? own[family] : other,
        sourcePort: 41_000 + number,
        destinationPort: 5000 + ((number * 7) % 11),
      };
      const result = evaluate(firewall, resolved, packet);
      const before = counters();
      const space = incoming ? peer : self;
      senders[space]?.stdin?.write(`${JSON.stringify(packet)}\n`);
      await answers[space]?.next();
      const key = result.rule?.id ?? `default ${incoming ? 'input' : 'output'}`;
      let grew: string[] = [];
      for (let tries = 0; tries < 40 && grew.length === 0; tries += 1) {
        const after = counters();
        grew = [...after.keys()].filter(
          (one) =>
            !['established', 'implied'].includes(one) && (after.get(one) ?? 0) > (before.get(one) ?? 0),
        );
      }
      expect(grew, `${JSON.stringify(packet)}: ${result.why}`).toEqual([key]);
      decided.add(key);
    }
    expect([...decided].sort()).toEqual(
      expect.arrayContaining([
        'default input',
        'default output',
        'r1',
        'r2',
        'r3',
        'r4',
        'r6',
        'r7',
        'r8',
        'r9',
        'r10',
        'r11',
      ]),
    );
  });

  test.each([
    ['allow from any tcp/21', 'no data'],
    ['allow from any tcp/21 helper ftp', 'data'],
  ])('%s: an FTP client has %s', async (line, expected) => {
    const loaded = spawnSync('ip', ['netns', 'exec', self, 'nft', '-f', '-'], {
      input: compile(parseFirewall(`enable\n${line}`, 'f')),
      encoding: 'utf8',
      timeout: 20_000,
    });
    expect(loaded.stderr).toBe('');
    senders[peer]?.stdin?.write('{"ftp":true}\n');
    expect((await answers[peer]?.next())?.value).toBe(expected);
  });
});
