import { describe, expect, test } from 'vitest';
import { compile } from '../../services/firewall/compile.ts';
import { parseFirewall } from '../../services/firewall/parse.ts';
import { extended, rulesOf } from './firewall-kit.ts';

/** The lines of one chain, without what is always there. */
const chainOf = (rules: string, chain: string) =>
  (
    new RegExp(`  chain ${chain} \\{\\n([^}]*?\\n)  \\}\\n`).exec(
      rules.replaceAll(/\{[^{}\n]*\}/g, '()'),
    )?.[1] ?? ''
  )
    .split('\n')
    .map((line) => line.trim())
    .filter(
      (line) =>
        line !== '' &&
        !/^(?:type filter|[io]if lo|ct state|icmp(?:v6)? type \(\)|ip6? daddr (?:\. tcp dport )?@[mr])/.test(
          line,
        ),
    );
const input = (lines: string, resolved?: Map<string, string[]>) =>
  chainOf(compile(rulesOf(lines, extended), resolved), 'input').filter((line) => !line.endsWith('"default"'));

test('the classic rules become one transaction, first match first, deny at the end', () => {
  const rules = compile(
    parseFirewall(
      'enable\nlog\nallow from 0/0 tcp/80,2000:2005 # web\ndeny from 10.0.0.0/8,2001:db8::/32\nallow to 0/0 udp/53\n',
      'firewall.conf',
    ),
  );
  expect(rules.startsWith('table inet vs\ndelete table inet vs\ntable inet vs {\n')).toBe(true);
  expect(rules.match(/^(?:table|delete)/gm)).toHaveLength(3);
  expect(rules.match(/policy drop/g)).toHaveLength(2);
  expect(chainOf(rules, 'input')).toEqual([
    'meta nfproto ipv4 tcp dport 80 counter accept comment "r1"',
    'meta nfproto ipv4 tcp dport 2000-2005 counter accept comment "r1"',
    'ip saddr 10.0.0.0/8 counter goto denied comment "r2"',
    'ip6 saddr 2001:db8::/32 counter goto denied comment "r2"',
    'counter goto denied comment "default"',
  ]);
  expect(chainOf(rules, 'output')).toEqual([
    'meta nfproto ipv4 udp dport 53 counter accept comment "r3"',
    'counter goto denied comment "default"',
  ]);
  expect(chainOf(rules, 'denied')).toEqual([
    'limit rate 10/minute burst 20 packets log prefix "vs-deny "',
    'drop',
  ]);
});

test('not enabled means no rules; every fault is named by file and line', () => {
  expect(compile(parseFirewall('allow from 0/0\n', 'firewall.conf'))).toBe('');
  expect(() =>
    parseFirewall('enable\nallow from no_where\npermit all\nallow from 0/0 tcp/99999', 'f'),
  ).toThrow(
    /^f:2:12: found "no_where", expected an address[^]*f:3:1: found "permit", expected enable[^]*f:4:20: found "99999"/,
  );
});

