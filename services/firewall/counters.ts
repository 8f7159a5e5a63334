import { z } from 'zod';

const counter = z.object({ packets: z.number(), bytes: z.number() });
export type Counted = z.infer<typeof counter>;
const listing = z.object({ nftables: z.array(z.record(z.string(), z.unknown())) });
const tableShape = z.object({ handle: z.number() });
const ruleShape = z.object({
  chain: z.string(),
  comment: z.string().optional(),
  expr: z.array(z.record(z.string(), z.unknown())),
});

export interface Counters {
  /** By the id of a rule; both families of it together. */
  rules: Map<string, Counted>;
  /** The same by the key of a rule (counts.ts). */
  keyed: Map<string, Counted>;
  /** Of the table: another one with each load of the rules. */
  handle: number;
  accepted: Counted;
  denied: Counted;
  /** What no rule of the file matched. */
  unmatched: Counted;
}
/** With `log` in a firewall.conf what is denied goes to a chain of its own, after it was counted. */
const goesTo = z.object({ target: z.literal('denied') });
const isDenied = (part: Record<string, unknown>) =>
  'drop' in part || 'reject' in part || goesTo.safeParse(part['goto']).success;
const nothing = (): Counted => ({ packets: 0, bytes: 0 });
function add(to: Counted, more: Counted): void {
  to.packets += more.packets;
  to.bytes += more.bytes;
}

function addTo(sums: Map<string, Counted>, what: string, count: Counted): void {
  const sum = sums.get(what) ?? nothing();
  add(sum, count);
  sums.set(what, sum);
}

/** What `nft -j list table` says of the rules. */
export function countersOf(json: string): Counters {
  const found: Counters = {
    rules: new Map(),
    keyed: new Map(),
    handle: 0,
    accepted: nothing(),
    denied: nothing(),
    unmatched: nothing(),
  };
  for (const one of listing.parse(JSON.parse(json)).nftables) {
    found.handle = tableShape.safeParse(one['table']).data?.handle ?? found.handle;
    const rule = ruleShape.safeParse(one['rule']);
    if (!rule.success) continue;
    const { comment, expr } = rule.data;
    const counts = expr.flatMap((part) => counter.safeParse(part['counter']).data ?? []);
    const [count] = counts;
    if (!count) continue;
    const drops = expr.some(isDenied);
    if (drops) add(found.denied, count);
    else if (expr.some((part) => 'accept' in part)) add(found.accepted, count);
    const [, id, key] = /^(r\d+)(?: ([0-9a-f]{12}))?$/.exec(comment ?? '') ?? [];
    if (id !== undefined) {
      addTo(found.rules, id, count);
      if (key !== undefined) addTo(found.keyed, key, count);
    } else if (drops) add(found.unmatched, count);
  }
  return found;
}
