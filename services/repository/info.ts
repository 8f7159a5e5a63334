import type { Repository } from '../../config/repositories.ts';
import type { RepositoryInfo } from '../../shared/contract/repository.ts';
import { backupsOf } from './kinds.ts';
import { requireUsable, spaceOf } from './place.ts';

/** How a repository of this machine is; why it cannot be used is in the answer. */
export async function infoOf(repository: Repository): Promise<RepositoryInfo> {
  const { name, kind } = repository;
  const is = { name, kind, path: kind === 'restic' ? repository.location : repository.path };
  try {
    await requireUsable(repository);
    const { backups } = await backupsOf(repository);
    const last = Math.max(0, ...backups.map((one) => one.finished));
    const used = backups.reduce((sum, one) => sum + (one.addedBytes ?? 0), 0);
    const known = { backups: backups.length, used, ...(last > 0 ? { last } : {}) };
    return { ...is, ...(await spaceOf(repository)), ...known };
  } catch (error) {
    return { ...is, fault: (error as Error).message };
  }
}
