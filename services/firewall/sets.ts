import { addressExpected, parseAddress } from './addresses.ts';
import type { Address } from './rule.ts';
import { type Item, type Report, quote, wordsOf } from './words.ts';

const setName = /^[a-z0-9][a-z0-9_-]{0,63}$/;
const setNameExpected = 'a name of at most 64 small letters, digits, - and _';
/** Addresses that the sets of one firewall may come to in all, so that sets of sets stay small. */
const mostMembers = 200_000;

interface Entry {
  items: Item[];
  report: Report;
  members?: Address[];
  open?: true;
}
/** Finds the addresses of an item: an address, a name, or all of `@set`. */
export type Find = (item: Item, report: Report) => Address[];

/** Reads the lines `name: address,address,...` of sets.conf. */
function readSets(text: string, reportAt: (line: number) => Report): Map<string, Entry> {
  const sets = new Map<string, Entry>();
  for (const [index, raw] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    const report = reportAt(index + 1);
    const line = raw.replace(/#.*/s, '').trimEnd();
    if (!line) continue;
    const colon = line.indexOf(':');
    const start = line.search(/\S/);
    const name = line.slice(start, Math.max(colon, start)).trimEnd();
    if (colon < 0) report(start + 1, quote(line.trim()), 'a set as "office: 192.0.2.0/24,host.example.org"');
    else if (!setName.test(name)) report(start + 1, quote(name), `${setNameExpected} before the colon`);
    else if (sets.has(name)) report(start + 1, `a second set ${quote(name)}`, 'each set once');
    else {
      const words = wordsOf(`${' '.repeat(colon + 1)}${line.slice(colon + 1)}`, report);
      const [word, more] = words ?? [];
      if (words && !word) report(colon + 2, 'the end of the line', 'addresses after the colon');
      if (more) report(more.column, quote(more.items[0]?.text ?? ''), 'a comma between addresses');
      sets.set(name, { items: word?.items ?? [], report });
    }
  }
  return sets;
}

/** Makes the finder of addresses over a sets.conf, which is read when the first set is asked for. */
export function finder(
  sets: { text: string; file: string } | undefined,
  reportIn: (file: string, line: number) => Report,
): Find {
  let known: Map<string, Entry> | undefined;
  let count = 0;
  const read = () => (known ??= sets ? readSets(sets.text, (line) => reportIn(sets.file, line)) : new Map());
  function membersOf(entry: Entry, path: string[]): Address[] {
    if (entry.members) return entry.members;
    const members = new Map<string, Address>();
    entry.open = true;
    for (const item of entry.items)
      for (const one of find(item, entry.report, path))
        members.set('name' in one ? one.name : one.range, one);
    delete entry.open;
    entry.members = [...members.values()];
    count += entry.members.length;
    return entry.members;
  }
  function find(item: Item, report: Report, path: string[]): Address[] {
    if (item.quoted || !item.text.startsWith('@')) {
      const found = item.quoted ? addressExpected : parseAddress(item.text);
      if (typeof found !== 'string') return found;
      report(item.column, quote(item.text), found);
      return [];
    }
    const name = item.text.slice(1);
    const entry = read().get(name);
    const way = [...path, name];
    if (!entry)
      report(item.column, quote(item.text), `a set of ${sets?.file ?? 'sets.conf'}, which has no such name`);
    else if (entry.open)
      report(item.column, quote(item.text), `a set that does not lead back to itself (${way.join(' -> ')})`);
    else if (path.length >= 8) report(item.column, quote(item.text), 'sets within sets at most 8 deep');
    else {
      const members = membersOf(entry, way);
      if (count <= mostMembers) return members;
      report(item.column, quote(item.text), `sets of at most ${mostMembers} addresses in all`);
      [count, entry.members] = [0, []];
    }
    return [];
  }
  return (item, report) => find(item, report, []);
}
