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

/** The replies to this client, whatever its role. */
const repliesOf = (base: string, who: Identity): string[] => replyFilters(base, who.clientId);

/** A filter, made ready: one whose only wildcard is a # at its end is a prefix; the others are levels. */
type Ready = string | string[];
/** Those of a named role are made once for a client, since each message is looked at. */
interface Rules {
  base: string;
  role: Exclude<Identity['role'], 'custom'>;
  publish: Ready[];
  never: Ready[];
  clear: Ready[];
  read: Ready[];
}
const made = new WeakMap<Identity, Rules>();
const ready = (filter: string): Ready =>
  filter.endsWith('#') && !filter.includes('+') ? filter.slice(0, -1) : filter.split('/');

function rulesFor(base: string, who: Identity, role: Rules['role']): Rules {
  const known = made.get(who);
  if (known?.role === role && known.base === base) return known;
  const { publish, never, clear, read } = roleFilters(base, { role, name: who.name });
  const rules = {
    base,
    role,
    publish: publish.map(ready),
    never: never.map(ready),
    clear: clear.map(ready),
    read: read.map(ready),
  };
  made.set(who, rules);
  return rules;
}
function anyFits(filters: Ready[], topic: string): boolean {
  let levels: string[] | undefined;
  for (const filter of filters) {
    if (typeof filter === 'string') {
      if (topic.startsWith(filter) || topic === filter.slice(0, -1)) return true; // # is its parent too
    } else if (fits(filter, (levels ??= topic.split('/')))) return true;
  }
  return false;
}
function fits(filter: string[], levels: string[]): boolean {
  for (let at = 0; at < filter.length; at++) {
    const level = filter[at];
    if (level === '#') return true;
    if (levels[at] === undefined || (level !== '+' && level !== levels[at])) return false;
  }
  return filter.length === levels.length;
}

/** Who may publish where (design.md, "Access"): deny by default. */
export function mayPublish(base: string, who: Identity, topic: string, empty = false): boolean {
  if (who.role === 'custom')
    return !topic.startsWith('$') && !isReply(base, topic) && listed(base, who.write, topic);
  const { publish, never, clear } = rulesFor(base, who, who.role);
  if (anyFits(never, topic)) return false;
  return anyFits(publish, topic) || (empty && anyFits(clear, topic));
}

/** May this client get this message? Replies reach only the client they are for, whatever its role. */
export function mayRead(base: string, who: Identity, topic: string): boolean {
  if (topic.includes('/replies')) {
    if (repliesOf(base, who).some((filter) => matches(filter, topic))) return true;
    if (isReply(base, topic)) return false;
  }
  if (who.role === 'custom') return listed(base, who.read, topic);
  return anyFits(rulesFor(base, who, who.role).read, topic);
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
