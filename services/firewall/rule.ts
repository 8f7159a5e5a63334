/** An address that is known, or a host name whose addresses are resolved when the rules are loaded. */
export type Address =
  /** `10.0.0.0/8`, `10.0.0.1`, `10.0.0.1-10.0.0.9`, the same of IPv6; everything is 0.0.0.0/0 or ::/0. */
  { family: 4 | 6; range: string } | { name: string };

/** What a packet's protocol must be: one of these numbers, and one of the ports or ICMP types when there are any. */
export interface Match {
  protocols: number[];
  /** Lowest and highest, both included. */
  ports?: [number, number][];
  types?: number[];
}
export type Unit = 'second' | 'minute' | 'hour' | 'day';
export interface Rate {
  packets: number;
  unit: Unit;
  burst: number;
}
export interface Place {
  file: string;
  line: number;
}
/** One rule: the first that matches decides. */
export interface Rule {
  /** `r` and its number in order, from 1. */
  id: string;
  at: Place;
  /** Its line, trimmed. */
  text: string;
  /** So many blanks were before it. */
  indent?: number;
  verdict: 'accept' | 'drop';
  /** Seen from the vserver: `from` is in, `to` is out. */
  direction: 'in' | 'out';
  /** Of the other side. */
  addresses: Address[];
  /** Whose ports: `from` the sender's, `to` the receiver's. */
  portSide: 'from' | 'to';
  /** Any of these; empty: every protocol. */
  matches: Match[];
  /** It matches only while packets come no faster. */
  limit?: Rate;
  log?: { prefix?: string };
  comment?: string;
  /** Follows the protocol, so that the connections it announces are related. */
  helper?: 'ftp';
}
/** A parsed firewall.conf with its groups and sets. */
export interface Firewall {
  enabled: boolean;
  /** What is denied is logged, no faster than this. */
  log?: { prefix: string; limit: Rate };
  rules: Rule[];
}

/** Protocols of their own meaning here. */
export const icmp = 1;
export const tcp = 6;
export const udp = 17;
export const icmpv6 = 58;

/** What passes in both directions before any rule: ping, and for IPv6 the search for neighbours and routers and group reports. */
export const impliedTypes: Record<number, readonly number[]> = {
  [icmp]: [0, 8],
  [icmpv6]: [128, 129, 133, 135, 136, 131, 143],
};
/** How often is logged unless a file says something else. */
export const defaultLogRate: Rate = { packets: 10, unit: 'minute', burst: 20 };

/** The host names in the rules, each once: what must be resolved before `compile`. */
export function namesOf(firewall: Pick<Firewall, 'rules'>): string[] {
  const names = new Set<string>();
  // a set's addresses are one array in all rules that name it alone
  for (const addresses of new Set(firewall.rules.map((rule) => rule.addresses)))
    for (const one of addresses) if ('name' in one) names.add(one.name);
  return [...names];
}
