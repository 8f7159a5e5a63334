import { describe, expect, test } from 'vitest';
import { parseServices } from '../../services/firewall/protocols.ts';
import { namesOf } from '../../services/firewall/rule.ts';
import { everySample, extended, faultShape, faultsOf, rulesOf } from './firewall-kit.ts';
import { parseFirewall } from '../../services/firewall/parse.ts';

const first = (line: string) => rulesOf(line, extended).rules[0];
const ranges = (line: string) =>
  first(`allow from ${line}`)?.addresses.map((one) => ('name' in one ? one.name : one.range));
const matches = (words: string) => first(`allow from any ${words}`)?.matches;

describe('a line of firewall.conf', () => {
  test('a rule knows its id, its place, its text and what it says', () => {
    const { rules } = rulesOf('# first\n\tdeny  to 10.0.0.0/8 from udp/53 # why\nallow from any\r\n');
    expect(rules).toEqual([
      {
        id: 'r1',
        at: { file: 'f', line: 3 },
        text: 'deny  to 10.0.0.0/8 from udp/53 # why',
        indent: 1,
        verdict: 'drop',
        direction: 'out',
        addresses: [{ family: 4, range: '10.0.0.0/8' }],
        portSide: 'from',
        matches: [{ protocols: [17], ports: [[53, 53]] }],
      },
      expect.objectContaining({ id: 'r2', at: { file: 'f', line: 4 }, text: 'allow from any', matches: [] }),
    ]);
    expect(JSON.parse(JSON.stringify(rules))).toEqual(rules);
  });

  test.each([
    ['0/0', ['0.0.0.0/0']],
    ['::/0', ['::/0']],
    ['any', ['0.0.0.0/0', '::/0']],
    ['192.0.2.1', ['192.0.2.1']],
    ['192.0.2.0/024', ['192.0.2.0/24']],
    ['10.0.0.0/255.0.0.0', ['10.0.0.0/8']],
    ['0.0.0.0/0.0.0.0', ['0.0.0.0/0']],
    ['10.0.0.1/255.255.255.255', ['10.0.0.1/32']],
    ['2001:db8::/32', ['2001:db8::/32']],
    ['192.0.2.1-192.0.2.9', ['192.0.2.1-192.0.2.9']],
    ['2001:db8::1-2001:db8::f', ['2001:db8::1-2001:db8::f']],
    ['192.0.2.1 , ::1,a.example.org', ['192.0.2.1', '::1', 'a.example.org']],
    ['My-Host.example.org.', ['my-host.example.org']],
    ['mail', ['mail']],
    ['@printers', ['10.1.0.50', '10.1.0.100']],
    ['@lab,10.2.0.0/16', ['10.1.0.0-10.1.0.99', '10.1.0.50', '10.1.0.100', '10.2.0.0/16']],
  ])('addresses: %s', (text, expected) => expect(ranges(text)).toEqual(expected));

  test.each([
    ['', []],
    ['any', []],
    ['tcp', [{ protocols: [6] }]],
    ['tcp/80', [{ protocols: [6], ports: [[80, 80]] }]],
    ['to tcp/80', [{ protocols: [6], ports: [[80, 80]] }]],
    ['tcp/2000:2005,:1024,6000:', [{ protocols: [6], ports: [[2000, 2005], [0, 1024], [6000, 65_535]] }]], // oxfmt-ignore
    ['tcp,udp/53', [{ protocols: [6, 17], ports: [[53, 53]] }]],
    ['tcp/80,udp/53', [{ protocols: [6], ports: [[80, 80]] }, { protocols: [17], ports: [[53, 53]] }]], // oxfmt-ignore
    ['tcp/80,443 udp/53', [{ protocols: [6], ports: [[80, 80], [443, 443]] }, { protocols: [17], ports: [[53, 53]] }]], // oxfmt-ignore
    ['tcp/ssh,http', [{ protocols: [6], ports: [[22, 22], [80, 80]] }]], // oxfmt-ignore
    ['udp/sip tcp/secsh', [{ protocols: [17], ports: [[5060, 5060]] }, { protocols: [6], ports: [[22, 22]] }]], // oxfmt-ignore
    ['icmp', [{ protocols: [1] }]],
    ['icmp/echo-request,3', [{ protocols: [1], types: [8, 3] }]],
    ['icmp,icmpv6/echo-request', [{ protocols: [1], types: [8] }, { protocols: [58], types: [128] }]], // oxfmt-ignore
    ['icmp,tcp/80', [{ protocols: [1] }, { protocols: [6], ports: [[80, 80]] }]],
    ['esp gre', [{ protocols: [50] }, { protocols: [47] }]],
    ['47,tcp/47,48', [{ protocols: [47] }, { protocols: [6], ports: [[47, 47], [48, 48]] }]], // oxfmt-ignore
    ['6', [{ protocols: [6] }]],
    ['tcp/80,gre', [{ protocols: [6], ports: [[80, 80]] }, { protocols: [47] }]],
  ])('protocols: %s', (text, expected) => expect(matches(text)).toEqual(expected));

  test('options in any order', () => {
    expect(
      first('allow from any tcp/21 comment "a # b" log prefix "x " limit 5/hour burst 9 helper ftp'),
    ).toMatchObject({
      comment: 'a # b',
      log: { prefix: 'x ' },
      limit: { packets: 5, unit: 'hour', burst: 9 },
      helper: 'ftp',
    });
    expect(first('allow from any limit 3/day log')).toMatchObject({
      matches: [],
      limit: { packets: 3, unit: 'day', burst: 5 },
      log: {},
    });
  });

  test('enable and log', () => {
    expect(parseFirewall('', 'f')).toEqual({ enabled: false, rules: [] });
    expect(parseFirewall('\uFEFFenable\r\nlog\r\n', 'f')).toMatchObject({
      enabled: true,
      log: { prefix: 'vs-deny ', limit: { packets: 10, unit: 'minute', burst: 20 } },
    });
    expect(rulesOf('log prefix "no: " limit 5/second').log).toEqual({
      prefix: 'no: ',
      limit: { packets: 5, unit: 'second', burst: 20 },
    });
  });

  test('groups stand in the place of their include, with their own file and line', () => {
    const { rules } = rulesOf('deny from 10.0.0.1\ninclude web\nallow from any', extended);
    expect(rules.map((rule) => `${rule.id} ${rule.at.file.replace(/.*\//, '')}:${rule.at.line}`)).toEqual([
      'r1 f:2', 'r2 web.conf:2', 'r3 web.conf:3', 'r4 ping.conf:1', 'r5 f:4',
    ]); // oxfmt-ignore
  });

  test('the names to resolve, each once', () =>
    expect(
      namesOf(rulesOf('allow from @trusted,b.example.org\ndeny to VPN.example.org,10.0.0.1', extended)),
    ).toEqual(['vpn.example.org', 'b.example.org']));

  test('/etc/services: the first line wins, what is no service is nothing', () => {
    const services = parseServices(
      '# x\nhttp 80/tcp www\nhttp 81/tcp\nbig 70000/tcp\nftp 21/sctp\ndomain 53/udp',
    );
    expect([...services]).toEqual([['http/tcp', 80], ['www/tcp', 80], ['domain/udp', 53]]); // oxfmt-ignore
  });
});

