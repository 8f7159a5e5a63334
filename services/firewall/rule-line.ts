import { type Rest, optionWords, parseOptions } from './options.ts';
import { parseProtocols } from './protocols.ts';
import { type Address, type Match, type Rule, icmp, icmpv6 } from './rule.ts';
import type { Find } from './sets.ts';
import { type Report, type Word, bare, shown } from './words.ts';

/** Where the words of a rule are looked up. */
export interface Tools {
  find: Find;
  /** Ports by `name/protocol`. */
  services: () => Map<string, number>;
}

/** Is a rule that is only about ICMP of one family about addresses of the other alone? It could never match. */
function wrongFamily(matches: Match[], addresses: Address[]): string | undefined {
  const numbers = new Set(matches.flatMap((one) => one.protocols));
  const [number] = numbers;
  if (numbers.size !== 1 || (number !== icmp && number !== icmpv6) || addresses.length === 0)
    return undefined;
  const family = number === icmp ? 4 : 6;
  if (addresses.some((one) => 'name' in one || one.family === family)) return undefined;
  return family === 4
    ? 'IPv4 addresses with icmp (icmpv6 is the one of IPv6)'
    : 'IPv6 addresses with icmpv6 (icmp is the one of IPv4)';
}

/** The `from` or `to` before ports: it has a meaning only with ports. */
function takeSide(rest: Rest): { side: 'from' | 'to'; word?: Word } {
  const [word] = rest.words;
  const text = bare(word);
  if (!word || (text !== 'from' && text !== 'to')) return { side: 'to' };
  rest.words.shift();
  return { side: text, word };
}

/** Parses a line that begins with allow or deny; undefined when faults were reported. */
export function parseRule(
  rest: Rest,
  tools: Tools,
  report: Report,
): Omit<Rule, 'id' | 'at' | 'text'> | undefined {
  let good = true;
  const tell: Report = (...fault) => {
    good = false;
    report(...fault);
  };
  const verb = bare(rest.words.shift());
  const [direction, where] = rest.words;
  const name = bare(direction);
  if (name !== 'from' && name !== 'to') {
    tell(direction?.column ?? rest.end, shown(direction), `from or to after ${verb}`);
    return undefined;
  }
  if (!where || optionWords.has(bare(where))) {
    tell(where?.column ?? rest.end, shown(where), `addresses after ${name}`);
    return undefined;
  }
  rest.words.splice(0, 2);
  const lists = where.items.map((item) => tools.find(item, tell));
  // one set alone stays the same array in all rules that name it: it is compiled once
  const addresses = lists.length === 1 ? (lists[0] ?? []) : lists.flat();
  const { side, word } = takeSide(rest);
  const end = rest.words.findIndex((one) => optionWords.has(bare(one)));
  const protocols = rest.words.splice(0, end < 0 ? rest.words.length : end);
  const matches = parseProtocols(protocols, tools.services, tell);
  const [first] = protocols;
  if (good && word && !matches.some((one) => one.ports))
    tell(first?.column ?? word.end, shown(first), `tcp/PORT,... or udp/PORT,... after ${side}`);
  const wrong = good ? wrongFamily(matches, addresses) : undefined;
  if (wrong) tell(where.column, shown(where), wrong);
  const options = parseOptions(rest, tell);
  const followed = matches.length > 0 && matches.every((one) => one.ports && one.protocols.join() === '6');
  if (good && options.helper && !followed)
    tell(first?.column ?? where.end, shown(first), 'tcp/PORT,... alone in a rule with helper ftp');
  if (good && options.helper && verb === 'deny')
    tell(direction?.column ?? 1, 'deny with a helper', 'allow: what is denied needs no helper');
  if (!good) return undefined;
  return {
    verdict: verb === 'allow' ? 'accept' : 'drop',
    direction: name === 'from' ? 'in' : 'out',
    addresses,
    portSide: side,
    matches,
    ...options,
  };
}
