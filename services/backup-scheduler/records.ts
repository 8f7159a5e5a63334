import type { BackupRecord } from '../../shared/contract/backup.ts';
import type { Context } from '../../shared/service.ts';

const LIST_MS = 120_000;

/** The backups there are, as the repositories told them last. */
export function openRecords({ bus, log }: Pick<Context, 'bus' | 'log'>) {
  let known: Map<string, BackupRecord[]> | undefined;
  let faults: string[] = [];

  const list = (vserver?: string) =>
    bus.request('master', 'repository.list', vserver === undefined ? {} : { vserver }, {
      timeoutMs: LIST_MS,
    });

  return {
    /** Undefined: nobody could be asked so far. */
    of: (vserver: string): BackupRecord[] | undefined => known && (known.get(vserver) ?? []),
    all: (): BackupRecord[] => [...(known?.values() ?? [])].flat(),
    names: (): string[] => [...(known?.keys() ?? [])],
    get faults(): string[] {
      return faults;
    },
    /** Asks the repositories, of one vserver or of all (`names`: those that there may be). What cannot be asked leaves what was known. */
    async ask(names: string[], only?: string): Promise<void> {
      try {
        const found = await list(only);
        if (only !== undefined) {
          known?.set(only, found.backups);
          return;
        }
        const all = Map.groupBy(found.backups, (one) => one.vserver);
        if (found.leftOff !== undefined)
          for (const name of new Set([...names, ...all.keys(), ...(known?.keys() ?? [])]))
            all.set(name, (await list(name)).backups);
        for (const [name, some] of all) if (some.length === 0) all.delete(name);
        known = all;
        faults = found.faults;
      } catch (error) {
        faults = [(error as Error).message];
        log.warn({ error: String(error) }, 'the repositories could not be asked for their backups');
      }
    },
  };
}
export type Records = ReturnType<typeof openRecords>;
