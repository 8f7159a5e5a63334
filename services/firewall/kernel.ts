import { VsError } from '../../shared/errors.ts';
import { compile } from './compile.ts';
import type { Firewall, Rule } from './rule.ts';
import { quote, wordsOf } from './words.ts';

/** What nft says against rules that are tried; undefined when the kernel takes them. */
export type Try = (rules: string) => Promise<string | undefined>;

/** What the words of a rule need of the kernel beyond any firewall at all. */
const modules = {
  helper: 'nf_conntrack_ftp',
  limit: 'nft_limit',
  log: 'nft_log and nf_log_syslog',
} as const;
type Word = keyof typeof modules;
const words: Word[] = ['helper', 'limit', 'log'];

const without = (rule: Rule, word: Word): Rule => {
  const { [word]: _, ...rest } = rule;
  return rest;
};
const lineOf = (file: string, line: number, column: number, found: string, expected: string) =>
  `${file}:${line}:${column}: found ${found}, expected ${expected}`;

/** Where a word stands in a line, counted from 1; where the line begins when it does not. */
function columnIn(text: string, word: string): number {
  const found = wordsOf(text, () => undefined)?.find(
    ({ items: [item] }) => item?.text === word && !item.quoted,
  );
  return found?.column ?? 1;
}

/**
 * Which lines of its files a kernel that refuses the rules cannot do. `first`: the text of the firewall.conf, for its global
 * `log`. Answers VsError 'usage' as for any fault of a file; nothing of it is in force.
 */
export async function whatRefuses(
  asked: {
    firewall: Firewall;
    file: string;
    text: string;
    host: string;
    said: string;
    resolved: ReadonlyMap<string, string[]>;
  },
  refusal: Try,
): Promise<VsError> {
  const { firewall, file, text, host, said, resolved } = asked;
  const { log: _, ...plain } = firewall;
  const says = (rules: Rule[], more: Partial<Firewall> = {}) =>
    refusal(compile({ ...plain, ...more, rules }, resolved));
  const fault = (...lines: string[]) => new VsError('usage', lines.join('\n'));
  const cannot = (what: string, why: string, help: string) =>
    `${what} that the kernel of ${host} can do (nft: ${why.replaceAll(/\s+/g, ' ').slice(0, 160)}); ${help}`;
  const load = (module: string) =>
    `on ${host}: modprobe ${module}, and a line of it in /etc/modules-load.d; or do without it`;

  const base = await says([]);
  if (base !== undefined)
    return fault(
      lineOf(
        file,
        1,
        1,
        'a firewall',
        cannot(
          'one',
          base,
          `vs doctor ${host} tells what its kernel lacks; without "enable" it needs nothing`,
        ),
      ),
    );
  const logs = firewall.log ? await says([], { log: firewall.log }) : undefined;
  if (logs !== undefined) {
    const at = text.split('\n').findIndex((line) => /^\s*log\b/.test(line));
    const column = columnIn(text.split('\n')[at] ?? '', 'log');
    return fault(lineOf(file, at + 1, column, '"log"', cannot('something', logs, load(modules.log))));
  }
  // the first rule with which it refuses: what stands before it does no harm
  let [good, bad] = [0, firewall.rules.length];
  let last = await says(firewall.rules);
  if (last === undefined)
    return new VsError('failed', `nft refuses the rules made of ${file}, so nothing was changed: ${said}`);
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    const why = await says(firewall.rules.slice(0, middle));
    if (why === undefined) good = middle;
    else [bad, last] = [middle, why];
  }
  const culprit = firewall.rules[bad - 1];
  if (!culprit) return fault(lineOf(file, 1, 1, 'its rules', cannot('rules', last, 'ask for help')));
  for (const word of words) {
    if (culprit[word] === undefined || (await says([without(culprit, word)])) !== undefined) continue;
    const alike = firewall.rules.filter((rule) => rule[word] !== undefined).slice(0, 50);
    const lines = alike.map((rule) =>
      lineOf(
        rule.at.file,
        rule.at.line,
        (rule.indent ?? 0) + columnIn(rule.text, word),
        quote(word === 'helper' ? `helper ${rule.helper ?? ''}` : word),
        cannot('something', last ?? said, load(modules[word])),
      ),
    );
    return fault(...lines);
  }
  return fault(
    lineOf(
      culprit.at.file,
      culprit.at.line,
      1 + (culprit.indent ?? 0),
      quote(culprit.text),
      cannot('a rule', last, `vs doctor ${host} tells what its kernel lacks`),
    ),
  );
}
