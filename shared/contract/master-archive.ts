import { z } from 'zod';
import { repositoryName } from './backup.ts';
import { type CommandSpec, masterCommand } from './command.ts';
import { bytes, ts } from './names.ts';

/** The file of an archive of the master's own state: its time in UTC. */
export const archiveFile = z.string().regex(/^vs-master-\d{8}T\d{6}Z\.tar\.gz$/);

/** One archive of the master in a repository. */
export const masterArchive = z.object({ repository: repositoryName, file: archiveFile, taken: ts, bytes });
export type MasterArchive = z.infer<typeof masterArchive>;

/** Archives of the master's own state in a repository. They hold the keys of the pool: only the process of the scheduler asks for them. */
export const masterArchiveCommands = {
  'master-archive.keep': masterCommand(
    'an archive of the master’s own state comes into a repository',
    z.strictObject({ repository: repositoryName }),
    z.object({ archive: masterArchive }),
  ),
  'master-archive.list': masterCommand(
    'the archives of the master in a repository, the newest first',
    z.strictObject({ repository: repositoryName }),
    z.object({ archives: z.array(masterArchive) }),
  ),
  'master-archive.remove': masterCommand(
    'destroy an archive of the master; one that is not there is no error',
    z.strictObject({ repository: repositoryName, file: archiveFile }),
    z.object({ removed: z.boolean() }),
  ),
} satisfies Record<string, CommandSpec>;
