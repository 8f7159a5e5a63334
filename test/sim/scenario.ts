/** When something happens in a scenario. */
export type When =
  /** So many ms after the pool has settled. */
  | { kind: 'at'; ms: number }
  /** At the n-th system call of a node. */
  | { kind: 'call'; node: string; n: number }
  /** When the broker has the n-th command of this name to a host, or the answer to it. */
  | { kind: 'on' | 'after'; command: string; node: string; n: number }
  /** When a saga says that it is in this step. */
  | { kind: 'step'; step: string };

/** What happens. `ms` is how long it lasts. */
export type Deed =
  | { what: 'kill'; node: string; process: 'agent' | 'master' | 'broker'; ms: number }
  | { what: 'power'; node: string; ms: number }
  | { what: 'cut'; a: string; b: string; ms: number }
  | { what: 'clock'; node: string; ms: number }
  | { what: 'full'; node: string; ms: number }
  | { what: 'nostart'; node: string; times: number }
  /** The next so many writes of a host fail. */
  | { what: 'eio'; node: string; times: number }
  /** The disk of a host as it was at the beginning comes back with its next boot (a restored machine). */
  | { what: 'olddisk'; node: string; ms: number }
  /** A person at the host, past the agent: lxc-start and lxc-stop. */
  | { what: 'hand'; verb: 'start' | 'stop'; name: string; node: string }
  | { what: 'abort' }
  | { what: 'resume' }
  | { what: 'ask'; target: string; command: string; args: Record<string, unknown> };

export interface Fault {
  when: When;
  deed: Deed;
}
export interface Vserver {
  name: string;
  host: string;
  running: boolean;
  enabled: boolean;
}
export interface Scenario {
  /** Of delays, orders and all else that is by chance. */
  seed: number;
  hosts: string[];
  /** Those with btrfs; the others are plain directories. */
  btrfs: string[];
  vservers: Vserver[];
  /** Shares of messages that come twice, and late. */
  twice: number;
  slow: number;
  faults: Fault[];
}

const quoted = (text: string) => (/^[\w.-]+$/.test(text) ? text : JSON.stringify(text));

function whenText(when: When): string {
  if (when.kind === 'at') return `at ${when.ms}`;
  if (when.kind === 'call') return `call ${when.n}@${when.node}`;
  if (when.kind === 'step') return `step ${quoted(when.step)}`;
  return `${when.kind} ${when.command}@${when.node}${when.n > 1 ? ` ${when.n}` : ''}`;
}
function deedText(deed: Deed): string {
  switch (deed.what) {
    case 'kill':
      return `kill ${deed.process === 'agent' ? deed.node : deed.process} ${deed.ms}`;
    case 'cut':
      return `cut ${deed.a} ${deed.b} ${deed.ms}`;
    case 'power':
    case 'clock':
    case 'full':
    case 'olddisk':
      return `${deed.what} ${deed.node} ${deed.ms}`;
    case 'nostart':
    case 'eio':
      return `${deed.what} ${deed.node} ${deed.times}`;
    case 'hand':
      return `hand ${deed.verb} ${deed.name}@${deed.node}`;
    case 'ask':
      return `ask ${deed.command}@${deed.target} ${JSON.stringify(deed.args)}`;
    default:
      return deed.what;
  }
}

/** A scenario as people write it. */
export function formatScenario(scenario: Scenario): string {
  const { seed, hosts, btrfs, vservers, twice, slow, faults } = scenario;
  return `${[
    `seed ${seed}`,
    `hosts ${hosts.map((host) => (btrfs.includes(host) ? `${host}:btrfs` : host)).join(' ')}`,
    ...(twice > 0 ? [`twice ${twice}`] : []),
    ...(slow > 0 ? [`slow ${slow}`] : []),
    ...vservers.map(
      ({ name, host, running, enabled }) =>
        `vserver ${name} ${host}${running ? ' running' : ''}${enabled ? ' enabled' : ''}`,
    ),
    ...faults.map(({ when, deed }) => `${whenText(when)} ${deedText(deed)}`),
  ].join('\n')}\n`;
}

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
      return { what, verb: first as 'start', name, node };
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
      return ask('remove', { name: first });
    default: {
      const [name, target] = split(first);
      if (!target) throw new Error(`unknown deed "${what}"`);
      return { what: 'ask', target, command: `host-agent.${what}`, args: { name } };
    }
  }
}
export const ask = (verb: string, args: Record<string, unknown>): Deed => ({
  what: 'ask',
  target: 'master',
  command: `orchestrator.${verb}`,
  args,
});

/** Reads a scenario; throws a sentence that names the line. */
export function parseScenario(text: string): Scenario {
  const scenario: Scenario = {
    seed: 1,
    hosts: ['host1', 'host2'],
    btrfs: [],
    vservers: [],
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
        scenario.hosts = rest.map((word) => word.split(':')[0] ?? '');
        scenario.btrfs = rest
          .filter((word) => word.endsWith(':btrfs'))
          .map((word) => word.split(':')[0] ?? '');
      } else if (key === 'vserver')
        scenario.vservers.push({
          name: rest[0] ?? '',
          host: rest[1] ?? '',
          running: rest.includes('running'),
          enabled: rest.includes('enabled'),
        });
      else scenario.faults.push({ when: parseWhen(words), deed: parseDeed(words) });
    } catch (error) {
      throw new Error(`line ${index + 1}, "${line}": ${(error as Error).message}`, { cause: error });
    }
  }
  return scenario;
}
