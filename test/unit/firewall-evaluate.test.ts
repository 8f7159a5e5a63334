import {
  type Arbitrary,
  array,
  assert,
  boolean,
  constantFrom,
  integer,
  nat,
  oneof,
  property,
  record,
  string,
} from 'fast-check';
import { describe, expect, test } from 'vitest';
import { numberOf, intervalText, intervalOf } from '../../services/firewall/addresses.ts';
import { type Packet, evaluate } from '../../services/firewall/evaluate.ts';
import { parseFirewall } from '../../services/firewall/parse.ts';
import { everySample, faultShape, faultsOf, rulesOf } from './firewall-kit.ts';

const packet: Packet = {
  direction: 'in',
  protocol: 'tcp',
  source: '198.51.100.7',
  destination: '10.60.10.5',
  sourcePort: 40_000,
  destinationPort: 22,
};
const decide = (lines: string, change: Partial<Packet> = {}, resolved = new Map<string, string[]>()) =>
  evaluate(rulesOf(lines), resolved, { ...packet, ...change });

describe('what happens to a packet', () => {
  test('the first rule that matches, by its place', () => {
    const { verdict, rule, why } = decide('deny from 10.0.0.0/8\nallow from any tcp/22\ndeny from any');
    expect([verdict, rule?.id, why]).toEqual(['accept', 'r2', 'rule 2 (f:3) allows it']);
    expect(decide('deny from 198.51.100.0/24 limit 5/day\nallow from any').why).toBe(
      'rule 1 (f:2) denies it, while no more than 5 come in a day',
    );
  });
  test('none: denied when enabled, else everything passes', () => {
    expect(decide('allow from any tcp/80')).toEqual({
      verdict: 'drop',
      why: 'no rule matches and the firewall is enabled',
    });
    expect(decide('allow to any')).toMatchObject({ verdict: 'drop' });
    expect(evaluate(parseFirewall('deny from any', 'f'), new Map(), packet)).toEqual({
      verdict: 'accept',
      why: 'the firewall is not enabled: everything passes',
    });
  });
  test.each<[Partial<Packet>, string]>([
    [{ state: 'established' }, 'answers of open connections always pass'],
    [{ state: 'related' }, 'what belongs to open connections always passes'],
    [{ protocol: 'icmp' }, 'ping always passes'],
    [{ protocol: 'icmp', icmpType: 0 }, 'ping always passes'],
    [{ protocol: 'icmpv6', source: '::2', destination: '::3' }, 'ping always passes'],
    [
      { protocol: 'icmpv6', source: '::2', destination: '::3', icmpType: 135 },
      'the search for neighbours and routers always passes',
    ],
    [{ destination: '127.0.0.1' }, 'the vserver may always talk to itself'],
    [{ source: '10.60.10.5' }, 'the vserver may always talk to itself'],
  ])('%j passes before any rule', (change, why) =>
    expect(decide('deny from any', change)).toEqual({ verdict: 'accept', why }),
  );
  test('names by their addresses', () => {
    expect(decide('allow from a.example.org').verdict).toBe('drop');
    const resolved = new Map([['a.example.org', ['198.51.100.7']]]);
    expect(decide('allow from a.example.org', {}, resolved).verdict).toBe('accept');
  });
  test('a packet that cannot be is refused with a sentence', () => {
    expect(() => decide('', { source: 'here' })).toThrow(/two addresses of one family/);
    expect(() => decide('', { source: '::1' })).toThrow(/two addresses of one family/);
    expect(() => decide('', { protocol: 'icmpv6' })).toThrow('A packet of icmpv6 has no IPv4 addresses');
  });
});

test('addresses to numbers and back', () => {
  const group = integer({ min: 0, max: 65_535 }).map((value) => (value % 3 === 0 ? 0 : value));
  assert(
    property(array(group, { minLength: 8, maxLength: 8 }), (groups) => {
      const address = groups.map((one) => one.toString(16)).join(':');
      const text = intervalText(6, intervalOf(6, address));
      expect(numberOf(text)).toBe(numberOf(address));
      // the URL of Node writes an address in its shortest form
      expect(`[${text}]`).toBe(new URL(`http://[${address}]/`).hostname);
    }),
  );
  expect(numberOf('::ffff:1.2.3.4')).toBe(0xffff_0102_0304n);
  expect(intervalText(4, [numberOf('10.0.0.1'), numberOf('10.0.0.6')])).toBe('10.0.0.1-10.0.0.6');
});

