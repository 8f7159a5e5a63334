import { type SagaSpec, type Wanted, away, begun, here, homeOf, without } from './spec.ts';
import { type Host, type World, ask, made, otherHost, ownersOf, web1, web2 } from './world.ts';

const all = { parallel: 1, wait: true };

/** No host is evacuated, and web2 is where web1 is, stopped. */
async function together(world: World): Promise<void> {
  for (const { host, evacuated } of (await ask(world, 'master', 'orchestrator.hosts', {})).hosts) {
    if (!evacuated) continue;
    const { state } = await ask(world, 'master', 'orchestrator.restore-host', { host, ...all }, 180_000);
    if (state.result !== 'done') throw new Error(`${host} was not restored: ${state.message}`);
  }
  const home = homeOf(world);
  const at = ownersOf(world, web2.name).map((one) => one.host);
  if (at.join() === home) return;
  await without(world);
  await made(world, web2, home, { start: false, enable: false });
}

/** Both went when it is done; else each is on one host, whichever that is. */
const end: SagaSpec['end'] = (result, { target }, world) => {
  const place = (name: string): Host | undefined =>
    result === 'done' ? target : ownersOf(world, name)[0]?.host;
  return [here(web1, place(web1.name), true), here(web2, place(web2.name), false)] satisfies Wanted[];
};
/** Where a child's journal meets that of its parent, and where its vserver is in danger. */
const childRows = [
  'begin',
  'started lock',
  'started seed',
  'started stop',
  'pnr',
  'started start',
  'started clean up',
  'end',
];

/** Sagas about a host, which begin a move for each of its vservers: web1, which runs, and web2, which does not. */
export const hostSagas: Record<string, SagaSpec> = {
  evacuate: {
    kind: 'evacuate',
    about: ({ source }) => source ?? '',
    abortAt: 'move all',
    childRows,
    parts: away,
    ready: together,
    begin: (world) =>
      begun(ask(world, 'master', 'orchestrator.evacuate', { host: homeOf(world), parallel: 1 })),
    end,
  },
  'restore-host': {
    kind: 'restore-host',
    about: ({ target }) => target ?? '',
    abortAt: 'move back',
    childRows,
    parts: away,
    async ready(world) {
      await together(world);
      const args = { host: homeOf(world), ...all };
      const { state } = await ask(world, 'master', 'orchestrator.evacuate', args, 180_000);
      if (state.result !== 'done') throw new Error(`${args.host} was not evacuated: ${state.message}`);
    },
    begin: (world) =>
      begun(
        ask(world, 'master', 'orchestrator.restore-host', { host: otherHost(homeOf(world)), parallel: 1 }),
      ),
    end,
  },
};
