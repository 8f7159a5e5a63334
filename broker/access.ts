import { matches } from '../shared/contract/topics.ts';
import type { Rights } from './users.ts';

export type Identity = Rights & {
  name: string;
  clientId: string;
  /** From where it came. */
  address?: string | undefined;
};
type NamedRole = Exclude<Identity['role'], 'custom'>;

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

/**
 * Does a filter of a user's own list give it this topic? Commands only if the filter says `commands` in so many words,
 * replies and $SYS never by + or #: a wide filter for reading states is not one for commanding hosts.
 */
function listed(base: string, filters: string[], topic: string): boolean {
  const levels = topic.split('/');
  const place = base.split('/').length + (matches(`${base}/master/#`, topic) ? 1 : 2);
  const inOurs = matches(`${base}/master/#`, topic) || matches(`${base}/hosts/+/#`, topic);
  const said = inOurs && levels[place] === 'commands' ? place : topic.startsWith('$') ? 0 : undefined;
  return filters.some(
    (filter) => matches(filter, topic) && (said === undefined || filter.split('/')[said] === levels[said]),
  );
}
const isReply = (base: string, topic: string): boolean =>
  matches(`${base}/hosts/+/replies/#`, topic) || matches(`${base}/master/replies/#`, topic);

/** What is retained of a host; the master clears it when the host is removed from the pool. */
const cleared = (base: string): string[] =>
  ['status', 'info', 'vservers/+/state', 'alerts/+/+'].map((topic) => `${base}/hosts/+/${topic}`);

const writable = (base: string, who: Identity): Record<NamedRole, string[]> => ({
  agent: [`${base}/hosts/${who.name}/#`],
  master: [`${base}/master/#`, `${base}/sagas/#`, `${base}/backups/#`, `${base}/hosts/+/commands/+/+`],
  operator: [`${base}/hosts/+/commands/+/+`, `${base}/master/commands/+/+`],
  viewer: [],
});
const readable = (base: string, who: Identity): Record<NamedRole, string[]> => ({
  agent: [
    `${base}/hosts/${who.name}/commands/#`,
    `${base}/hosts/+/status`,
    `${base}/hosts/+/vservers/+/state`,
  ],
  master: ['#'],
  operator: ['#'],
  viewer: [
    `${base}/hosts/+/status`,
    `${base}/hosts/+/info`,
    `${base}/hosts/+/metrics`,
    `${base}/hosts/+/vservers/+/state`,
    `${base}/hosts/+/vservers/+/metrics`,
    `${base}/hosts/+/alerts/#`,
    `${base}/master/status`,
    `${base}/master/alerts/#`,
    `${base}/sagas/#`,
    `${base}/backups/#`,
    '$SYS/broker/#',
  ],
});

const repliesOf = (base: string, who: Identity): string[] => [
  `${base}/hosts/+/replies/${who.clientId}`,
  `${base}/master/replies/${who.clientId}`,
];

/** A filter, made ready: one whose only wildcard is a # at its end is a prefix; the others are levels. */
type Ready = string | string[];
/** Those of a named role are made once for a client, since each message is looked at. */
interface Rules {
  base: string;
  role: NamedRole;
  write: Ready[];
  read: Ready[];
}
const made = new WeakMap<Identity, Rules>();
const ready = (filter: string): Ready =>
  filter.endsWith('#') && !filter.includes('+') ? filter.slice(0, -1) : filter.split('/');

function rulesFor(base: string, who: Identity, role: NamedRole): Rules {
  const known = made.get(who);
  if (known?.role === role && known.base === base) return known;
  const rules = {
    base,
    role,
    write: writable(base, who)[role].map(ready),
    read: readable(base, who)[role].map(ready),
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
  if (
    who.role === 'agent' &&
    topic.includes('/commands') &&
    matches(`${base}/hosts/${who.name}/commands/#`, topic)
  )
    return false;
  if (who.role === 'master' && empty && cleared(base).some((filter) => matches(filter, topic))) return true;
  return anyFits(rulesFor(base, who, who.role).write, topic);
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
