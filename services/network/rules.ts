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

/** Anti-spoofing at the host's end of a vserver's veth (the set proved in measured.md): only its own MAC and addresses. */
export function vethRules({ veth, mac, addresses, addresses6 }: Port): string {
  const linkLocal = linkLocalOf(mac);
  const own6 = addresses6.map(({ address }) => address);
  const mine = [...own6, linkLocal];
  const own4 = `{ ${addresses.map(({ address }) => address).join(', ')} }`;
  // the target of an advertisement, by its place: nft of Debian 12 has no `icmpv6 taddr`
  const foreign = mine.map((address) => `@th,64,128 != ${hexOf(address)}`).join(' ');
  const v4 =
    addresses.length > 0
      ? `    arp saddr ether ${mac} arp saddr ip ${own4} accept\n    ip saddr ${own4} accept\n`
      : '';
  const v6 = own6.length > 0 ? `    ip6 saddr { ${own6.join(', ')} } accept\n` : '';
  return `table netdev ${vethTable(veth)}
delete table netdev ${vethTable(veth)}
table netdev ${vethTable(veth)} {
  chain input {
    type filter hook ingress device "${veth}" priority -500; policy drop;
    ether saddr != ${mac} drop
${v4}    icmpv6 type { nd-router-advert, nd-redirect } drop
    icmpv6 type nd-neighbor-advert ${foreign} drop
${v6}    ip6 saddr { ${linkLocal}, :: } icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld-listener-report, mld2-listener-report } accept
  }
}
`;
}
