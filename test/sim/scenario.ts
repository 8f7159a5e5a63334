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
  /** A person at the host, past the agent: lxc-start, lxc-stop, lxc-unfreeze. */
  | { what: 'hand'; verb: 'start' | 'stop' | 'unfreeze'; name: string; node: string }
  | { what: 'abort' }
  | { what: 'resume' }
  | { what: 'ask'; target: string; command: string; args: Record<string, unknown> };

export interface Fault {
  when: When;
  deed: Deed;
}
export interface Vserver {
  name: string;
  /** `master`: a copy that the master keeps. */
  host: string;
  running: boolean;
  enabled: boolean;
  /** It lies in the trash of the host. */
  trash?: boolean;
  /** `master`: it is a backup in the repository. */
  backup?: boolean;
  /** It has a kept snapshot `one`, and was changed since. */
  kept?: boolean;
}
export interface Scenario {
  /** Of delays, orders and all else that is by chance. */
  seed: number;
  hosts: string[];
  /** Those with btrfs; the others are plain directories. `master`: its repository. */
  btrfs: string[];
  vservers: Vserver[];
  /** Hosts that are marked as evacuated: those of the vservers that lie elsewhere have left them. */
  evacuated: string[];
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
  const { seed, hosts, btrfs, vservers, evacuated, twice, slow, faults } = scenario;
  return `${[
    `seed ${seed}`,
    `hosts ${[...(btrfs.includes('master') ? ['master'] : []), ...hosts].map((host) => (btrfs.includes(host) ? `${host}:btrfs` : host)).join(' ')}`,
    ...(twice > 0 ? [`twice ${twice}`] : []),
    ...(slow > 0 ? [`slow ${slow}`] : []),
    ...vservers.map(
      ({ name, host, running, enabled, trash, backup, kept }) =>
        `vserver ${name} ${host}${running ? ' running' : ''}${enabled ? ' enabled' : ''}${trash ? ' trash' : ''}${backup ? ' backup' : ''}${kept ? ' kept' : ''}`,
    ),
    ...evacuated.map((host) => `evacuated ${host}`),
    ...faults.map(({ when, deed }) => `${whenText(when)} ${deedText(deed)}`),
  ].join('\n')}\n`;
}

/** A person asks the master for a saga. */
export const ask = (verb: string, args: Record<string, unknown>): Deed => ({
  what: 'ask',
  target: 'master',
  command: `orchestrator.${verb}`,
  args,
});
