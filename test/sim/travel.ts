import type { SagaState } from '../../shared/contract/saga.ts';
import { VSERVERS } from './guests.ts';
import { STATE, uuidFor } from './place.ts';
import type { Watch } from './watch.ts';
import type { World } from './world.ts';

/** Whoever owns a vserver has its kept snapshot, whole, where it could go along. */
export function checkTravels(world: World, watch: Watch, sagas: SagaState[]): void {
  const { scenario, machines } = world;
  const moves = sagas.filter(({ kind }) => kind === 'move');
  if (moves.length === 0 || moves.some(({ result }) => result === 'stuck')) return;
  if (scenario.faults.some(({ deed }) => deed.what === 'olddisk')) return;
  for (const { name, host } of scenario.vservers.filter((one) => one.kept)) {
    for (const machine of machines.values()) {
      const owns = watch.seen.get(machine.name)?.owned.some((one) => one.name === name && one.owner);
      const isCarried = scenario.btrfs.includes(host) && scenario.btrfs.includes(machine.name);
      if (!owns || !isCarried) continue;
      const kept = `${VSERVERS}/.kept/${uuidFor(name)}/one`;
      if (machine.disk.text(`${kept}/tree/${STATE}`) !== 'then' || !machine.disk.text(`${kept}/record.json`))
        world.violate(`${machine.name} owns ${name}, and its snapshot is not there`);
      if (machine.disk.text(`${VSERVERS}/${name}/${STATE}`) !== 'now')
        world.violate(`${name} is on ${machine.name} as it was then`);
    }
  }
}