describe('what a line becomes', () => {
  test.each([
    ['allow from any', ['counter accept comment "r1"']],
    ['allow from ::/0', ['meta nfproto ipv6 counter accept comment "r1"']],
    ['deny from 10.0.0.5/8', ['ip saddr 10.0.0.0/8 counter drop comment "r1"']],
    ['allow from 10.0.0.1 from udp/67', ['ip saddr 10.0.0.1 udp sport 67 counter accept comment "r1"']],
    [
      'allow from any tcp,udp/53',
      ['tcp dport 53 counter accept comment "r1"', 'udp dport 53 counter accept comment "r1"'],
    ],
    ['allow from any tcp/80,70:90,91', ['tcp dport 70-91 counter accept comment "r1"']],
    ['allow from any icmp', ['meta nfproto ipv4 meta l4proto 1 counter accept comment "r1"']],
    ['allow from ::1 icmp,icmpv6', ['ip6 saddr ::1 meta l4proto 58 counter accept comment "r1"']],
    ['allow from any icmpv6/packet-too-big', ['icmpv6 type 2 counter accept comment "r1"']],
    ['allow from 10.0.0.0/8 esp', ['ip saddr 10.0.0.0/8 meta l4proto 50 counter accept comment "r1"']],
    [
      'allow from 192.0.2.0/25,192.0.2.128/25,192.0.2.7',
      ['ip saddr 192.0.2.0/24 counter accept comment "r1"'],
    ],
    ['allow from 0/0,10.0.0.1', ['meta nfproto ipv4 counter accept comment "r1"']],
    ['allow from any tcp/21 helper ftp', ['tcp dport 21 ct helper set "ftp" counter accept comment "r1"']],
  ])('%s', (line, expected) => expect(input(line)).toEqual(expected));

  test('a long list is a set, the same list the same set', () => {
    const rules = compile(rulesOf('allow from @many tcp/22\ndeny from @many\nallow to @many', extended));
    expect(rules.match(/^ {2}set s\d+ .*/gm)).toEqual([
      '  set s1 { type ipv4_addr; flags interval; elements = { 10.9.0.1, 10.9.0.3, 10.9.0.5, 10.9.0.7, 10.9.0.9 }; }',
      '  set s2 { type ipv6_addr; flags interval; elements = { 2001:db8:9::1, 2001:db8:9::3, 2001:db8:9::5, 2001:db8:9::7 }; }',
    ]);
    expect(chainOf(rules, 'output')[0]).toBe('ip daddr @s1 counter accept comment "r3"');
  });

  test('many addresses and many protocols: a chain of the protocols', () => {
    const rules = compile(rulesOf('allow from 10.0.0.1,10.0.0.3 tcp/1,3 udp/5'));
    expect(chainOf(rules, 'input').slice(0, 2)).toEqual([
      'ip saddr 10.0.0.1 jump r1_1',
      'ip saddr 10.0.0.3 jump r1_1',
    ]);
    expect(chainOf(rules, 'r1_1')).toHaveLength(3);
  });

  test('a rate or a log: a chain, so that all lines of the rule share it', () => {
    const rules = compile(
      rulesOf('allow from any tcp,udp/53 limit 10/minute burst 3\ndeny from any tcp/25 log prefix "mail "'),
      new Map(),
      'web1: ',
    );
    expect(chainOf(rules, 'input').slice(0, 3)).toEqual([
      'tcp dport 53 jump r1',
      'udp dport 53 jump r1',
      'tcp dport 25 jump r2',
    ]);
    expect(chainOf(rules, 'r1')).toEqual([
      'limit rate over 10/minute burst 3 packets return',
      'counter accept comment "r1"',
    ]);
    expect(chainOf(rules, 'r2')).toEqual([
      'limit rate 10/minute burst 20 packets log prefix "web1: mail "',
      'counter drop comment "r2"',
    ]);
  });

  test('names: what they resolve to; nothing when they have no address yet, nor any that is none', () => {
    const line = 'allow from a.example.org,b.example.org';
    expect(input(line)).toEqual([]);
    expect(input(line, new Map([['a.example.org', ['192.0.2.1', '2001:DB8::0:1', '"; drop']]]))).toEqual([
      'ip saddr 192.0.2.1 counter accept comment "r1"',
      'ip6 saddr 2001:db8::1 counter accept comment "r1"',
    ]);
    expect(input(`${line},10.0.0.1`)).toEqual(['ip saddr 10.0.0.1 counter accept comment "r1"']);
    expect(rulesOf(line).rules).toHaveLength(1);
  });

  test('after many sets short lists become lines: sets cost the kernel too much', () => {
    const lines = Array.from({ length: 300 }, (_, index) => `allow from any tcp/1,3,5,${index + 7}`).join(
      '\n',
    );
    expect(compile(rulesOf(lines)).match(/^ {2}set s/gm)).toHaveLength(256);
  });
});

test('nothing that a file says stands in the rules but what was understood', () => {
  const evil = 'x" ; flush ruleset';
  expect(compile(rulesOf(`allow from any comment "${evil.replaceAll('"', "'")}"`))).not.toContain('flush');
});
