import { expect, test } from 'vitest';
import { type Packet, evaluate } from '../../services/firewall/evaluate.ts';
import { parseFirewall } from '../../services/firewall/parse.ts';
import { send } from '../../services/firewall/send.ts';
import { packetOf, packetText, parsePacket } from '../../cli/fw/packet.ts';

// the kernel of this machine decides about packets that are really sent, the evaluation says the same, by the same rule
const firewall = parseFirewall(
  `enable
log
deny from 192.0.2.66
allow from 192.0.2.0/24,2001:db8::/32 tcp/22,2000:2005
allow from any from udp/67
allow from friend.example tcp/443 limit 10/minute log prefix "friend "
deny from any tcp/25 log
allow from any icmp/timestamp-request
allow from any gre
allow to 192.0.2.53,2001:db8::53 udp/domain
deny to any tcp/25
allow to 198.51.100.0/24
allow from any tcp/21 helper ftp
`,
  'firewall.conf',
);
const resolved = new Map([['friend.example', ['203.0.113.9', '2001:db8:9::9']]]);
const web1 = { name: 'web1', address: '10.60.10.5', address6: 'fd60:10::5' };
const packet = (text: string): Packet => packetOf(parsePacket([text]), web1, true);

test.each([
  ['in tcp 192.0.2.7:5555 to 22', 'accept', 4],
  ['in tcp 192.0.2.66 to 22', 'drop', 3],
  ['in tcp 192.0.2.7 to 2006', 'drop', undefined],
  ['in tcp 192.0.2.7 to 2005', 'accept', 4],
  ['in tcp [2001:db8::7]:5555 to 22', 'accept', 4],
  ['in tcp 2001:db9::7 to 22', 'drop', undefined],
  ['in udp 198.51.100.7:67 to 68', 'accept', 5],
  ['in udp 198.51.100.7:68 to 67', 'drop', undefined],
  ['in tcp 203.0.113.9 to 443', 'accept', 6],
  ['in tcp 2001:db8:9::9 to 443', 'accept', 6],
  ['in tcp 203.0.113.8 to 443', 'drop', undefined],
  ['in tcp 203.0.113.9 to 25', 'drop', 7],
  ['in tcp 203.0.113.9 to 21', 'accept', 13],
  ['in icmp 203.0.113.9', 'accept', undefined],
  ['in icmp 203.0.113.9 timestamp-request', 'accept', 8],
  ['in icmp 203.0.113.9 address-mask-request', 'drop', undefined],
  ['in icmpv6 2001:db9::7', 'accept', undefined],
  ['in icmpv6 2001:db9::7 router-renumbering', 'drop', undefined],
  ['in gre 203.0.113.9', 'accept', 9],
  ['in gre 2001:db9::7', 'accept', 9],
  ['in esp 203.0.113.9', 'drop', undefined],
  ['out udp to 192.0.2.53:53', 'accept', 10],
  ['out udp to [2001:db8::53]:53', 'accept', 10],
  ['out tcp to 192.0.2.53:53', 'drop', undefined],
  ['out tcp to 198.51.100.9:25', 'drop', 11],
  ['out tcp to 198.51.100.9:26', 'accept', 12],
  ['out tcp to [2001:db8:1::1]:26', 'drop', undefined],
  ['out icmp to 203.0.113.9', 'accept', undefined],
  ['out icmp to 2001:db9::7', 'accept', undefined],
  ['out gre to 198.51.100.9', 'accept', 12],
])('%s: %s', async (text, verdict, line) => {
  const asked = packet(text);
  const said = evaluate(firewall, resolved, asked);
  expect([said.verdict, said.rule?.at.line], `evaluated: ${packetText(asked)}`).toEqual([verdict, line]);
  const sent = await send(firewall, resolved, asked);
  expect([sent.verdict, sent.rule?.at.line], sent.why).toEqual([verdict, line]);
  expect(sent.why).toMatch(/^it was sent, and /);
});

test('what no host sends is dropped before any rule', async () => {
  const sent = await send(firewall, resolved, packet('in tcp 255.255.255.255 to 22'));
  expect(sent).toEqual({ verdict: 'drop', why: 'it was sent, and the kernel dropped it before any rule' });
});
