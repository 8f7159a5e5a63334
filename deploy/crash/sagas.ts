import {
  type Host,
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
}
/** A vserver as it must be at the end: on which host (undefined: on none), and whether it runs. */
export interface Wanted extends Vserver {
  place: Host | undefined;
  runs: boolean;
}

/** A saga of the matrix: how it is begun, and what must be there at its end. Another kind is another entry. */
export interface SagaSpec {
  /** The kind of its journals. */
  kind: string;
  /** The vserver that it holds. */
  about: string;
  /** The step in which a person aborts it, for the rows of its way back: the last one before the point of no return. */
  abortAt: string;
  parts(world: World): Parts;
  /** Makes the world as it must be before; also after a cell that went wrong. */
  ready(world: World): Promise<void>;
  begin(world: World): Promise<string>;
  /** What must be there at the end; of a web1 that is not in it: as it was. */
  end(result: 'done' | 'undone', parts: Parts): Wanted[];
}

/** The host that has web1. */
const homeOf = (world: World): Host => {
  const [owner, ...more] = ownersOf(world, web1.name);
  if (!owner || more.length > 0)
    throw new Error(`web1 is owned by ${[owner, ...more].map((one) => one?.host ?? 'nobody').join(' and ')}`);
  return owner.host;
};

/** web2 and web3 are nowhere, and no trash is kept. */
async function without(world: World): Promise<void> {
  for (const { name } of [web2, web3])
    for (const { host } of ownersOf(world, name)) {
      await ask(world, host, 'host-agent.stop', { name, force: true });
      const { state } = await ask(
        world,
        'master',
        'orchestrator.remove',
        { name, host, wait: true },
        120_000,
      );
      if (state.result !== 'done') throw new Error(`${name} was not removed: ${state.message}`);
    }
  await Promise.all(
    hosts.map((host) => on(world, host, emptyTrash('/var/lib/vservers/.trash', 'web[23].*'))),
  );
}
const emptyTrash = (directory: string, which: string): string => `cd ${directory} 2>/dev/null || exit 0
for tree in ${which}; do [ -d "$tree" ] || continue; btrfs -q subvolume delete "$tree" 2>/dev/null || rm -rf "$tree"; done; rm -f ${which}.json`;

const here = (one: Vserver, place: Host | undefined, runs: boolean): Wanted => ({ ...one, place, runs });
const begun = async (asked: Promise<{ saga: string }>): Promise<string> => (await asked).saga;
const target: Host = 'host2';

export const sagas: Record<string, SagaSpec> = {
  move: {
    kind: 'move',
    about: 'web1',
    abortAt: 'adopt',
    parts: (world) => ({ source: homeOf(world), target: otherHost(homeOf(world)) }),
    async ready() {},
    begin: (world) =>
      begun(ask(world, 'master', 'orchestrator.move', { name: 'web1', host: otherHost(homeOf(world)) })),
    end: (result, parts) => [here(web1, result === 'done' ? parts.target : parts.source, true)],
  },
  create: {
    kind: 'create',
    about: 'web2',
    abortAt: 'answer',
    parts: () => ({ target }),
    ready: without,
    begin: (world) =>
      begun(
        ask(world, 'master', 'orchestrator.create', {
          ...web2,
          source: 'busybox',
          host: target,
          start: true,
          enable: true,
        }),
      ),
    end: (result) => [here(web2, result === 'done' ? target : undefined, true)],
  },
  remove: {
    kind: 'remove',
    about: 'web2',
    abortAt: 'lock',
    parts: () => ({ target }),
    async ready(world) {
      await without(world);
      await made(world, web2, target, { start: false, enable: false });
    },
    begin: (world) => begun(ask(world, 'master', 'orchestrator.remove', { name: 'web2', host: target })),
    end: (result) => [here(web2, result === 'done' ? undefined : target, false)],
  },
  copy: {
    kind: 'copy',
    about: 'web2',
    abortAt: 'answer',
    parts: (world) => ({ source: homeOf(world), target: otherHost(homeOf(world)) }),
    ready: without,
    begin: (world) =>
      begun(
        ask(world, 'master', 'orchestrator.copy', {
          name: 'web1',
          to: 'web2',
          address: web2.address,
          host: otherHost(homeOf(world)),
          start: true,
          enable: true,
        }),
      ),
    end: (result, parts) => [here(web2, result === 'done' ? parts.target : undefined, true)],
  },
  rename: {
    kind: 'rename',
    about: 'web2',
    abortAt: 'stop',
    parts: () => ({ target }),
    async ready(world) {
      await without(world);
      await made(world, web2, target, { start: true, enable: true });
    },
    begin: (world) =>
      begun(ask(world, 'master', 'orchestrator.rename', { name: 'web2', to: 'web3', restart: true })),
    end: (result) => [
      here(web2, result === 'done' ? undefined : target, true),
      here(web3, result === 'done' ? target : undefined, true),
    ],
  },
  restore: {
    kind: 'restore',
    about: 'web2',
    abortAt: 'answer',
    parts: () => ({ target }),
    async ready(world) {
      await without(world);
      await made(world, web2, target, { start: false, enable: true });
      await ask(world, 'master', 'orchestrator.remove', { name: 'web2', host: target, wait: true }, 120_000);
    },
    begin: (world) =>
      begun(ask(world, 'master', 'orchestrator.restore', { name: 'web2', host: target, start: true })),
    end: (result) => [here(web2, result === 'done' ? target : undefined, true)],
  },
  get: {
    kind: 'get',
    about: 'web1',
    abortAt: 'verify',
    parts: (world) => ({ source: homeOf(world) }),
    async ready(world) {
      await without(world);
      await on(world, 'master', emptyTrash('/var/lib/vs-tools/copies/.trash', '*'));
    },
    begin: (world) => begun(ask(world, 'master', 'orchestrator.get', { name: 'web1' })),
    end: () => [],
  },
  put: {
    kind: 'put',
    about: 'web2',
    abortAt: 'own',
    parts: () => ({ target }),
    async ready(world) {
      await without(world);
      const { copies } = await ask(world, 'master', 'orchestrator.copies', {});
      if (copies.some((copy) => copy.name === 'web2')) return;
      await made(world, web2, target, { start: false, enable: false });
      await ask(world, 'master', 'orchestrator.get', { name: 'web2', wait: true }, 120_000);
      await without(world);
    },
    begin: (world) => begun(ask(world, 'master', 'orchestrator.put', { name: 'web2', host: target })),
    end: (result) => [here(web2, result === 'done' ? target : undefined, false)],
  },
};
