import { type Repository, isElsewhere, loadRepositories } from '../../config/repositories.ts';
import type { Settings } from '../../config/settings.ts';
import { VsError } from '../../shared/errors.ts';
import type { Call, Handlers } from '../../shared/service.ts';
import { listRecords } from './records.ts';
import { listRestic } from './restic-list.ts';

type Kind = Repository['kind'];
/** Asks the host of a repository for a command. */
export type Forward = (
  repository: Repository & { host: string },
  command: string,
  args: object,
) => Promise<unknown>;

/** The backups of a repository of this machine, the newest first; of one vserver or all. */
export async function backupsOf(repository: Repository, vserver?: string): ReturnType<typeof listRecords> {
  return repository.kind === 'restic' ? listRestic(repository, vserver) : listRecords(repository, vserver);
}

/** One handler for each command: that of the kind which the repository is, or of the host on which it is. What names no repository is of all kinds, and in `shared`. */
export function byKind(
  settings: Pick<Settings, 'CONFIG_DIR' | 'BACKUP_DIR' | 'STATE_DIR'>,
  kinds: Record<Kind, Handlers>,
  forward: Forward,
  shared: Handlers = {},
): Handlers {
  type Table = Record<string, ((args: { repository: string }, call: Call) => Promise<unknown>) | undefined>;
  const commands = new Set(Object.values(kinds).flatMap((one) => Object.keys(one)));
  const handlers: Table = {};
  for (const command of commands)
    handlers[command] = async (args, call) => {
      const all = await loadRepositories(settings);
      const one = all.find(({ name }) => name === args.repository);
      if (one && isElsewhere(one)) return forward(one, command, args);
      // one that there is not is told by any of them
      const kind = one?.kind ?? 'tree';
      const handler = (kinds[kind] as Table)[command];
      if (!handler) throw new VsError('refused', `a repository of the kind ${kind} has no ${command}`);
      return handler(args, call);
    };
  return { ...(handlers as Handlers), ...shared };
}
