import { type Repository, loadRepositories } from '../../config/repositories.ts';
import type { Settings } from '../../config/settings.ts';
import { VsError } from '../../shared/errors.ts';
import type { Call, Handlers } from '../../shared/service.ts';
import { listRecords } from './records.ts';
import { listRestic } from './restic-list.ts';

type Kind = Repository['kind'];

/** The backups of a repository, the newest first; of one vserver or all. */
export async function backupsOf(repository: Repository, vserver?: string): ReturnType<typeof listRecords> {
  return repository.kind === 'restic' ? listRestic(repository, vserver) : listRecords(repository, vserver);
}

/** One handler for each command: that of the kind which the repository is. What names no repository is of all kinds, and in `shared`. */
export function byKind(
  settings: Pick<Settings, 'CONFIG_DIR' | 'BACKUP_DIR' | 'STATE_DIR'>,
  kinds: Record<Kind, Handlers>,
  shared: Handlers = {},
): Handlers {
  type Table = Record<string, ((args: { repository: string }, call: Call) => Promise<unknown>) | undefined>;
  const commands = new Set(Object.values(kinds).flatMap((one) => Object.keys(one)));
  const handlers: Table = {};
  for (const command of commands)
    handlers[command] = async (args, call) => {
      const all = await loadRepositories(settings);
      // one that there is not is told by any of them
      const kind = all.find((one) => one.name === args.repository)?.kind ?? 'tree';
      const handler = (kinds[kind] as Table)[command];
      if (!handler) throw new VsError('refused', `a repository of the kind ${kind} has no ${command}`);
      return handler(args, call);
    };
  return { ...(handlers as Handlers), ...shared };
}