test.each(everySample)('$name parses', ({ text, sources }) =>
  expect(parseFirewall(text, 'firewall.conf', sources).rules.length).toBeGreaterThanOrEqual(0),
);

describe('faults', () => {
  test.each([
    ['permit all', '2:1', '"permit"', 'enable, log, allow, deny or include'],
    ['Allow from any', '2:1', '"Allow"', 'enable, log'],
    ['enable now', '2:8', '"now"', 'the end of the line'],
    ['allow', '2:6', 'the end of the line', 'from or to after allow'],
    ['  deny form any', '2:8', '"form"', 'from or to after deny'],
    ['allow from', '2:11', 'the end of the line', 'addresses after from'],
    ['allow from tcp/80', '2:12', '"tcp/80"', 'an address'],
    ['allow from tcp', '2:12', '"tcp"', 'an address'],
    ['allow from 10.0.0.0/33', '2:12', '"10.0.0.0/33"', 'a prefix of /0 to /32'],
    ['allow from 10.0.0.0/255.0.255.0', '2:12', '"10.0.0.0/255.0.255.0"', 'a prefix'],
    ['allow from ::/129', '2:12', '"::/129"', 'a prefix of /0 to /128'],
    ['allow from 10.0.0.1,10.0.0', '2:21', '"10.0.0"', 'an address'],
    ['allow from 10.0.0.9-10.0.0.1', '2:12', '"10.0.0.9-10.0.0.1"', 'a range whose first'],
    ['allow from 10.0.0.9-20', '2:12', '"10.0.0.9-20"', 'a range of two IPv4'],
    ['allow from 10.0.0.9-::1', '2:12', '"10.0.0.9-::1"', 'a range of two IPv4'],
    ['allow from fe80::1%eth0', '2:12', '"fe80::1%eth0"', 'an address'],
    ['allow from "a.example.org"', '2:12', '"a.example.org"', 'an address'],
    ['allow from no_host', '2:12', '"no_host"', 'an address'],
    ['allow from @nobody', '2:12', '"@nobody"', 'a set of'],
    ['allow from 10.0.0.1,', '2:20', 'a comma at the end', 'a word after it'],
    ['allow from 10.0.0.1,,10.0.0.2', '2:21', 'a comma', 'a word before it'],
    ['allow from any tcp/99999', '2:20', '"99999"', 'ports up to 65535'],
    ['allow from any tcp/80,90:80', '2:23', '"90:80"', 'ports up to 65535'],
    ['allow from any tcp/', '2:20', '""', 'a port'],
    ['allow from any tcp/:', '2:20', '":"', 'a port'],
    ['allow from any tcp/80-90', '2:20', '"80-90"', 'a port'],
    ['allow from any tcp/nothing', '2:20', '"nothing"', 'a port'],
    ['allow from any TCP/80', '2:16', '"TCP/80"', 'a protocol'],
    ['allow from any tcp/80 443', '2:23', '"443"', 'a protocol'],
    ['allow from any 256', '2:16', '"256"', 'a protocol'],
    ['allow from any any/80', '2:16', '"any/80"', 'a protocol'],
    ['allow from any esp/50', '2:19', '"esp/50"', 'nothing after esp'],
    ['allow from any icmp/sing', '2:21', '"sing"', 'a type of icmp'],
    ['allow from any icmpv6/256', '2:23', '"256"', 'a type of icmpv6'],
    ['allow from any from tcp', '2:21', '"tcp"', 'tcp/PORT'],
    ['allow from any from', '2:20', 'the end of the line', 'tcp/PORT'],
    ['allow from 10.0.0.1 icmpv6', '2:12', '"10.0.0.1"', 'IPv6 addresses with icmpv6'],
    ['allow from ::1 icmp/8', '2:12', '"::1"', 'IPv4 addresses with icmp'],
    ['allow from any limit', '2:21', 'the end of the line', 'a rate as 10/minute'],
    ['allow from any limit 0/second', '2:22', '"0/second"', 'a rate'],
    ['allow from any limit 5/week', '2:22', '"5/week"', 'a rate'],
    ['allow from any limit 5/day burst x', '2:34', '"x"', 'how many packets'],
    ['allow from any limit 1/day burst 1000000', '2:34', '"1000000"', 'at most 213503 packets at once'],
    ['allow from ::ffff:192.0.2.1', '2:12', '"::ffff:192.0.2.1"', '192.0.2.1, or a network of it'],
    ['allow from any limit 5/day limit 6/day', '2:28', 'a second "limit"', 'limit once'],
    ['allow from any log prefix x', '2:27', '"x"', 'a prefix in "quotes"'],
    ['allow from any log prefix "$x"', '2:27', '"$x"', 'a prefix'],
    ['allow from any comment "x', '2:24', '"x" without its closing quote', 'text in "quotes"'],
    ['allow from any comment x', '2:24', '"x"', 'a comment in "quotes"'],
    ['allow from any comment "x" tcp/80', '2:28', '"tcp/80"', 'limit, log, comment, helper'],
    ['allow from any tcp/21 helper irc', '2:30', '"irc"', 'ftp, the only helper'],
    ['allow from any helper ftp', '2:15', 'the end of the line', 'tcp/PORT,... alone'],
    ['allow from any tcp,udp/21 helper ftp', '2:16', '"tcp,udp/21"', 'tcp/PORT,... alone'],
    ['deny from any tcp/21 helper ftp', '2:6', 'deny with a helper', 'allow'],
    ['log 5/minute', '2:5', '"5/minute"', 'limit, prefix or the end'],
    ['log limit', '2:10', 'the end of the line', 'a rate'],
    ['include', '2:8', 'the end of the line', 'the name of a group'],
    ['include ../web', '2:9', '"../web"', 'the name of a group'],
    ['include nothing', '2:9', '"nothing"', 'a group that exists: groups/nothing.conf is not there'],
    ['include web ping', '2:13', '"ping"', 'the end of the line'],
    [', allow', '2:1', 'a comma', 'a word before it'],
    ['\u0007 from', '2:1', String.raw`"\u{7}"`, 'enable, log'],
  ])('%s', (line, place, found, expected) => {
    const [fault = '', ...more] = faultsOf(`enable\n${line}`, extended);
    expect(fault).toMatch(faultShape);
    expect(fault.startsWith(`f:${place}: found ${found}, expected ${expected}`), fault).toBe(true);
    expect(more).toEqual([]);
  });

  test('all of a line and all of a file, from left to right', () =>
    expect(faultsOf('allow from 1.2.3,10.0.0.0/40 tcp/x,80 limit y\n\nfoo').map((one) => one.split(' found')[0])).toEqual([
      'f:1:12:', 'f:1:18:', 'f:1:34:', 'f:1:45:', 'f:3:1:',
    ])); // oxfmt-ignore

  test('fifty are told, the others counted', () => {
    const faults = faultsOf('x\n'.repeat(5000));
    expect(faults).toHaveLength(51);
    expect(faults[49]).toMatch(/^f:50:1: /);
    expect(faults[50]).toBe('and 4950 more');
  });

  const groups = (files: Record<string, string>) => ({
    group: (name: string) =>
      name in files ? { text: files[name] ?? '', file: `groups/${name}.conf` } : undefined,
  });
  test('of a group: by its own file and line, once though it is included twice', () => {
    const sources = groups({ a: '\nallow from\nenable\nlog\n' });
    expect(faultsOf('include a\ninclude a', sources)).toEqual([
      'groups/a.conf:2:11: found the end of the line, expected addresses after from',
      'groups/a.conf:3:1: found "enable", expected allow, deny or include in a group',
      'groups/a.conf:4:1: found "log", expected allow, deny or include in a group',
    ]);
  });
  test('groups that include one another', () =>
    expect(faultsOf('include a', groups({ a: 'include b', b: 'include a' }))).toEqual([
      'groups/b.conf:1:9: found "a", expected a group that does not include itself (a -> b -> a)',
    ]));
  test('groups in groups: eight deep, no more', () => {
    const files = Object.fromEntries(
      Array.from({ length: 9 }, (_, index) => [
        `g${index + 1}`,
        index < 8 ? `include g${index + 2}` : 'allow from any',
      ]),
    );
    expect(faultsOf('include g2', groups(files))).toEqual([]);
    expect(faultsOf('include g1', groups(files))).toEqual([
      'groups/g8.conf:1:9: found "g9", expected groups within groups at most 8 deep',
    ]);
  });
  test('groups that grow by themselves end soon', () => {
    const files = Object.fromEntries(
      Array.from({ length: 8 }, (_, index) => [
        `g${index}`,
        index < 7 ? `include g${index + 1}\n`.repeat(100) : '',
      ]),
    );
    expect(faultsOf('include g0', groups(files)).at(-1)).toMatch(/more than 1000 includes/);
  });

  const sets = (text: string) => ({ sets: { text, file: 'sets.conf' } });
  test.each([
    [
      'a: @b\nb: @a',
      'sets.conf:2:4: found "@a", expected a set that does not lead back to itself (a -> b -> a)',
    ],
    ['a: 10.0.0.1, @c', 'sets.conf:1:14: found "@c", expected a set of sets.conf, which has no such name'],
    ['a: 10.0.0.0/40', 'sets.conf:1:4: found "10.0.0.0/40", expected a prefix of /0 to /32 or a netmask'],
    ['a: 10.0.0.1\n a : 10.0.0.2', 'sets.conf:2:2: found a second set "a", expected each set once'],
    [
      'a: 10.0.0.1\nB: 10.0.0.2',
      'sets.conf:2:1: found "B", expected a name of at most 64 small letters, digits, - and _ before the colon',
    ],
    ['a:', 'sets.conf:1:3: found the end of the line, expected addresses after the colon'],
    ['a: 10.0.0.1 10.0.0.2', 'sets.conf:1:13: found "10.0.0.2", expected a comma between addresses'],
    [
      'a: 10.0.0.1\nwhat',
      'sets.conf:2:1: found "what", expected a set as "office: 192.0.2.0/24,host.example.org"',
    ],
  ])('of sets: %j', (text, fault) => {
    expect(faultsOf('allow from @a\n', sets(text))).toEqual([fault]);
    // who names no set is not stopped by sets of others
    expect(faultsOf('allow from any\n', sets(text))).toEqual([]);
  });
  test('sets in sets: deep and wide ones end soon', () => {
    const deep = Array.from({ length: 10 }, (_, index) => `s${index}: 10.0.0.${index},@s${index + 1}`).join(
      '\n',
    );
    expect(faultsOf('allow from @s0', sets(`${deep}\ns10: ::1`))[0]).toMatch(
      /sets within sets at most 8 deep/,
    );
    const addresses = Array.from({ length: 20_000 }, (_, index) => `10.1.${index >> 8}.${index & 255}`).join(
      ',',
    );
    const wide = Array.from({ length: 50 }, (_, index) => `w${index}: @big`).join('\n');
    const rules = Array.from({ length: 50 }, (_, index) => `allow from @w${index}`).join('\n');
    expect(faultsOf(rules, sets(`big: ${addresses}\n${wide}`))[0]).toMatch(
      /sets of at most 200000 addresses/,
    );
  });

  test('a file has a megabyte and 20 000 rules at most', () => {
    expect(faultsOf('#'.repeat(1_048_577))).toEqual([
      'f:1:1: found 1048577 bytes, expected at most 1048576 bytes in one file',
    ]);
    expect(faultsOf('allow from any\n'.repeat(20_000))).toEqual([]);
    expect(faultsOf('allow from any\n'.repeat(20_005))).toEqual([
      'f:20001:1: found more than 20000 rules, expected at most 20000 in all',
    ]);
    expect(faultsOf('allow from @a', sets('#'.repeat(1_048_577)))[0]).toMatch(
      /^sets.conf:1:1: found 1048577 bytes/,
    );
  });
});
