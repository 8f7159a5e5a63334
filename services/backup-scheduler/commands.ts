import { lineOf } from '../../config/backup.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context, Handlers } from '../../shared/service.ts';
import { pruneAll } from './prune.ts';
import { scheduleOf } from './schedule.ts';
import type { Work } from './work.ts';

/** The commands of the scheduler. */
export function commandsOf(context: Context, work: Work): Handlers {
  const { file, book, records, asked } = work;

  /** The vservers that a run is asked for: those named, or all that backup.conf means, of one host or of all. */
  function meant(names: string[] | undefined, host: string | undefined): string[] {
    const { vservers } = work.pool;
    const isMeant = (name: string) => (lineOf(file.lines, name)?.mode ?? 'none') !== 'none';
    for (const name of names ?? []) {
      if (!vservers.some((one) => one.name === name))
        throw new VsError('not-found', `there is no vserver ${name} in the pool; vs scan shows them`);
      if (!isMeant(name))
        throw new VsError(
          'refused',
          `${file.file} has no line that backs up ${name}; add one, or: vs backup run ${name}`,
        );
    }
    if (names) return [...new Set(names)];
    const found = vservers
      .filter((one) => (host === undefined || one.host === host) && isMeant(one.name))
      .map((one) => one.name);
    if (found.length === 0)
      throw new VsError(
        'refused',
        `${file.file} means no vserver${host === undefined ? '' : ` of ${host}`}; add a line such as web1:hot, or *:hot`,
      );
    return found.sort();
  }

  return {
    'backup-scheduler.status': async ({ names }) => {
      await work.look(true);
      const { states, uncovered } = work.lookedAt();
      const unknown = names?.find(
        (name) => !uncovered.includes(name) && !states.some((one) => one.vserver === name),
      );
      if (unknown !== undefined)
        throw new VsError(
          'not-found',
          `there is no vserver ${unknown}, and no backup of one; vs scan shows them`,
        );
      const master = names ? undefined : work.master.state(file.master);
      return {
        ...(master ? { master } : {}),
        vservers: names ? states.filter((one) => names.includes(one.vserver)) : states,
        uncovered: uncovered.filter((name) => !names || names.includes(name)),
        faults: [...(file.fault === undefined ? [] : [file.fault]), ...records.faults],
      };
    },
    'backup-scheduler.schedule': async ({ names, next }) => {
      await work.look();
      const wanted = work.pool.vservers
        .map((one) => one.name)
        .filter((name) => !names || names.includes(name));
      return {
        file: file.file,
        ...(file.fault === undefined ? {} : { fault: file.fault }),
        ...scheduleOf(
          file.master ? [...file.lines, file.master] : file.lines,
          wanted.sort(),
          Date.now(),
          next ?? 3,
        ),
      };
    },
    'backup-scheduler.prune': async ({ names, dryRun }) => {
      await work.look(true);
      const known = records.names().sort();
      const unknown = names?.find((name) => !known.includes(name));
      if (unknown !== undefined)
        throw new VsError(
          'not-found',
          `there is no backup of ${unknown}; vs backup list shows those there are`,
        );
      // the backups of what is gone are looked through only by name
      const living = known.filter(
        (name) => work.pool.vservers.some((one) => one.name === name) && lineOf(file.lines, name),
      );
      return {
        vservers: await pruneAll(context, records, {
          lines: file.lines,
          names: names ?? living,
          dryRun: dryRun === true,
        }),
      };
    },
    'backup-scheduler.master-run': async () => {
      await work.look();
      const archive = await work.master.run(file.master);
      void work.tick().catch((error: unknown) => context.log.warn({ error: String(error) }, 'backups'));
      return { archive };
    },
    'backup-scheduler.master-prune': async ({ dryRun }) => {
      await work.look();
      return work.master.prune(file.master, dryRun === true);
    },
    'backup-scheduler.run': async ({ names, host, wait }, call) => {
      await work.look();
      const wanted = meant(names, host);
      const ended = asked.ask(wanted, (one) => call.progress({ ...one }));
      await book.save();
      void work
        .tick()
        .catch((error: unknown) => context.log.warn({ error: String(error) }, 'backups that were asked for'));
      return {
        asked: wanted,
        runs: wait ? await Promise.race([ended, asked.givenUp(call.signal)]) : [],
      };
    },
  };
}
