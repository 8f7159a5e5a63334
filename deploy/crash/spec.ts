import {
  type Host,
  type Storage,
  type Vserver,
  type World,
  ask,
  hosts,
  made,
  on,
  otherHost,
  ownersOf,
  web1,
  web2,
  web3,
} from './world.ts';

/** Which hosts take part; a saga that gives or gets nothing there has none. */
export interface Parts {
  source?: Host;
  target?: Host;
  /** One that is off from before the saga to its end. */
  dead?: Host;
}
/** A vserver as it must be at the end: on which host (undefined: on none), and whether it runs. */
export interface Wanted extends Vserver {
  place: Host | undefined;
  runs: boolean;
  /** Where files of it lie that nobody owns. */
  old?: Host;
}

/** A saga of the matrix: how it is begun, and what must be there at its end. Another kind is another entry. */
export interface SagaSpec {
  /** The kind of its journals. */
  kind: string;
  /** What it holds: a vserver, or a host. */
  about(parts: Parts): string;
  /** Where it can be begun; everywhere, unless told. */
  storages?: Storage[];
  /** The step in which a person aborts it, for the rows of its way back: the last one before the point of no return. */
  abortAt?: string;
  /** Lines of the journal of the move of web1 that it begins, as rows too. */
  childRows?: string[];
  parts(world: World): Parts;
  /** Makes the world as it must be before; also after a cell that went wrong. */
  ready(world: World): Promise<void>;
  begin(world: World): Promise<string>;
  /** What comes back by itself when it has ended. */
  after?(world: World): Promise<void>;
  /** What must be there at the end; of a web1 that is not in it: as it was. */
  end(result: 'done' | 'undone', parts: Parts, world: World): Wanted[];
  /** Of which vservers the master must have a copy then, and of which none. */
  copies?(result: 'done' | 'undone'): Record<string, boolean>;
}

/** The host that has web1. */
export const homeOf = (world: World): Host => {
  const [owner, ...more] = ownersOf(world, web1.name);
  if (!owner || more.length > 0)
    throw new Error(`web1 is owned by ${[owner, ...more].map((one) => one?.host ?? 'nobody').join(' and ')}`);
  return owner.host;
};

/** web2 and web3 are nowhere, also not owned by nobody, and no trash is kept. */
export async function without(world: World): Promise<void> {
  const { rows } = await ask(world, 'master', 'orchestrator.scan', {});
  for (const { name } of [web2, web3]) {
    const owners = ownersOf(world, name).map((one) => one.host);
    for (const host of hosts) {
      const isOwner = owners.includes(host);
      if (!isOwner && !rows.some((row) => row.vserver === name && row.host === host)) continue;
      if (isOwner) await ask(world, host, 'host-agent.stop', { name, force: true });
      const args = { name, host, wait: true };
      const { state } = await ask(world, 'master', 'orchestrator.remove', args, 120_000);
      if (state.result !== 'done') throw new Error(`${name} was not removed: ${state.message}`);
    }
  }
  await Promise.all(
    hosts.map((host) => on(world, host, emptyTrash('/var/lib/vservers/.trash', 'web[123].*'))),
  );
}
export const emptyTrash = (directory: string, which: string): string => `cd ${directory} 2>/dev/null || exit 0
for tree in ${which}; do [ -d "$tree" ] || continue; btrfs -q subvolume delete "$tree" 2>/dev/null || rm -rf "$tree"; done; rm -f ${which}.json`;

/** The master has a copy of web2, and web2 itself is nowhere. */
export async function keptOnMaster(world: World, host: Host): Promise<void> {
  await without(world);
  const { copies } = await ask(world, 'master', 'orchestrator.copies', {});
  if (copies.some((copy) => copy.name === web2.name)) return;
  await made(world, web2, host, { start: false, enable: false });
  await ask(world, 'master', 'orchestrator.get', { name: web2.name, wait: true }, 120_000);
  await without(world);
}

export const here = (one: Vserver, place: Host | undefined, runs: boolean): Wanted => ({
  ...one,
  place,
  runs,
});
export const begun = async (asked: Promise<{ saga: string }>): Promise<string> => (await asked).saga;
/** Source and target of what goes from the host that has web1 to the other one. */
export const away = (world: World): Parts => ({ source: homeOf(world), target: otherHost(homeOf(world)) });
