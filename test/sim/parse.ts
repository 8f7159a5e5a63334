import { type Deed, type Scenario, type When, ask } from './scenario.ts';

const split = (text: string): [string, string] => {
  const cut = text.lastIndexOf('@');
  return cut < 0 ? [text, ''] : [text.slice(0, cut), text.slice(cut + 1)];
};
/** Words, with "several words" as one, and the JSON at the end of a line whole. */
function wordsOf(line: string): string[] {
  const json = line.indexOf(' {');
  const plain = json < 0 ? line : line.slice(0, json);
  const words = (plain.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replace(/^"(.*)"$/, '$1'));
  return json < 0 ? words : [...words, line.slice(json + 1)];
}
function parseWhen(words: string[]): When {
  const [kind = '', what = ''] = words.splice(0, 2);
  if (kind === 'at') return { kind, ms: Number(what) };
  if (kind === 'step') return { kind, step: what };
  const [first, node] = split(what);
  if (kind === 'call') return { kind, node, n: Number(first) };
  if (kind !== 'on' && kind !== 'after')
    throw new Error(`expected at, call, step, on or after, found "${kind}"`);
  const n = /^\d+$/.test(words[0] ?? '') ? Number(words.shift()) : 1;
  return { kind, command: first, node, n };
}
function parseDeed(words: string[]): Deed {
  const [what = '', first = '', ...rest] = words;
  const ms = Number(rest.at(-1) ?? 0);
  switch (what) {
    case 'kill': {
      const process = first === 'master' || first === 'broker' ? first : 'agent';
      return { what, node: process === 'agent' ? first : 'master', process, ms };
    }
    case 'cut':
      return { what, a: first, b: rest[0] ?? '', ms };
    case 'power':
    case 'clock':
    case 'full':
    case 'olddisk':
      return { what, node: first, ms };
    case 'nostart':
    case 'eio':
      return { what, node: first, times: ms };
    case 'hand': {
      const [name, node] = split(rest[0] ?? '');
      return { what, verb: first as 'start' | 'stop' | 'unfreeze', name, node };
    }
    case 'ask': {
      const [command, target] = split(first);
      return { what, command, target, args: JSON.parse(rest[0] ?? '{}') as Record<string, unknown> };
    }
    case 'abort':
    case 'resume':
      return { what };
    case 'move':
      return ask('move', { name: first, host: rest[0] });
    case 'create':
      return ask('create', {
        name: first,
        address: rest[0],
        source: 'busybox',
        host: rest[1],
        start: true,
        enable: true,
      });
    case 'remove':
    case 'put':
    case 'forget':
    case 'restore':
    case 'backup-test':
      return ask(what, { name: first, ...(rest[0] ? { host: rest[0] } : {}) });
    case 'backup':
      return ask(what, { name: first, ...(rest[0] ? { mode: rest[0] } : {}) });
    case 'backup-restore':
      return ask(what, { name: first, ...(rest[0] ? { over: true } : {}) });
    case 'rollback':
      return ask(what, { name: first, snapshot: rest[0] ?? 'one' });
    case 'recover':
      return ask('recover', { name: first, host: rest[0], confirm: first });
    case 'evacuate':
    case 'restore-host':
      return ask(what, { host: first });
    default: {
      const [name, target] = split(first);
      if (!target) throw new Error(`unknown deed "${what}"`);
      return { what: 'ask', target, command: `host-agent.${what}`, args: { name } };
    }
  }
}
/** Reads a scenario; throws a sentence that names the line. */
export function parseScenario(text: string): Scenario {
  const scenario: Scenario = {
    seed: 1,
    hosts: ['host1', 'host2'],
    btrfs: [],
    vservers: [],
    evacuated: [],
    twice: 0,
    slow: 0,
    faults: [],
  };
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.replace(/^#.*|\s#\s.*/, '').trim();
    if (!line) continue;
    const words = wordsOf(line);
    try {
      const [key = '', ...rest] = words;
      if (key === 'seed' || key === 'twice' || key === 'slow') scenario[key] = Number(rest[0]);
      else if (key === 'hosts') {
        scenario.hosts = rest.map((word) => word.split(':')[0] ?? '').filter((host) => host !== 'master');
        scenario.btrfs = rest
          .filter((word) => word.endsWith(':btrfs'))
          .map((word) => word.split(':')[0] ?? '');
      } else if (key === 'vserver')
        scenario.vservers.push({
          name: rest[0] ?? '',
          host: rest[1] ?? '',
          running: rest.includes('running'),
          enabled: rest.includes('enabled'),
          ...(rest.includes('trash') ? { trash: true } : {}),
          ...(rest.includes('backup') ? { backup: true } : {}),
          ...(rest.includes('kept') ? { kept: true } : {}),
        });
      else if (key === 'evacuated') scenario.evacuated.push(rest[0] ?? '');
      else scenario.faults.push({ when: parseWhen(words), deed: parseDeed(words) });
    } catch (error) {
      throw new Error(`line ${index + 1}, "${line}": ${(error as Error).message}`, { cause: error });
    }
  }
  return scenario;
}
