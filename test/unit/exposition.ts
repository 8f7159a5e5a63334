import { spawnSync } from 'node:child_process';

export interface Series {
  name: string;
  labels: Record<string, string>;
  value: number;
}

const number = /^[+-]?(\d+(\.\d+)?([eE][+-]?\d+)?|Inf|NaN)$/;

/** Parses the text format of Prometheus 0.0.4 as it is documented, strictly: throws at the first line that breaks it. */
export function parse(text: string): { series: Series[]; types: Map<string, string> } {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const types = new Map<string, string>();
  const helps = new Set<string>();
  const series: Series[] = [];
  const seen = new Set<string>();
  const closed = new Set<string>();
  let family = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const fault = (what: string) => new Error(`${what}: ${line}`);
    if (line === '') continue;
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.*)$/.exec(line);
    if (comment) {
      const [, kind, name = '', rest = ''] = comment;
      if (name !== family) {
        if (closed.has(name)) throw fault('a family in two places');
        closed.add((family = name));
      }
      if (kind === 'HELP') {
        if (helps.has(name)) throw fault('a second HELP');
        helps.add(name);
        if (/\\(?![\\n])/.test(rest)) throw fault('a backslash that escapes nothing');
      } else {
        if (types.has(name)) throw fault('a second TYPE');
        if (!/^(counter|gauge|histogram|summary|untyped)$/.test(rest)) throw fault('no type');
        types.set(name, rest);
      }
      continue;
    }
    if (line.startsWith('#')) continue;
    const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!sample) throw fault('no sample');
    const [, name = '', inner = '', value = ''] = sample;
    if (name !== family || !types.has(name)) throw fault('a sample outside of its family');
    if (!number.test(value)) throw fault('no number');
    const labels: Record<string, string> = {};
    let left = inner;
    while (left !== '') {
      const label = /^([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/.exec(left);
      if (!label) throw fault('no label');
      const [whole, key = '', raw = ''] = label;
      if (Object.hasOwn(labels, key)) throw fault('a label twice');
      labels[key] = raw.replaceAll(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter));
      left = left.slice(whole.length);
    }
    const id = `${name} ${JSON.stringify(Object.entries(labels).sort())}`;
    if (seen.has(id)) throw fault('a series twice');
    seen.add(id);
    series.push({ name, labels, value: Number(value.replace('Inf', 'Infinity')) });
  }
  for (const name of types.keys()) if (!helps.has(name)) throw new Error(`no HELP for ${name}`);
  return { series, types };
}

/** Debian's prometheus has promtool; with what it needs it is 96 MB, so deploy/setup.sh does not install it. */
export const promtool = (() => {
  const command = process.env['VS_TEST_PROMTOOL'] ?? 'promtool';
  return spawnSync(command, ['--version']).error ? undefined : command;
})();
