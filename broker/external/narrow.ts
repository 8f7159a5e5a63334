import { channels } from '../../shared/contract/channels.ts';
import { covers } from '../access.ts';
import { discoveryFilters } from '../discovery-access.ts';
import { type Person, levelToSay, replyFilters, roleFilters } from '../rights.ts';

/** The filter of what both filters match; undefined when that is nothing. */
export function meet(one: string, other: string): string | undefined {
  const [first, second] = [one.split('/'), other.split('/')];
  const met: string[] = [];
  for (let index = 0; ; index++) {
    const [a, b] = [first[index], second[index]];
    if (a === '#') return [...met, ...second.slice(index)].join('/');
    if (b === '#') return [...met, ...first.slice(index)].join('/');
    if (a === undefined && b === undefined) return met.join('/');
    if (a === undefined || b === undefined || (a !== b && a !== '+' && b !== '+')) return undefined;
    met.push(a === '+' ? b : a);
  }
}

/** What the pool speaks of, as filters that end with # where something lies below: `vs/1/hosts/+/vservers/#`. */
function areas(base: string): string[] {
  const found = Object.values(channels).map(({ topic }) => {
    const levels = topic.replace(/\{\w+\}/g, '+').split('/');
    const keep = levels[0] === 'hosts' ? 3 : levels[0] === 'master' ? 2 : 1;
    return [base, ...levels.slice(0, keep), ...(levels.length > keep ? ['#'] : [])].join('/');
  });
  return [...new Set(found)];
}
const repliesArea = (base: string) => replyFilters(base, '#');

/** The filter, or in its place those of its parts that are allowed. */
function parts(base: string, filter: string, allowed: (area: string) => boolean): string[] {
  const touched = areas(base).filter((area) => meet(filter, area) !== undefined);
  if (touched.every(allowed)) return [filter];
  return touched.filter(allowed).flatMap((area) => meet(filter, area) ?? []);
}

/** What others than the embedded broker can check: lists of what is allowed, without exceptions. */
export interface NarrowFilters {
  publish: string[];
  read: string[];
}

/**
 * The rights of a user without exceptions, for brokers that know none: where a filter is wider than what is allowed, the
 * parts of it that the contract knows stand in its place; `homeassistant` is HOMEASSISTANT_PREFIX. A user hears the replies to its name, not to its client id.
 */
export function narrowFilters(base: string, who: Person, homeassistant = ''): NarrowFilters {
  const replies = (area: string) => repliesArea(base).some((one) => covers(one, area));
  const own = replyFilters(base, who.name);
  const discovery = discoveryFilters(homeassistant, who.role);
  const unique = (filters: string[]) => [...new Set(filters)];
  if (who.role === 'custom') {
    const said = (filter: string) => (area: string) => {
      const level = levelToSay(base, area);
      return !replies(area) && (level === undefined || filter.split('/')[level] === area.split('/')[level]);
    };
    const all = (filters: string[]) => filters.flatMap((filter) => parts(base, filter, said(filter)));
    return {
      publish: unique(all(who.write.filter((filter) => !filter.startsWith('$')))),
      read: unique([...all(who.read), ...own]),
    };
  }
  const { publish, never, clear, read } = roleFilters(base, { role: who.role, name: who.name });
  const refused = (area: string) => never.some((one) => meet(one, area) !== undefined);
  return {
    publish: unique([
      ...publish.flatMap((filter) => parts(base, filter, (area) => !refused(area))),
      ...clear,
      ...discovery.publish,
    ]),
    read: unique([
      ...read.flatMap((filter) => parts(base, filter, (area) => !replies(area))),
      ...(read.includes('#') ? ['$SYS/broker/#'] : []),
      ...discovery.read,
      ...own,
    ]),
  };
}
