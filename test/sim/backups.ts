import type { SagaState } from '../../shared/contract/saga.ts';
import { BACKUPS, backupsOn, listed } from './copies.ts';
import { VSERVERS } from './guests.ts';
import { STATE, uuidFor } from './place.ts';
import { filesOf, manifestOf, uuidOf, versionOf } from './trees.ts';
import type { World } from './world.ts';

const isAboutBackups = ({ scenario: { vservers, faults } }: World): boolean =>
  vservers.some((one) => one.backup) ||
  faults.some(({ deed }) => deed.what === 'ask' && deed.command.startsWith('orchestrator.backup'));

/** Looks at the repository after each event: what is listed is whole, and stays. */
export function watchBackups(world: World): { look(): void; end(sagas: SagaState[]): void } {
  const master = world.machine('master');
  if (!isAboutBackups(world)) return { look: () => undefined, end: () => undefined };
  /** What nobody has asked to be removed stays. */
  const isRemoved = world.scenario.faults.some(
    ({ deed }) => deed.what === 'ask' && deed.command === 'repository.remove',
  );
  const first = isRemoved ? [] : backupsOn(master).map(({ path }) => path);
  let seen = '';
  const told = new Set<string>();

  function faultOf(path: string): string | undefined {
    const { disk } = master;
    const tree = `${path}/tree`;
    const texts = filesOf(disk.find(tree));
    if (disk.text(`${path}/manifest`) !== manifestOf(texts)) return 'has other files than its manifest says';
    if (uuidOf(disk, tree) === undefined) return 'has no vserver.json';
    return versionOf(disk, tree) === undefined ? 'has torn data' : undefined;
  }
  const isProved = (path: string, saga: string): boolean => {
    const { proof } = JSON.parse(master.disk.text(`${path}/backup.json`) ?? '{}') as {
      proof?: { ok: boolean; saga: string };
    };
    return proof?.ok === true && proof.saga === saga;
  };
  return {
    look(): void {
      const now = `${master.boot} ${master.disk.version()}`;
      if (now === seen) return;
      seen = now;
      const all = backupsOn(master);
      for (const { path } of all) {
        const fault = faultOf(path);
        if (fault !== undefined) world.violate(`${path} is listed as a backup, and ${fault}`);
        if (!told.has(path)) world.say('master', `lists the backup ${path.slice(BACKUPS.length + 1)}`);
        told.add(path);
      }
      for (const path of first)
        if (!all.some((one) => one.path === path)) world.violate(`${path} was a backup, and is gone`);
    },
    end(sagas: SagaState[]): void {
      const mayStay = world.scenario.faults.some(({ deed }) =>
        ['full', 'eio', 'power', 'kill'].includes(deed.what),
      );
      if (isRemoved && !mayStay && backupsOn(master).some(({ saga }) => saga === 'backup-0'))
        world.violate('a backup was removed, and is still listed');
      // what died in its middle is cleared away with the next start
      const isFull = world.scenario.faults.some(({ deed }) => deed.what === 'full');
      for (const [name] of isFull ? [] : listed(master, `${BACKUPS}/.partial`))
        if (name.startsWith('.removed.')) world.violate(`${name} is left in .partial`);
      const all = backupsOn(master);
      for (const { id, kind, result } of sagas) {
        if (kind === 'backup-test' && result === 'done' && !all.some(({ path }) => isProved(path, id)))
          world.violate(`saga ${id} is done, and no record of a backup says so`);
        if (kind !== 'backup') continue;
        const mine = all.filter(({ saga }) => saga === id);
        if (mine.length > 1) world.violate(`saga ${id} has made ${mine.length} backups`);
        if (result !== 'done') continue;
        if (mine.length === 0) world.violate(`saga ${id} is done, and no backup of it is there`);
        for (const [name] of listed(master, `${BACKUPS}/.partial`))
          if (name.includes(id)) world.violate(`saga ${id} is done, and ${name} is left in .partial`);
      }
    },
  };
}

/** After a rollback it is what it was then, and what it was before is kept; when it was undone all is as before. */
export function checkRollbacks(world: World, sagas: SagaState[]): void {
  const rollbacks = sagas.filter(({ kind }) => kind === 'rollback');
  if (rollbacks.length !== 1 || world.scenario.faults.some(({ deed }) => deed.what === 'olddisk')) return;
  for (const { id, vserver, host, result } of rollbacks as (SagaState & { host?: string })[]) {
    if (result !== 'done' && result !== 'undone') continue;
    void host;
    for (const machine of world.machines.values()) {
      const { disk } = machine;
      const state = disk.text(`${VSERVERS}/${vserver}/${STATE}`);
      const wanted = result === 'done' ? 'then' : 'now';
      if (state !== undefined && state !== wanted)
        world.violate(`saga ${id} is ${result}, and ${vserver} on ${machine.name} is as it was ${state}`);
      const kept = `${VSERVERS}/.kept/${uuidFor(vserver)}`;
      if (state === undefined || !disk.find(kept)) continue;
      const safeties = listed(machine, kept).filter(([name]) => name.startsWith('before-rollback-'));
      const isWhole = ([name]: [string, unknown]) =>
        disk.text(`${kept}/${name}/tree/${STATE}`) === 'now' && disk.text(`${kept}/${name}/record.json`);
      if (disk.text(`${kept}/one/tree/${STATE}`) !== 'then')
        world.violate(`saga ${id} is ${result}, and the snapshot that it went back to is not whole`);
      if (result === 'done' && (safeties.length !== 1 || !safeties.every(isWhole)))
        world.violate(`saga ${id} is done, and what ${vserver} was before is kept ${safeties.length} times`);
      if (result === 'undone' && safeties.length > 0)
        world.violate(`saga ${id} is undone, and its safety snapshot is left`);
    }
  }
}
