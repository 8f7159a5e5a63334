import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { z } from 'zod';
import type { Counters } from './counters.ts';
import type { Rule } from './rule.ts';
import { wordsOf } from './words.ts';

const counted = z.strictObject({ packets: z.number().min(0), bytes: z.number().min(0) });
const counts = z.strictObject({
  accepted: counted,
  denied: counted,
  unmatched: counted,
  /** By the key of a rule. */
  rules: z.record(z.string(), counted),
});
export type Counts = z.infer<typeof counts>;
/** What a firewall has counted in its life: the kernel begins anew with each load of its rules, and with each start. */
export const record = z.strictObject({
  version: z.literal(1),
  /** Of the vserver: a clone counts for itself. */
  uuid: z.string(),
  /** The rules in the kernel of which `now` is. */
  table: z.string(),
  before: counts,
  now: counts,
});
export type CountRecord = z.infer<typeof record>;

/** Its words, however they are spaced, without what `#` begins. */
const wordsIn = (text: string): string =>
  (wordsOf(text, () => undefined) ?? [])
    .map(({ items }) => items.map((one) => (one.quoted ? `"${one.text}"` : one.text)).join(','))
    .join(' ');

/** What stays the same of a rule while others come and go: a hash of its words, and which of those that are equal it is. */
export function keysOf(rules: Pick<Rule, 'id' | 'text'>[]): Map<string, string> {
  const seen = new Map<string, number>();
  return new Map(
    rules.map(({ id, text }) => {
      const words = wordsIn(text);
      const nth = (seen.get(words) ?? 0) + 1;
      seen.set(words, nth);
      const hash = createHash('sha256').update(`${nth} ${words}`).digest('hex');
      return [id, hash.slice(0, 12)];
    }),
  );
}
/** So many rules of a vserver are in its metrics. */
const MOST_TITLED = 40;
export interface Title {
  key: string;
  /** In the keys of metrics: small letters, digits and underscores. */
  title: string;
}
/** Names for the figures of rules: their comment, which stays when lines come and go, else the line. */
export function titlesOf(rules: Pick<Rule, 'id' | 'text' | 'comment' | 'at'>[]): Title[] {
  const keys = keysOf(rules);
  const slug = (text: string) =>
    text
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '_')
      .replaceAll(/^_|_$/g, '')
      .slice(0, 32);
  return rules.slice(0, MOST_TITLED).map(({ id, comment, at }) => {
    const file = slug(basename(at.file, '.conf'));
    const line = `${file === 'firewall' || file === '' ? '' : `${file}_`}line${at.line}`;
    return { key: keys.get(id) ?? '', title: slug(comment ?? '') || line };
  });
}
/** What the rules with these names have counted; rules of the same name are one. */
export function titled(titles: Title[], { rules }: Counts) {
  const sums = new Map<string, z.infer<typeof counted>>();
  for (const { key, title } of titles) if (rules[key]) sums.set(title, sum(sums.get(title), rules[key]));
  return [...sums].map(([title, one]) => ({ title, ...one }));
}

/** Compiled rules, each counter with the key of its rule. */
export function withKeys(rules: string, keys: ReadonlyMap<string, string>): string {
  return rules.replaceAll(/ comment "(r\d+)"$/gm, (all, id: string) =>
    keys.has(id) ? ` comment "${id} ${keys.get(id) ?? ''}"` : all,
  );
}

const none: Counts = {
  accepted: { packets: 0, bytes: 0 },
  denied: { packets: 0, bytes: 0 },
  unmatched: { packets: 0, bytes: 0 },
  rules: {},
};
const sum = (...all: (z.infer<typeof counted> | undefined)[]) => ({
  packets: all.reduce((total, one) => total + (one?.packets ?? 0), 0),
  bytes: all.reduce((total, one) => total + (one?.bytes ?? 0), 0),
});
/** `keys`: of the rules that are still there. */
function add(one: Counts, other: Counts, keys: string[]): Counts {
  return {
    accepted: sum(one.accepted, other.accepted),
    denied: sum(one.denied, other.denied),
    unmatched: sum(one.unmatched, other.unmatched),
    rules: Object.fromEntries(keys.map((key) => [key, sum(one.rules[key], other.rules[key])])),
  };
}
const fell = (was: Counts, now: Counts): boolean =>
  now.accepted.packets < was.accepted.packets || now.denied.packets < was.denied.packets;

/** The record after a look into the kernel. `table`: which rules these are; others begin at nothing. */
export function observe(
  known: CountRecord | undefined,
  { uuid, table, found }: { uuid: string; table: string; found: Counters },
): CountRecord {
  const now: Counts = {
    accepted: { ...found.accepted },
    denied: { ...found.denied },
    unmatched: { ...found.unmatched },
    rules: Object.fromEntries(found.keyed),
  };
  if (known?.uuid !== uuid) return { version: 1, uuid, table, before: none, now };
  if (known.table === table && !fell(known.now, now)) return { ...known, now };
  return { ...known, table, before: add(known.before, known.now, Object.keys(now.rules)), now };
}

export const totalOf = ({ before, now }: CountRecord): Counts => add(before, now, Object.keys(now.rules));
