import { matches } from '../shared/contract/topics.ts';
import type { Role } from './users.ts';

/** What a role may do below HOMEASSISTANT_PREFIX, in filters: the master tells, operators and viewers hear. '': nothing. */
export function discoveryFilters(prefix: string, role: Role): { publish: string[]; read: string[] } {
  const configurations = `${prefix}/+/+/+/config`;
  return {
    publish: prefix && role === 'master' ? [configurations] : [],
    read: prefix && ['master', 'operator', 'viewer'].includes(role) ? [configurations] : [],
  };
}

/** Beside broker/access.ts: whether HOMEASSISTANT_PREFIX lets this role publish or hear this topic. */
export function discoveryAccess(prefix: string) {
  const may = (what: 'publish' | 'read') => (who: { role: Role }, topic: string) =>
    discoveryFilters(prefix, who.role)[what].some((filter) => matches(filter, topic));
  return { mayPublish: may('publish'), mayRead: may('read') };
}
export type DiscoveryAccess = ReturnType<typeof discoveryAccess>;
