import type { Repository } from '../../config/repositories.ts';
import type { BackupRecord } from '../../shared/contract/backup.ts';
import type { Args, CommandName, Data } from '../../shared/contract/commands.ts';
import type { RepositoryInfo } from '../../shared/contract/repository.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context } from '../../shared/service.ts';
import { isOver } from './holds.ts';
import type { Forward } from './kinds.ts';

type There = Repository & { host: string };
const LONG_MS = 48 * 3_600_000;
/** A list, or how one is: whoever asks waits a minute. */
const SOON_MS = 45_000;

/** The repositories of other hosts: their agents do the work, this asks them. */
export function openElsewhere({ bus }: Pick<Context, 'bus'>) {
  /** One that is away is told at once, instead of being waited for. */
  async function requireThere(host: string): Promise<void> {
    const { hosts } = await bus.request('master', 'orchestrator.hosts', {});
    const found = hosts.find((one) => one.host === host);
    if (!found) throw new VsError('not-found', `there is no host ${host}, which repositories.conf names`);
    if (found.state !== 'online')
      throw new VsError('unavailable', `${host}, where the repository is, is offline`, { retryable: true });
  }
  async function ask<K extends CommandName>(
    host: string,
    command: K,
    args: Args<K>,
    timeoutMs = LONG_MS,
  ): Promise<Data<K>> {
    await requireThere(host);
    return bus.request(host, command, args, { timeoutMs });
  }

  /** A saga that has ended holds nothing; only the master knows whether one has. */
  async function remove(host: string, args: Args<'repository.remove'>): Promise<Data<'repository.remove'>> {
    for (;;)
      try {
        return await ask(host, 'repository.remove', args);
      } catch (error) {
        const saga = error instanceof VsError ? error.details?.['saga'] : undefined;
        if (typeof saga !== 'string' || !(await isOver({ bus }, saga))) throw error;
        await ask(host, 'repository.free', { repository: args.repository, saga });
      }
  }
  const forward: Forward = async ({ host }, command, args) => {
    if (command === 'repository.remove') return remove(host, args as Args<'repository.remove'>);
    const found = await ask(host, command as CommandName, args as Args<CommandName>);
    return command === 'repository.offer' || command === 'repository.mount'
      ? { ...(found as object), host }
      : found;
  };
  return {
    forward,
    async info({ name, host }: There): Promise<RepositoryInfo> {
      const { repositories } = await ask(host, 'repository.info', { repository: name }, SOON_MS);
      const [found] = repositories;
      if (!found) throw new VsError('failed', `${host} says nothing of repository ${name}`);
      return { ...found, name, host };
    },
    list: async (
      { name, host }: There,
      vserver?: string,
    ): Promise<{ backups: BackupRecord[]; faults: string[] }> =>
      ask(
        host,
        'repository.list',
        { repository: name, ...(vserver === undefined ? {} : { vserver }) },
        SOON_MS,
      ),
    mounts: async ({ name, host }: There) =>
      (await ask(host, 'repository.mounts', {}, SOON_MS)).mounts.filter((one) => one.repository === name),
  };
}
