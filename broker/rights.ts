import { matches } from '../shared/contract/topics.ts';
import type { Rights } from './users.ts';

/** A user as far as its rights go. */
export type Person = Rights & { name: string };
type NamedRole = Exclude<Person['role'], 'custom'>;

/** What a role means, as topic filters; nothing else is allowed. */
export interface RoleFilters {
  publish: string[];
  /** What `publish` does not cover all the same. */
  never: string[];
  /** Where it may publish an empty message, which clears what is retained; a broker that cannot tell takes any. */
  clear: string[];
  /** Replies are not in it, whatever it says: each client hears those to itself. */
  read: string[];
}

/** The roles of the pool (design.md, "Access"), for the embedded broker and for the configuration of others. */
export function roleFilters(base: string, { role, name }: { role: NamedRole; name: string }): RoleFilters {
  const commands = `${base}/hosts/+/commands/+/+`;
  const roles: Record<NamedRole, RoleFilters> = {
    agent: {
      publish: [`${base}/hosts/${name}/#`],
      never: [`${base}/hosts/${name}/commands/#`],
      clear: [],
      read: [
        `${base}/hosts/${name}/commands/#`,
        `${base}/hosts/+/status`,
        `${base}/hosts/+/vservers/+/state`,
        `${base}/master/removed/+`,
        `${base}/master/networks`,
      ],
    },
    master: {
      publish: [`${base}/master/#`, `${base}/sagas/#`, `${base}/backups/#`, commands],
      never: [],
      // of a host that is removed from the pool
      clear: ['status', 'info', 'vservers/+/state', 'alerts/+/+'].map((topic) => `${base}/hosts/+/${topic}`),
      read: ['#'],
    },
    operator: { publish: [commands, `${base}/master/commands/+/+`], never: [], clear: [], read: ['#'] },
    viewer: {
      publish: [],
      never: [],
      clear: [],
      read: [
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
    },
  };
  return roles[role];
}

/**
 * Where a user's own filter must say the level in so many words for this topic: `commands` below a host or the master,
 * and whatever begins with $: a wide filter for reading states is not one for commanding hosts.
 */
export function levelToSay(base: string, topic: string): number | undefined {
  const inMaster = matches(`${base}/master/#`, topic);
  const place = base.split('/').length + (inMaster ? 1 : 2);
  if ((inMaster || matches(`${base}/hosts/+/#`, topic)) && topic.split('/')[place] === 'commands')
    return place;
  return topic.startsWith('$') ? 0 : undefined;
}

/** The topics on which replies to this client come. */
export const replyFilters = (base: string, client: string): string[] => [
  `${base}/hosts/+/replies/${client}`,
  `${base}/master/replies/${client}`,
];
