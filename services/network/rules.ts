import type { Network } from '../../shared/contract/network.ts';
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

export const vethTable = (veth: string): string => `vs_${veth}`;

/** Anti-spoofing at the host's end of a vserver's veth (the set proved in measured.md): only its own MAC and addresses. */
export function vethRules(veth: string, own: { mac: string; address: string; address6?: string }): string {
  const v6 = own.address6
    ? `    icmpv6 type nd-neighbor-advert icmpv6 taddr != ${own.address6} ip6 saddr != fe80::/10 drop
    ip6 saddr ${own.address6} accept\n`
    : '';
  return `table netdev ${vethTable(veth)} {
  chain input {
    type filter hook ingress device "${veth}" priority -500; policy drop;
    ether saddr != ${own.mac} drop
    arp saddr ether ${own.mac} arp saddr ip ${own.address} accept
    ip saddr ${own.address} accept
    icmpv6 type { nd-router-advert, nd-redirect } drop
${v6}    ip6 saddr { fe80::/10, :: } icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld-listener-report, mld2-listener-report } accept
  }
}
`;
}
