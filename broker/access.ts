import { matches } from '../shared/contract/topics.ts';
import { levelToSay, replyFilters, roleFilters } from './rights.ts';
import type { Rights } from './users.ts';

export type Identity = Rights & {
  name: string;
  clientId: string;
  /** From where it came. */
  address?: string | undefined;
};

/** Does every topic that `filter` covers lie within one that `allowed` covers? Both may hold + and #. */
export function covers(allowed: string, filter: string): boolean {
  const want = allowed.split('/');
  const have = filter.split('/');
  for (const [index, level] of want.entries()) {
    if (level === '#') return true;
    const other = have[index];
    if (other === undefined || other === '#') return false;
    if (level !== '+' && level !== other) return false;
  }
  return want.length === have.length;
}

/** Does a filter of a user's own list give it this topic? */
function listed(base: string, filters: string[], topic: string): boolean {
  const said = levelToSay(base, topic);
  const levels = topic.split('/');
  return filters.some(
    (filter) => matches(filter, topic) && (said === undefined || filter.split('/')[said] === levels[said]),
  );
}
const isReply = (base: string, topic: string): boolean =>
  matches(`${base}/hosts/+/replies/#`, topic) || matches(`${base}/master/replies/#`, topic);

/** Who may publish where (design.md, "Access"): deny by default. */
export function mayPublish(base: string, who: Identity, topic: string, empty = false): boolean {
  if (who.role === 'custom')
    return !topic.startsWith('$') && !isReply(base, topic) && listed(base, who.write, topic);
  const { publish, never, clear } = roleFilters(base, { role: who.role, name: who.name });
  if (never.some((filter) => matches(filter, topic))) return false;
  return [...publish, ...(empty ? clear : [])].some((filter) => matches(filter, topic));
}

/** The user's name is one of its client ids, and external brokers know nothing else (docs/brokers.md). */
const repliesOf = (base: string, who: Identity): string[] =>
  [who.clientId, who.name].flatMap((client) => replyFilters(base, client));

/** May this client get this message? Replies reach only the client they are for, whatever its role. */
export function mayRead(base: string, who: Identity, topic: string): boolean {
  if (repliesOf(base, who).some((filter) => matches(filter, topic))) return true;
  if (isReply(base, topic)) return false;
  if (who.role === 'custom') return listed(base, who.read, topic);
  return roleFilters(base, { role: who.role, name: who.name }).read.some((filter) => matches(filter, topic));
}

/**
 * May this client subscribe? A filter that is wider than what the client may read is taken (`vs/1/#` is what people
 * type), and delivery is filtered message by message; only what could never deliver anything is refused.
 */
export function maySubscribe(base: string, who: Identity, filter: string): boolean {
  if (filter.startsWith('$share/')) return false;
  const replies = /(^|\/)replies\/([^/]+)$/.exec(filter);
  if (replies) return repliesOf(base, who).some((allowed) => covers(allowed, filter));
  if (who.role === 'master' || who.role === 'operator') return true;
  const wild = filter.includes('#') || filter.includes('+');
  return wild ? true : mayRead(base, who, filter);
}
