import { collectFaults, enough } from './faults.ts';
import { type Rest, parseLog } from './options.ts';
import { parseServices } from './protocols.ts';
import { parseRule } from './rule-line.ts';
import type { Address, Firewall, Place } from './rule.ts';
import { finder } from './sets.ts';
import { type Report, bare, quote, shown, wordsOf } from './words.ts';

interface Text {
  text: string;
  file: string;
}
/** What a firewall.conf may point to. */
export interface Sources {
  /** sets.conf: `name: address,address,...` lines, for `@name`. */
  sets?: Text;
  /** The file of a group, for `include name`. */
  group?: (name: string) => Text | undefined;
  /** The text of /etc/services, for the names of ports. */
  services?: string;
}
const mostBytes = 1_048_576;
const mostRules = 20_000;
/** Of all rules together; a set that stands alone counts once. */
const mostAddresses = 500_000;
/** Also of groups that hold nothing but other groups. */
const mostIncludes = 1000;
const mostLines = 200_000;
const mostDeep = 8;

const tooLarge = ({ text, file }: Text, report: (file: string, line: number) => Report): boolean => {
  const bytes = Buffer.byteLength(text);
  if (bytes > mostBytes) report(file, 1)(1, `${bytes} bytes`, `at most ${mostBytes} bytes in one file`);
  return bytes > mostBytes;
};

/**
 * Parses firewall.conf with its groups and sets. Throws VsError 'usage' that names every fault, one a line, as
 * `file:line:column: found ..., expected ...`.
 */
export function parseFirewall(text: string, file: string, sources: Sources = {}): Firewall {
  const firewall: Firewall = { enabled: false, rules: [] };
  const faults = collectFaults();
  const { sets } = sources;
  const usable = sets && !tooLarge(sets, faults.reportIn) ? sets : undefined;
  let services: Map<string, number> | undefined;
  const tools = {
    find: finder(usable, faults.reportIn),
    services: () => (services ??= parseServices(sources.services ?? '')),
  };
  const counts = { lines: 0, includes: 0, addresses: 0 };
  const seen = new Set<Address[]>();

  function count(what: keyof typeof counts, more: number, most: number, report: Report): void {
    counts[what] += more;
    if (counts[what] <= most) return;
    report(1, `more than ${most} ${what}`, `at most ${most} in all`);
    throw enough;
  }

  function addRule(rest: Rest, report: Report, at: Place, raw: string): void {
    const rule = parseRule(rest, tools, report);
    if (!rule) return;
    if (firewall.rules.length >= mostRules) {
      report(1, `more than ${mostRules} rules`, `at most ${mostRules} in all`);
      throw enough;
    }
    if (!seen.has(rule.addresses)) count('addresses', rule.addresses.length, mostAddresses, report);
    seen.add(rule.addresses);
    const indent = raw.length - raw.trimStart().length;
    firewall.rules.push({
      id: `r${firewall.rules.length + 1}`,
      at,
      text: raw.trim(),
      ...(indent > 0 ? { indent } : {}),
      ...rule,
    });
  }

  function include(rest: Rest, report: Report, path: string[]): void {
    const [word, more] = rest.words;
    const name = bare(word);
    const column = word?.column ?? rest.end;
    if (!/^[a-z0-9][a-z0-9_-]{0,63}$/.test(name))
      return report(column, shown(word), 'the name of a group of small letters, digits, - and _');
    if (more) return report(more.column, shown(more), 'the end of the line');
    if (path.includes(name))
      return report(
        column,
        quote(name),
        `a group that does not include itself (${[...path, name].join(' -> ')})`,
      );
    if (path.length >= mostDeep)
      return report(column, quote(name), `groups within groups at most ${mostDeep} deep`);
    count('includes', 1, mostIncludes, report);
    const group = sources.group?.(name);
    if (!group) return report(column, quote(name), `a group that exists: groups/${name}.conf is not there`);
    return read(group, [...path, name]);
  }

  function readLine(raw: string, at: Place, path: string[]): void {
    const report = faults.reportIn(at.file, at.line);
    count('lines', 1, mostLines, report);
    const words = wordsOf(raw, report);
    const [first] = words ?? [];
    if (!words || !first) return undefined;
    const rest: Rest = { words, end: words.at(-1)?.end ?? 1 };
    const name = bare(first);
    if (name === 'allow' || name === 'deny') return addRule(rest, report, at, raw);
    words.shift();
    if (name === 'include') return include(rest, report, path);
    if (path.length > 0) return report(first.column, shown(first), 'allow, deny or include in a group');
    if (name === 'log') firewall.log = parseLog(rest, report);
    else if (name !== 'enable') report(first.column, shown(first), 'enable, log, allow, deny or include');
    else if (words[0]) report(words[0].column, shown(words[0]), 'the end of the line');
    else firewall.enabled = true;
    return undefined;
  }

  function read(from: Text, path: string[]): void {
    if (tooLarge(from, faults.reportIn)) return;
    for (const [index, raw] of from.text
      .replace(/^\uFEFF/, '')
      .split('\n')
      .entries())
      readLine(raw, { file: from.file, line: index + 1 }, path);
  }

  try {
    read({ text, file }, []);
  } catch (error) {
    if (error !== enough) throw error;
  }
  const error = faults.error();
  if (error) throw error;
  return firewall;
}
