import type { Network } from '../../shared/contract/network.ts';
import type { Port } from './inside.ts';
import { bridgeOf } from './plan.ts';

/** Keeps the host itself off a bridge of vservers: it answers and sends nothing there, guests reach one another. */
export function guardRules(network: Network): string {
  const table = `vs_guard_${bridgeOf(network)}`;
  return `table netdev ${table}
delete table netdev ${table}
table netdev ${table} {
  chain input { type filter hook ingress device "${bridgeOf(network)}" priority 0; policy drop; }
  chain output { type filter hook egress device "${bridgeOf(network)}" priority 0; policy drop; }
}
`;
}

/** Removes the guard of a bridge that is gone. */
export function noGuard(network: Network): string {
  const table = `vs_guard_${bridgeOf(network)}`;
  return `table netdev ${table}\ndelete table netdev ${table}\n`;
}

const word = (high: number, low: number) => ((high << 8) | low).toString(16);
/** The link-local address that the kernel makes of a MAC (EUI-64). */
export function linkLocalOf(mac: string): string {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac.split(':').map((byte) => parseInt(byte, 16));
  return `fe80::${word(a ^ 2, b)}:${word(c, 0xff)}:${word(0xfe, d)}:${word(e, f)}`;
}

const words = (text: string) => text.split(':').filter(Boolean);
/** An IPv6 address as one number of 128 bits. */
export function hexOf(address: string): string {
  const [head = '', tail] = address.split('::');
  const [high, low] = [words(head), words(tail ?? '')];
  const zeros = Array<string>(8 - high.length - low.length).fill('0');
  return `0x${[...high, ...zeros, ...low].map((one) => one.padStart(4, '0')).join('')}`;
}

export const vethTable = (veth: string): string => `vs_${veth}`;

/** An IPv6 address at the place of an ND message's target: nft of Debian 12 has no `icmpv6 taddr`. */
const otherTarget = (address: string) => `@th,64,128 != ${hexOf(address)}`;

/**
 * What a vserver may send, at the host's end of its veth: untagged ARP, IPv4 and IPv6 from its own MAC and addresses, and nothing that
 * speaks for a router, a DHCP server or another vserver. All else is dropped: tags, STP, LLDP, other protocols. The first fragment of a
 * datagram shows whose it is; without it the others are worth nothing, so they pass by their address.
 */
export function vethRules({ veth, mac, addresses, addresses6 }: Port): string {
  const linkLocal = linkLocalOf(mac);
  const own6 = addresses6.map(({ address }) => address);
  const own4 = `{ ${addresses.map(({ address }) => address).join(', ')} }`;
  const foreign = [...own6, linkLocal].map(otherTarget).join(' ');
  const isMine = `arp saddr ether ${mac} arp saddr ip ${own4}`;
  const v4 =
    addresses.length > 0
      ? `    meta protocol arp arp htype 1 arp ptype 0x0800 arp hlen 6 arp plen 4 ${isMine} accept
    meta protocol ip ip saddr ${own4} goto ip_out\n`
      : '';
  const v6 = own6.length > 0 ? `    meta protocol ip6 ip6 saddr { ${own6.join(', ')} } goto ip6_out\n` : '';
  return `table netdev ${vethTable(veth)}
delete table netdev ${vethTable(veth)}
table netdev ${vethTable(veth)} {
  chain input {
    type filter hook ingress device "${veth}" priority -500; policy drop;
    ether saddr != ${mac} drop
    @ll,96,16 { 0x8100, 0x88a8, 0x9100 } drop
${v4}${v6}    meta protocol ip6 ip6 saddr { ${linkLocal}, :: } goto link_out
  }
  chain ip_out {
    ip frag-off & 0x1fff != 0 accept
    icmp type { redirect, router-advertisement } drop
    goto last_out
  }
  chain ip6_out {
    frag frag-off != 0 accept
    icmpv6 type nd-neighbor-advert ${foreign} drop
    icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-request, echo-reply, nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld-listener-done, mld2-listener-report } accept
    meta l4proto 58 drop
    goto last_out
  }
  chain link_out {
    icmpv6 type nd-neighbor-advert ${foreign} drop
    ip6 saddr :: icmpv6 type nd-neighbor-solicit ${foreign} drop
    icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld-listener-done, mld2-listener-report } accept
  }
  chain last_out {
    udp dport { 67, 68, 546, 547 } drop
    meta l4proto 112 drop
    meta l4proto != 255 accept
  }
}
`;
}
