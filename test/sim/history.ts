import { copiesOn } from './copies.ts';
import type { Owned, Seen } from './watch.ts';
import type { Machine, World } from './world.ts';

/** Who had which epoch of a vserver, and what is at least in its data: from one owner to the next nothing is lost. */
export function openHistory(world: World, seen: Map<string, Seen>) {
  /** The owners of a vserver by their epochs, the last one last. */
  const owners = new Map<string, { epoch: number; host: string; saga: string }[]>();
  /** What is at least in the data of a vserver, once it was handed over. */
  const floors = new Map<string, number>();
  /** What lay on the master or in a trash at the beginning: it stays, or somebody gets it. */
  const base = new Map<string, number>();
  for (const machine of world.machines.values())
    for (const { uuid, version, path } of copiesOn(machine))
      if (
        uuid !== undefined &&
        version !== undefined &&
        (machine.name === 'master' || path.includes('/.trash/'))
      )
        base.set(uuid, version);
  for (const [uuid, version] of base) floors.set(uuid, version);

  const of = (uuid: string) => owners.get(uuid) ?? [];
  /** A recover takes a copy of before: what its dead host had is lost. */
  const isRecover = (saga: string | undefined) => saga?.startsWith('recover-') === true;
  /** So does a restore in its place: what was there lies in the trash. */
  const isOfBefore = (saga: string) => isRecover(saga) || saga.startsWith('backup-restore-');
  const dataOn = (host: string, uuid: string) =>
    seen.get(host)?.trees.find((tree) => tree.uuid === uuid)?.version;

  return {
    floor: (uuid: string): number => floors.get(uuid) ?? 0,
    known: (): Iterable<string> => floors.keys(),
    forget: (uuid: string): void => void floors.delete(uuid),
    /** A host has it that did not have that epoch before. */
    handOver(host: Machine, { name, uuid, epoch, saga = '' }: Owned): void {
      const before = of(uuid);
      const same = before.find((one) => one.epoch === epoch);
      if (same?.host === host.name) return;
      if (same) {
        world.violate(`epoch ${epoch} of ${name} is on ${host.name}, and was on ${same.host}`);
        return;
      }
      const last = before.at(-1);
      if (last && last.epoch >= epoch)
        world.violate(`${host.name} took epoch ${epoch} of ${name}, though ${last.host} had ${last.epoch}`);
      owners.set(uuid, [...before, { epoch, host: host.name, saga }]);
      world.say(host.name, `owns ${name}, epoch ${epoch}`);
      const here = dataOn(host.name, uuid);
      if (here === undefined) return;
      // the target of its move is dead, and the source takes back what it had
      const isBack = world.deeds.saidDead.has(name) && before.some((one) => one.host === host.name);
      const floor =
        isOfBefore(saga) || isBack
          ? (base.get(uuid) ?? 0)
          : Math.max(floors.get(uuid) ?? 0, (last && dataOn(last.host, uuid)) ?? 0);
      if (here < floor && !world.deeds.handled)
        world.violate(`${host.name} took over ${name} with data v${here}, the source has v${floor}`);
      // what the source takes back runs on as if it had only been stopped: nobody has written it out for it
      floors.set(uuid, isBack ? floor : here);
    },
    gaveUp(host: Machine, { name, uuid, epoch, releasedTo }: Owned): void {
      world.say(host.name, `gave up ${name}, epoch ${epoch}`);
      if (releasedTo !== 'nobody') return;
      // what had just come to be is undone
      const first = base.get(uuid);
      if (first === undefined) floors.delete(uuid);
      else floors.set(uuid, first);
    },
    /** Somebody recovered it since, for its host was dead; or had the move from that host finished without it. */
    isPassed: ({ name, uuid, epoch }: Owned): boolean =>
      of(uuid).some((one) => one.epoch > epoch && (isRecover(one.saga) || world.deeds.saidDead.has(name))),
  };
}
