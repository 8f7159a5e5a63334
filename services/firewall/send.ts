import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import { familyOf } from './addresses.ts';
import { compile } from './compile.ts';
import type { Decision, Packet } from './evaluate.ts';
import { packetBytes } from './packet-bytes.ts';
import type { Firewall } from './rule.ts';

const program = fileURLToPath(new URL('./send.pl', import.meta.url));
const [inside, outside] = ['020000000001', '020000000002'];
/** Of send.pl. */
const MARK = 30_323;

/**
 * In a network namespace that is gone at once: a device with the vserver's address, the rules of standard input, the packet,
 * and what the rules have counted. Arguments: family, own address, send.pl, how it is sent, where to, the packet.
 */
const script = `exec 2>&1
for file in /proc/sys/net/ipv4/conf/all/rp_filter /proc/sys/net/ipv4/conf/default/rp_filter; do echo 0 > $file; done
for file in /proc/sys/net/ipv6/conf/all/disable_ipv6 /proc/sys/net/ipv6/conf/default/disable_ipv6; do ! [ -e $file ] || echo 0 > $file; done
ip link add eth0 address 02:00:00:00:00:01 type veth peer name wire address 02:00:00:00:00:02
! [ -e /proc/sys/net/ipv6/conf/wire/disable_ipv6 ] || echo 1 > /proc/sys/net/ipv6/conf/wire/disable_ipv6
ip link set lo up; ip link set wire up; ip link set eth0 up
if [ "$1" = 4 ]; then ip addr add "$2/32" dev eth0; else ip addr add "$2/128" dev eth0 nodad; fi
ip "-$1" route add default dev eth0
nft -f -
perl "$3" "$4" "$5" "$6"
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  ! nft list table inet vs | grep -q 'counter packets [1-9]' || break
  sleep 0.05
done
nft -j -t list table inet vs`;

/** Rules as they are, but that only the packet that is sent meets them, and nothing is logged. */
function rulesFor(firewall: Firewall, resolved: ReadonlyMap<string, string[]>): string {
  const { log: _, ...rest } = firewall;
  const rules = firewall.rules.map(({ log: __, ...rule }) => rule);
  return compile({ ...rest, rules }, resolved)
    .replace('hook input priority 0; policy drop;', '$&\n    iifname != "eth0" accept')
    .replace('hook output priority 0; policy drop;', `$&\n    meta mark != ${MARK} accept`);
}
const listing = z.object({ nftables: z.array(z.record(z.string(), z.unknown())) });
const counted = z.object({
  comment: z.string(),
  expr: z.array(z.looseObject({ counter: z.object({ packets: z.number() }).optional() })),
});

/** What this kernel does with a packet that is really sent through the rules of a firewall, and which rule decided. */
export async function send(
  firewall: Firewall,
  resolved: ReadonlyMap<string, string[]>,
  packet: Packet,
): Promise<Decision> {
  const own = packet.direction === 'in' ? packet.destination : packet.source;
  const family = familyOf(own) ?? 4;
  const bytes = packetBytes(packet).toString('hex');
  const way =
    packet.direction === 'in'
      ? ['link', 'wire', `${inside}${outside}${family === 4 ? '0800' : '86dd'}${bytes}`]
      : [family === 4 ? 'four' : 'six', packet.destination, bytes];
  const argv = ['unshare', '-n', 'sh', '-euc', script, 'sh', String(family), own, program, ...way];
  const { stdout, code } = await run(argv, {
    input: rulesFor(firewall, resolved),
    okCodes: Array.from({ length: 256 }, (__, one) => one),
    timeoutMs: 30_000,
  });
  if (code !== 0)
    throw new VsError('failed', `the packet could not be sent on this host: ${stdout.trim().slice(-200)}`);
  const met = listing.parse(JSON.parse(stdout)).nftables.flatMap((one) => {
    const rule = counted.safeParse(one['rule']);
    return rule.success && rule.data.expr.some(({ counter }) => (counter?.packets ?? 0) > 0)
      ? [rule.data.comment]
      : [];
  });
  const [comment] = met;
  if (comment === undefined)
    return { verdict: 'drop', why: 'it was sent, and the kernel dropped it before any rule' };
  const rule = firewall.rules.find(({ id }) => id === comment);
  if (rule)
    return {
      verdict: rule.verdict,
      rule,
      why: `it was sent, and ${rule.at.file}:${rule.at.line} ${rule.verdict === 'accept' ? 'let it pass' : 'denied it'}`,
    };
  return comment === 'default'
    ? { verdict: 'drop', why: 'it was sent, and no rule matched' }
    : {
        verdict: 'accept',
        why: `it was sent, and passed as ${comment === 'implied' ? 'ping and the search for neighbours do' : 'what belongs to open connections does'}`,
      };
}
