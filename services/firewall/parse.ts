import { VsError } from '../../shared/errors.ts';
import { type Rest, optionWords, parseLog, parseOptions } from './options.ts';
import { parseProtocols, parseServices } from './protocols.ts';
import { type Address, type Firewall, type Match, type Rule, icmp, icmpv6 } from './rule.ts';
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
/** Also of groups that hold nothing but other groups. */
const mostIncludes = 1000;
const mostLines = 200_000;
const mostFaults = 50;
/** Thrown away by the top when there is no sense in going on. */
const enough = Symbol('enough');

/** Does a rule that is only about ICMP of one family name addresses of the other alone? */
function wrongFamily(matches: Match[], addresses: Address[]): string | undefined {
  const only = matches.every((one) => one.protocols.every((number) => number === icmp || number === icmpv6));
  const numbers = new Set(matches.flatMap((one) => one.protocols));
  if (!only || numbers.size !== 1 || addresses.length === 0) return undefined;
  const family = numbers.has(icmp) ? 4 : 6;
  if (addresses.some((one) => 'name' in one || one.family === family)) return undefined;
  return `IPv${family} addresses with ${family === 4 ? 'icmp (icmpv6 is the one of IPv6)' : 'icmpv6 (icmp is the one of IPv4)'}`;
}

/**
 * Parses firewall.conf with its groups and sets. Throws VsError 'usage' that names every fault, one a line, as
 * `file:line:column: found ..., expected ...`.
 */
