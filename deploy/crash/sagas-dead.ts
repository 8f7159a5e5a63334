import { setTimeout as sleep } from 'node:timers/promises';
import { killNode } from '../lab/node.ts';
import { type SagaSpec, begun, here, homeOf, keptOnMaster } from './spec.ts';
import { type Host, type World, ask, mendWorld, nodeNamed, otherHost, web2 } from './world.ts';

/** The hosts: web1 runs on the one that takes over; the other one, which had web2, is off until the saga has ended. */
const parts = (world: World) => ({ target: homeOf(world), dead: otherHost(homeOf(world)) });

async function until(world: World, what: string, state: string): Promise<void> {
  for (const end = Date.now() + 20_000; Date.now() < end; await sleep(100)) {
    const { rows } = await ask(world, 'master', 'orchestrator.scan', { name: web2.name });
    if (rows.some((row) => row.state === state && (row.enabled ?? true))) return;
  }
  throw new Error(`not within 20 s: ${what}`);
}

/** web2 runs on the host that dies, enabled, and then that host has no power any more. */
async function dies(world: World, dead: Host): Promise<void> {
  const { name } = web2;
  await ask(world, dead, 'host-agent.enable', { name });
  await ask(world, dead, 'host-agent.start', { name });
  await until(world, `the pool knows that ${name} runs`, 'running');
  await killNode(world.lab, nodeNamed(world, dead));
  for (const end = Date.now() + 20_000; ; await sleep(100)) {
    const { hosts } = await ask(world, 'master', 'orchestrator.scan', {});
    if (hosts.some((one) => one.host === dead && one.state === 'offline')) return;
    if (Date.now() > end) throw new Error(`${dead} is off, and the pool does not know it`);
  }
}

const recover = (from: (world: World) => string, ready: SagaSpec['ready']): SagaSpec => ({
  kind: 'recover',
  about: () => web2.name,
  abortAt: 'look again',
  parts,
  ready,
  begin: (world) =>
    begun(
      ask(world, 'master', 'orchestrator.recover', {
        name: web2.name,
        host: homeOf(world),
        from: from(world),
        start: true,
        confirm: web2.name,
      }),
    ),
  after: mendWorld,
  end: (result, { target, dead }) => [
    result === 'done'
      ? { ...here(web2, target, true), ...(dead ? { old: dead } : {}) }
      : here(web2, dead, true),
  ],
});

/** Sagas for which a host is dead; it comes back after them, or in the midst of them (`dead-returns`). */
export const deadSagas: Record<string, SagaSpec> = {
  recover: recover(
    () => 'master',
    async (world) => {
      await mendWorld(world);
      const { dead } = parts(world);
      await keptOnMaster(world, dead);
      const args = { name: web2.name, host: dead, wait: true };
      await ask(world, 'master', 'orchestrator.put', args, 120_000);
      await dies(world, dead);
    },
  ),
  'recover-old': recover(
    (world) => homeOf(world),
    async (world) => {
      await mendWorld(world);
      const { dead, target } = parts(world);
      await keptOnMaster(world, dead);
      const { name } = web2;
      await ask(world, 'master', 'orchestrator.put', { name, host: target, wait: true }, 120_000);
      await ask(world, 'master', 'orchestrator.move', { name, host: dead, wait: true }, 120_000);
      await dies(world, dead);
    },
  ),
};
