import * as fc from 'fast-check';
import { type Deed, type Fault, type Vserver, ask } from '../scenario.ts';

/** How a scenario begins: what is there, and what is asked for. */
export interface Setting {
  vservers: Vserver[];
  begin: Fault[];
  evacuated?: string[];
}
/** What a person types at a host. */
export type Typed = 'start' | 'stop' | 'unfreeze';
/** A saga, and where it acts: the commands that faults wait for (`command@host`), its steps, how long it takes (ms). */
export interface Kind {
  /** What its sagas are called, where that is another name. */
  of?: string;
  setting: fc.Arbitrary<Setting>;
  commands: string[];
  /** Those at which most depends on every single step; faults come there more often. */
  critical: string[];
  steps: string[];
  /** Steps in which the master is struck more often. */
  atMaster?: string[];
  ms: number;
  /** It begins so late (ms). */
  from?: number;
  hosts?: string[];
  /** Which of them have btrfs; `master`: its repository. */
  btrfs?: fc.Arbitrary<string[]>;
  /** Ways that may be cut. */
  cuts?: [string, string][];
  /** What people do by hand; nothing: they let the hosts alone. */
  typed?: Typed[];
}

export const among = <T>(...values: T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
export const always = (args: Record<string, unknown>): fc.Arbitrary<Record<string, unknown>> =>
  fc.constant(args);
export const at = (ms: number, deed: Deed): Fault => ({ when: { kind: 'at', ms }, deed });
/** The same commands to a host, as faults name them. */
export const to = (host: string, ...commands: string[]): string[] =>
  commands.map((command) => `${command}@${host}`);
/** A saga about these is asked for at once. */
export const begins = (
  vservers: fc.Arbitrary<Vserver[]>,
  verb: string,
  args: fc.Arbitrary<Record<string, unknown>>,
): fc.Arbitrary<Setting> =>
  fc
    .record({ vservers, args })
    .map((one) => ({ vservers: one.vservers, begin: [at(0, ask(verb, one.args))] }));

export const web1 = (running: boolean, enabled: boolean): Vserver => ({
  name: 'web1',
  host: 'host1',
  running,
  enabled,
});
export const running = fc.constant<Vserver[]>([web1(true, true)]);
export const mostlyRunning = fc.oneof(
  { weight: 5, arbitrary: running },
  {
    weight: 1,
    arbitrary: among([true, false], [false, true], [false, false]).map(([runs = true, enabled = true]) => [
      web1(runs, enabled),
    ]),
  },
);
export const onMaster: Vserver = { name: 'web1', host: 'master', running: false, enabled: true };
export const inRepository: Vserver = {
  name: 'web1',
  host: 'master',
  running: false,
  enabled: true,
  backup: true,
};
export const inTrash = (host: string): Vserver => ({
  name: 'web1',
  host,
  running: false,
  enabled: true,
  trash: true,
});

/** What the source and the target of a copy are asked. */
export const sends = (host: string): string[] =>
  to(host, 'transfer.send', 'snapshot.renew', 'transfer.close', 'snapshot.remove');
export const receives = (host: string): string[] => [
  ...to(host, 'snapshot.allocate', 'transfer.open', 'transfer.flush', 'transfer.verify'),
  ...to(host, 'snapshot.promote', 'snapshot.adopt', 'snapshot.discard'),
];
export const holds = (host: string): string[] =>
  to(host, 'host-agent.lock', 'host-agent.unlock', 'host-agent.detach');
export const becomes = (host: string): string[] =>
  to(host, 'host-agent.claim', 'host-agent.start', 'host-agent.answering', 'host-agent.configure');
/** From the last copy on. */
export const takesOver = (host: string): string[] =>
  to(host, 'transfer.verify', 'snapshot.adopt', 'host-agent.claim', 'host-agent.start');
