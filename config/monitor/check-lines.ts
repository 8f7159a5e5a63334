import type { Kind } from './kinds.ts';
import { type Line, refuseOthers, valueOf } from './lines.ts';
import type { MonitorConfig, Rule } from './rule.ts';
import { type Parse, count, files, isOff, percent, seconds, severity, yesNo } from './values.ts';
import { quoted } from './words.ts';

/** What each check takes behind its value. */
export const ofEveryCheck = ['hits', 'clear_hits', 'severity'];

const optionOf =
  ({ more, report }: Line) =>
  <T>(name: string, parser: Parse<T>): T | undefined =>
    valueOf(
      more.find((one) => one.name === name),
      parser,
      report,
    );

/** Takes the lines of checks into `config`; `general`: what holds for lines that say nothing themselves. */
export function checkLines(config: MonitorConfig, general: <T>(key: string, otherwise: T) => T) {
  const gap = general('MONITOR_CLEAR', 5) / 100;

  /** How often in a row, how grave. */
  function ruleOf(line: Line, check: string): Rule {
    const { number, first } = line;
    const option = optionOf(line);
    return {
      check,
      key: first.name === 'DAEMON' ? `DAEMON=${first.value}` : first.name,
      line: number,
      severity: option('severity', severity) ?? general('MONITOR_SEVERITY', 'warning'),
      threshold: 1,
      clear: 1,
      hits: option('hits', count(1, 1000)) ?? general('MONITOR_HITS', 1),
      clearHits: option('clear_hits', count(1, 1000)) ?? general('MONITOR_CLEAR_HITS', 1),
      below: false,
    };
  }
  function threshold(line: Line, kind: Kind): void {
    const { first, more, report } = line;
    refuseOthers(more, [...ofEveryCheck, 'clear', ...(kind.files ? ['files'] : [])], report);
    if (isOff(first.value)) return;
    const limit = valueOf(first, kind.parse, report);
    const clearWord = more.find((one) => one.name === 'clear');
    const clear = valueOf(clearWord, kind.parse, report);
    const below = kind.below === true;
    const rule = ruleOf(line, kind.check);
    if (limit === undefined) return;
    if (kind.files) {
      const word = more.find((one) => one.name === 'files');
      if (!word) report(first.column, quoted(first.name), 'files="/etc/ssl/own.pem ..." behind it');
      config.certificates = valueOf(word, files, report) ?? [];
    }
    if (clear !== undefined && clearWord && (below ? clear < limit : clear > limit))
      report(
        clearWord.valueColumn,
        quoted(clearWord.value),
        below ? `no less than ${first.value}` : `no more than ${first.value}`,
      );
    config.rules.push({
      ...rule,
      threshold: limit,
      clear: clear ?? limit * (below ? 1 + gap : 1 - gap),
      below,
    });
  }
  function condition(line: Line, check: string): void {
    const { first, more, report } = line;
    const own = check === 'sockets' ? ['settle', 'keep', 'unix'] : [];
    refuseOthers(more, [...ofEveryCheck, ...own], report);
    const option = optionOf(line);
    const rule = ruleOf(line, check);
    const sockets = {
      settle: option('settle', seconds(0, 3600)) ?? 60,
      keep: option('keep', seconds(1, 31_536_000)) ?? 3600,
      unix: option('unix', yesNo) ?? false,
    };
    if (valueOf(first, yesNo, report) !== true) return;
    config.rules.push(rule);
    if (check === 'sockets') config.sockets = sockets;
  }
  function pressure(line: Line): void {
    const { first, more, report } = line;
    refuseOthers(more, [...ofEveryCheck, 'memory', 'clear', 'spare'], report);
    if (isOff(first.value)) return;
    if (!['limit', 'evacuate'].includes(first.value))
      report(first.valueColumn, quoted(first.value), 'limit, evacuate or off');
    const option = optionOf(line);
    const most = option('memory', percent) ?? 95;
    const clear = option('clear', percent) ?? most - 10;
    const spare = option('spare', count(0, 9999));
    if (clear >= most) report(first.valueColumn, quoted(`clear=${clear}`), `less than memory, ${most}`);
    config.rules.push({ ...ruleOf(line, 'pressure'), threshold: most, clear });
    config.pressure = {
      ...(spare === undefined ? {} : { spare }),
      ...(first.value === 'evacuate' ? { evacuates: true } : {}),
    };
  }
  return { ruleOf, threshold, condition, pressure };
}
