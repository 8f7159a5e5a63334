import { type Ownership, ownership } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { ownershipPath, ownershipsOf, readOwnership } from '../../shared/ownership.ts';
import { writeJson } from '../../shared/store.ts';
import type { Settings } from '../../config/settings.ts';

/** Takes ownership with a higher epoch than this host ever saw of the vserver; a repeat of the same saga is answered again. */
export async function claim(
  settings: Settings,
  want: { name: string; uuid: string; saga: string; epoch: number },
): Promise<void> {
  const now = await readOwnership(settings, want.name);
  if (now?.uuid === want.uuid) {
    if (now.owner && now.epoch === want.epoch && now.saga === want.saga) return;
    if (now.epoch >= want.epoch)
      throw new VsError(
        'conflict',
        `${want.name} has epoch ${now.epoch} here, so epoch ${want.epoch} is too old to claim it`,
      );
  } else if (now?.owner) throw new VsError('conflict', `another vserver called ${want.name} is owned here`);
  // what this host knows of the epochs of the one that had this name before stays known, under its uuid
  else if (now) await writeJson(ownershipPath(settings, now.uuid), ownership, now);
  const other = (await ownershipsOf(settings, { uuid: want.uuid })).find(
    (one) => (one.owner && one.name !== want.name) || one.epoch >= want.epoch,
  );
  if (other)
    throw new VsError(
      'conflict',
      `${want.name} was called ${other.name} here and has epoch ${other.epoch}${other.owner ? ', which this host owns' : ''}; epoch ${want.epoch} is too old to claim it`,
    );
  await writeJson(ownershipPath(settings, want.name), ownership, {
    version: 1,
    owner: true,
    ts: Date.now(),
    ...want,
  });
}

/** Gives ownership up for good. The caller has proved that it is stopped. Returns the record that stays as proof. */
export async function release(
  settings: Settings,
  want: { name: string; saga: string; epoch: number; to: string },
): Promise<Ownership> {
  const now = await readOwnership(settings, want.name);
  if (!now) throw new VsError('conflict', `${want.name} is not owned here`);
  if (!now.owner && now.saga === want.saga && now.epoch === want.epoch) return now;
  if (!now.owner || now.epoch !== want.epoch)
    throw new VsError(
      'conflict',
      `${want.name} has epoch ${now.epoch} here${now.owner ? '' : ', and was given up already'}; the command said ${want.epoch}`,
    );
  const next: Ownership = { ...now, owner: false, saga: want.saga, releasedTo: want.to, ts: Date.now() };
  await writeJson(ownershipPath(settings, want.name), ownership, next);
  return next;
}

/** Refuses to start what this host does not own, and a command with an old epoch. */
export async function requireOwner(
  settings: Settings,
  host: string,
  name: string,
  epoch?: number,
): Promise<Ownership> {
  const now = await readOwnership(settings, name);
  if (!now?.owner)
    throw new VsError(
      'refused',
      `${host} does not own ${name}${now?.releasedTo ? ` (it went to ${now.releasedTo})` : ''}, so it does not start it`,
    );
  if (epoch !== undefined && epoch !== now.epoch)
    throw new VsError(
      'conflict',
      `epoch ${epoch} of this command is ${epoch < now.epoch ? 'older' : 'newer'} than ${now.epoch} of ${name} on ${host}`,
    );
  return now;
}
