import { type Host, type World, ask, hosts, made, on, otherHost, ownersOf, web1, web2 } from './world.ts';

/** A saga of the matrix: how it is begun, and what must be there at its end. Another kind is another entry. */
export interface SagaSpec {
  /** The kind of its journals. */
  kind: string;
  /** The step in which a person aborts it, for the rows of its way back: the last one before the point of no return. */
  abortAt: string;
  /** The vserver that it is about. */
  about: { name: string; address: string };
  /** Which hosts take part; those that give nothing have no source. */
  parts(world: World): { source?: Host; target: Host };
  /** Makes the world as it must be before; also after a cell that went wrong. */
  ready(world: World): Promise<void>;
  begin(world: World): Promise<string>;
  /** Where its vserver must be at the end; undefined: nowhere. */
  place(result: 'done' | 'undone', parts: { source?: Host; target: Host }): Host | undefined;
  /** Does it run at the end, where it is? */
  runs: boolean;
}

/** The host that has web1. */
const homeOf = (world: World): Host => {
  const [owner, ...more] = ownersOf(world, web1.name);
  if (!owner || more.length > 0)
    throw new Error(`web1 is owned by ${[owner, ...more].map((one) => one?.host ?? 'nobody').join(' and ')}`);
  return owner.host;
};

/** web2 is nowhere, and its trash neither. */
async function without(world: World): Promise<void> {
  for (const { host } of ownersOf(world, web2.name)) {
    await ask(world, host, 'host-agent.stop', { name: web2.name, force: true });
    const args = { name: web2.name, host, wait: true };
    const { state } = await ask(world, 'master', 'orchestrator.remove', args, 120_000);
    if (state.result !== 'done') throw new Error(`web2 was not removed: ${state.message}`);
  }
  const empty = `cd /var/lib/vservers/.trash 2>/dev/null || exit 0
for tree in web2.*; do [ -d "$tree" ] || continue; btrfs -q subvolume delete "$tree" 2>/dev/null || rm -rf "$tree"; done; rm -f web2.*.json`;
  for (const host of hosts) await on(world, host, empty);
}

export const sagas: Record<string, SagaSpec> = {
  move: {
    kind: 'move',
    abortAt: 'adopt',
    about: web1,
    runs: true,
    parts: (world) => ({ source: homeOf(world), target: otherHost(homeOf(world)) }),
    async ready() {},
    async begin(world) {
      const args = { name: web1.name, host: otherHost(homeOf(world)) };
      return (await ask(world, 'master', 'orchestrator.move', args)).saga;
    },
    place: (result, { source, target }) => (result === 'done' ? target : source),
  },
  create: {
    kind: 'create',
    abortAt: 'answer',
    about: web2,
    runs: true,
    parts: () => ({ target: 'host2' }),
    ready: without,
    async begin(world) {
      const args = { ...web2, source: 'busybox', host: 'host2', start: true, enable: true };
      return (await ask(world, 'master', 'orchestrator.create', args)).saga;
    },
    place: (result, { target }) => (result === 'done' ? target : undefined),
  },
  remove: {
    kind: 'remove',
    abortAt: 'lock',
    about: web2,
    runs: false,
    parts: () => ({ target: 'host2' }),
    async ready(world) {
      await without(world);
      await made(world, web2, 'host2', { start: false, enable: false });
    },
    async begin(world) {
      return (await ask(world, 'master', 'orchestrator.remove', { name: web2.name, host: 'host2' })).saga;
    },
    place: (result, { target }) => (result === 'done' ? undefined : target),
  },
};
