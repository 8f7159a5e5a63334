import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { compile } from '../../services/firewall/compile.ts';
import { parseFirewall } from '../../services/firewall/parse.ts';

test('the classic rules become one transaction, first match first, deny at the end', () => {
  const rules = compile(
    parseFirewall(
      'enable\nlog\nallow from 0/0 tcp/80,2000:2005 # web\ndeny from 10.0.0.0/8,2001:db8::/32\nallow to 0/0 udp/53\n',
      'firewall.conf',
    ),
  );
  expect(rules).toMatch(/table inet vs\ndelete table inet vs\n/);
  expect(rules).toMatch(
    /nfproto ipv4 tcp dport \{ 80, 2000-2005 \} counter accept comment "r1"\n *ip saddr 10.0.0.0\/8 counter goto denied comment "r2"\n *ip6 saddr 2001:db8::\/32 counter goto denied/,
  );
  expect(rules).toMatch(/chain output[^]*udp dport 53 counter accept/);
  const checked = spawnSync('nft', ['-c', '-f', '-'], { input: rules, encoding: 'utf8' });
  if (checked.error) console.log('nft is not installed here: the rules were not checked by it');
  else if (process.getuid?.() === 0) expect(checked.stderr).toBe('');
});

test('not enabled means no rules; every fault is named by file and line', () => {
  expect(compile(parseFirewall('allow from 0/0\n', 'firewall.conf'))).toBe('');
  expect(() =>
    parseFirewall('enable\nallow from no_where\npermit all\nallow from 0/0 tcp/99999', 'f'),
  ).toThrow(
    /^f:2:12: found "no_where", expected an address[^]*f:3:1: found "permit", expected enable[^]*f:4:20: found "99999"/,
  );
});
