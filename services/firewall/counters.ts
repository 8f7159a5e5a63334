import { z } from 'zod';

const counter = z.object({ packets: z.number(), bytes: z.number() });
export type Counted = z.infer<typeof counter>;
const listing = z.object({ nftables: z.array(z.record(z.string(), z.unknown())) });
const ruleShape = z.object({
  chain: z.string(),
  comment: z.string().optional(),
  expr: z.array(z.record(z.string(), z.unknown())),
});

export interface Counters {
  /** By the id of a rule; both families of it together. */
  rules: Map<string, Counted>;
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

/** What `nft -j list table` says of the rules. */
export function countersOf(json: string): Counters {
  const found: Counters = {
    rules: new Map(),
    accepted: nothing(),
    denied: nothing(),
    unmatched: nothing(),
  };
  for (const one of listing.parse(JSON.parse(json)).nftables) {
    const rule = ruleShape.safeParse(one['rule']);
    if (!rule.success) continue;
    const { comment, expr } = rule.data;
    const counts = expr.flatMap((part) => counter.safeParse(part['counter']).data ?? []);
    const [count] = counts;
    if (!count) continue;
    const drops = expr.some(isDenied);
    if (drops) add(found.denied, count);
    else if (expr.some((part) => 'accept' in part)) add(found.accepted, count);
    if (comment !== undefined && /^r\d+$/.test(comment)) {
      const sum = found.rules.get(comment) ?? nothing();
      add(sum, count);
      found.rules.set(comment, sum);
    } else if (drops) add(found.unmatched, count);
  }
  return found;
}