export function parseFirewall(text: string, file: string, sources: Sources = {}): Firewall {
  const firewall: Firewall = { enabled: false, rules: [] };
  const faults: Faults = new Map();
  let includes = 0;
  let lines = 0;
  const reportIn =
    (where: string, line: number): Report =>
    (column, found, expected) =>
      faults.set(`${where}:${line}:${column}: found ${found}, expected ${expected}`, {
        line: `${where}:${line}`,
        column,
      });
  const find = finder(sources.sets, reportIn);
  let services: Map<string, number> | undefined;
  const known = () => (services ??= parseServices(sources.services ?? ''));

  function rule(rest: Rest, report: Report, at: Rule['at'], source: string): void {
    const before = faults.size;
    const verdict = bare(rest.words.shift()) === 'allow' ? 'accept' : 'drop';
    const direction = rest.words.shift();
    const name = bare(direction);
    if (name !== 'from' && name !== 'to')
      return report(
        direction?.column ?? rest.end,
        shown(direction),
        `from or to after ${verdict === 'accept' ? 'allow' : 'deny'}`,
      );
    const where = rest.words.shift();
    if (!where || optionWords.has(bare(where)))
      return report(where?.column ?? rest.end, shown(where), `addresses after ${name}`);
    const addresses = where.items.map((item) => find(item, report));
    const [side] = rest.words;
    const hasSide = bare(side) === 'from' || bare(side) === 'to';
    if (hasSide) rest.words.shift();
    const end = rest.words.findIndex((word) => optionWords.has(bare(word)));
    const protocols = rest.words.splice(0, end < 0 ? rest.words.length : end);
    const matches = parseProtocols(protocols, known, report);
    if (side && hasSide && !matches.some((one) => one.ports) && faults.size === before)
      report(
        protocols[0]?.column ?? side.end + 1,
        shown(protocols[0]),
        `tcp/PORT,... or udp/PORT,... after ${bare(side)}`,
      );
    const options = parseOptions(rest, report);
    const flat = addresses.length === 1 ? (addresses[0] ?? []) : addresses.flat();
    const wrong = faults.size === before ? wrongFamily(matches, flat) : undefined;
    if (wrong) report(where.column, shown(where), wrong);
    if (
      options.helper &&
      !(matches.length > 0 && matches.every((one) => one.ports && one.protocols.join() === '6'))
    )
      report(protocols[0]?.column ?? rest.end, shown(protocols[0]), 'tcp/PORT,... for helper ftp');
    if (firewall.rules.length >= mostRules) {
      report(1, 'one more rule', `at most ${mostRules} rules`);
      throw enough;
    }
    firewall.rules.push({
      id: `r${firewall.rules.length + 1}`,
      at,
      text: source.trim(),
      verdict,
      direction: name === 'from' ? 'in' : 'out',
      addresses: flat,
      portSide: hasSide ? (bare(side) as 'from' | 'to') : 'to',
      matches,
      ...options,
    });
  }

  function include(rest: Rest, report: Report, path: string[]): void {
    rest.words.shift();
    const [word, more] = rest.words;
    const name = bare(word);
    if (!/^[a-z0-9][a-z0-9_-]{0,63}$/.test(name))
      return report(
        word?.column ?? rest.end,
        shown(word),
        'the name of a group of small letters, digits, - and _',
      );
    if (more) return report(more.column, shown(more), 'the end of the line');
    if (path.includes(name))
      return report(
        word?.column ?? 1,
        quote(name),
        `a group that does not include itself (${[...path, name].join(' -> ')})`,
      );
    if (path.length >= 8)
      return report(word?.column ?? 1, quote(name), 'groups within groups at most 8 deep');
    includes += 1;
    if (includes > mostIncludes) {
      report(word?.column ?? 1, 'one more group', `at most ${mostIncludes} groups in all`);
      throw enough;
    }
    const group = sources.group?.(name);
    if (!group)
      return report(word?.column ?? 1, quote(name), `a group that exists: groups/${name}.conf is not there`);
    return read(group, [...path, name]);
  }

  function read(from: Text, path: string[]): void {
    const bytes = Buffer.byteLength(from.text);
    if (bytes > mostBytes)
      return reportIn(from.file, 1)(1, `${bytes} bytes`, `at most ${mostBytes} bytes in one file`);
    for (const [index, raw] of from.text
      .replace(/^\uFEFF/, '')
      .split('\n')
      .entries()) {
      const report = reportIn(from.file, index + 1);
      lines += 1;
      if (lines > mostLines) {
        report(1, 'one more line', `at most ${mostLines} lines in all`);
        throw enough;
      }
      const words = wordsOf(raw, report);
      const [first] = words ?? [];
      if (!words || !first) continue;
      const rest: Rest = { words, end: words.at(-1)?.end ?? 1 };
      const name = bare(first);
      if (name === 'allow' || name === 'deny') rule(rest, report, { file: from.file, line: index + 1 }, raw);
      else if (name === 'include') include(rest, report, path);
      else if (path.length > 0) report(first.column, shown(first), 'allow, deny or include in a group');
      else if (name === 'enable' && words[1]) report(words[1].column, shown(words[1]), 'the end of the line');
      else if (name === 'enable') firewall.enabled = true;
      else if (name === 'log') {
        words.shift();
        firewall.log = parseLog(rest, report);
      } else report(first.column, shown(first), 'enable, log, allow, deny or include');
    }
  }

  try {
    read({ text, file }, []);
  } catch (error) {
    if (error !== enough) throw error;
  }
  if (faults.size > 0) throw faultsError(faults);
  return firewall;
}

/** Each fault once, by its text: a group that is included twice has its faults twice. */
type Faults = Map<string, { line: string; column: number }>;

/** In the order of the lines, and in a line from left to right. */
function faultsError(faults: Faults): VsError {
  const order = new Map<string, number>();
  for (const { line } of faults.values()) if (!order.has(line)) order.set(line, order.size);
  const rank = ({ line }: { line: string }) => order.get(line) ?? 0;
  const sorted = [...faults]
    .sort(([, one], [, other]) => rank(one) - rank(other) || one.column - other.column)
    .map(([text]) => text);
  const more = sorted.length > mostFaults ? [`and ${sorted.length - mostFaults} more`] : [];
  return new VsError('usage', [...sorted.slice(0, mostFaults), ...more].join('\n'));
}