/** A small world, so that rules often match; each address by its bits. */
const bits4 = (last: number) => `00001010${'0'.repeat(16)}${last.toString(2).padStart(8, '0')}`;
const world = record({
  allow: boolean(),
  from: boolean(),
  addresses: array(
    oneof(
      record({ host: nat(15), prefix: integer({ min: 26, max: 32 }) }),
      record({ low: nat(15), high: nat(15) }),
    ),
    { minLength: 1, maxLength: 3 },
  ),
  side: constantFrom('', 'from', 'to'),
  protocols: constantFrom<string[]>([], ['tcp'], ['udp'], ['tcp', 'udp'], ['icmp']),
  ports: array(record({ low: nat(9), more: nat(3) }), { maxLength: 3 }),
});
type Wanted = typeof world extends Arbitrary<infer T> ? T : never;
function lineOf(rule: Wanted): string {
  const addresses = rule.addresses.map((one) =>
    'host' in one
      ? `10.0.0.${one.host}/${one.prefix}`
      : `10.0.0.${Math.min(one.low, one.high)}-10.0.0.${Math.max(one.low, one.high)}`,
  );
  const ported = rule.ports.length > 0 && rule.protocols.length > 0 && !rule.protocols.includes('icmp');
  const ports = rule.ports.map(({ low, more }) => (more === 0 ? `${low}` : `${low}:${low + more}`)).join(',');
  const protocols = rule.protocols.join(',');
  return `${rule.allow ? 'allow' : 'deny'} ${rule.from ? 'from' : 'to'} ${addresses.join(',')} ${ported ? `${rule.side} ${protocols}/${ports}` : protocols}`;
}
/** The reference: by bits and by asking each port, not as the evaluation does it. */
function fits(
  rule: Wanted,
  one: { from: boolean; peer: number; protocol: string; source: number; destination: number },
) {
  const near = rule.addresses.some((address) =>
    'host' in address
      ? bits4(one.peer).slice(0, address.prefix) === bits4(address.host).slice(0, address.prefix)
      : Math.min(address.low, address.high) <= one.peer && one.peer <= Math.max(address.low, address.high),
  );
  const protocol = rule.protocols.length === 0 || rule.protocols.includes(one.protocol);
  const ported = rule.ports.length > 0 && rule.protocols.length > 0 && !rule.protocols.includes('icmp');
  const port = rule.side === 'from' ? one.source : one.destination;
  const open = new Set(
    rule.ports.flatMap(({ low, more }) => Array.from({ length: more + 1 }, (_, index) => low + index)),
  );
  return rule.from === one.from && near && protocol && (!ported || open.has(port));
}

test('on random rules and packets the evaluation agrees with a plain reference', () => {
  const sent = record({
    from: boolean(),
    peer: nat(15),
    protocol: constantFrom('tcp', 'udp', 'icmp'),
    source: nat(12),
    destination: nat(12),
  });
  let decided = 0;
  assert(
    property(
      array(world, { maxLength: 8 }),
      array(sent, { minLength: 5, maxLength: 20 }),
      (rules, packets) => {
        const firewall = parseFirewall(`enable\n${rules.map(lineOf).join('\n')}`, 'f');
        for (const one of packets) {
          const [peer, self] = [`10.0.0.${one.peer}`, '10.0.1.5'];
          const result = evaluate(firewall, new Map(), {
            direction: one.from ? 'in' : 'out',
            protocol: one.protocol as 'tcp',
            source: one.from ? peer : self,
            destination: one.from ? self : peer,
            sourcePort: one.source,
            destinationPort: one.destination,
            icmpType: 3,
          });
          const index = rules.findIndex((rule) => fits(rule, one));
          expect(result.rule?.id).toBe(index < 0 ? undefined : `r${index + 1}`);
          expect(result.verdict).toBe(rules[index]?.allow ? 'accept' : 'drop');
          decided += index < 0 ? 0 : 1;
        }
      },
    ),
    { numRuns: 300 },
  );
  expect(decided).toBeGreaterThan(500);
});

describe('200 broken files made from the samples', () => {
  const pieces = [
    '',
    ',',
    ' ',
    '"',
    '@',
    '/',
    ':',
    '-',
    '0',
    '99999',
    '\u0000',
    '\u{1F600}',
    '\r',
    '\t',
    'from',
    'tcp/',
    'limit',
    'include',
    '::',
    '%',
    '$(x)',
    'comment "',
  ];
  /** Always the same, so that a failure comes again. */
  function random(seed: number): () => number {
    let state = seed;
    return () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
  }
  function broken(text: string, next: () => number): string {
    let result = text;
    const below = (most: number) => Math.floor(next() * most);
    for (let times = below(4) + 1; times > 0; times -= 1) {
      const at = below(result.length + 1);
      const what = pieces[below(pieces.length)] ?? '';
      const cut = below(3) === 0 ? below(6) : 0;
      result = result.slice(0, at) + what + result.slice(at + cut);
    }
    return result;
  }
  test('each parses, or throws faults that all name file, line and column; nothing else is thrown', () => {
    let refused = 0;
    const long = everySample.filter(({ text }) => /^(?:allow|deny)/m.test(text));
    for (let seed = 1; seed <= 200; seed += 1) {
      const { text, sources } = long[seed % long.length] ?? { text: '', sources: {} };
      const change = broken(text, random(seed * 7919));
      const faults = faultsOf(change, sources);
      refused += faults.length > 0 ? 1 : 0;
      for (const fault of faults) expect(fault, JSON.stringify(change)).toMatch(faultShape);
      const setsBroken = {
        ...sources,
        sets: { text: broken(sources.sets?.text ?? '', random(seed)), file: 'sets.conf' },
      };
      for (const fault of faultsOf(text, setsBroken)) expect(fault).toMatch(faultShape);
    }
    console.log(`${refused} of 200 broken files were refused`);
    expect(refused).toBeGreaterThan(80);
  });
  test('no text at all throws anything else', () =>
    assert(
      property(
        oneof(
          string({ unit: 'binary' }),
          string().map((text) => `allow from ${text}`),
        ),
        (text) => {
          for (const fault of faultsOf(text)) expect(fault).toMatch(faultShape);
        },
      ),
      { numRuns: 200 },
    ));
});
