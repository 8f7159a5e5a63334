import { z } from 'zod';
import { backupId, backupProof, backupRecord, repositoryName } from './backup.ts';
import { type CommandSpec, masterCommand } from './command.ts';
import { bytes, id, name, ts, hostName } from './names.ts';
import { vserverConfig } from './vserver.ts';

const sagaStep = z.strictObject({ repository: repositoryName, name, saga: id });
const oneBackup = z.strictObject({ repository: repositoryName, vserver: name, id: backupId });

/** How backups of one vserver have what did not change once: chunks are those of restic. */
const shares = z.enum(['links', 'snapshots', 'chunks']);

/**
 * A place for backups, at a path of its machine or a location of restic. `used`: about what its backups take, each what it added;
 * `last`: when the last one was whole; `fault`: why it cannot be used.
 */
export const repositoryInfo = z.object({
  name: repositoryName,
  kind: z.enum(['tree', 'restic']),
  path: z.string(),
  /** It is on this host, not on the master. */
  host: hostName.optional(),
  shares: shares.optional(),
  free: bytes.optional(),
  total: bytes.optional(),
  backups: z.int().min(0).optional(),
  used: bytes.optional(),
  last: ts.optional(),
  fault: z.string().optional(),
});
export type RepositoryInfo = z.infer<typeof repositoryInfo>;

/** What a saga knows of the backup that it has taken; the repository adds what it knows itself. */
export const takenBackup = backupRecord.pick({
  uuid: true,
  host: true,
  epoch: true,
  mode: true,
  kind: true,
  running: true,
  enabled: true,
  taken: true,
});
export type TakenBackup = z.infer<typeof takenBackup>;

/** The repository service owns the backups of repositories.conf. `hold`, `free`, `prove`, `open`, `place`, `seal`, `discard` are steps of the sagas, which the process of the master asks of itself alone. */
export const repositoryCommands = {
  'repository.info': masterCommand(
    'the repositories, all or one: where they are, their space, how many backups they have, and why one cannot be used',
    z.strictObject({ repository: repositoryName.optional() }),
    z.object({ repositories: z.array(repositoryInfo) }),
  ),
  'repository.list': masterCommand(
    'the backups, the newest first, of all repositories or one, of all vservers or one; those of vservers that are gone too. faults: records that cannot be read; leftOff: so many did not fit into a reply',
    z.strictObject({ repository: repositoryName.optional(), vserver: name.optional() }),
    z.object({
      backups: z.array(backupRecord),
      faults: z.array(z.string()),
      leftOff: z.int().min(1).optional(),
    }),
  ),
  'repository.offer': masterCommand(
    'a backup as the source of a restore: its record, the configuration in it, and where its tree lies on the master; no tree: it has to be fetched first. saga: the tree that was fetched for it',
    oneBackup.extend({ saga: id.optional() }),
    z.object({
      backup: backupRecord,
      config: vserverConfig,
      tree: z.string().optional(),
      host: hostName.optional(), // where the tree is, if not on the master
    }),
  ),
  'repository.fetch': masterCommand(
    'bring the tree of a backup, or a path of its root, onto the master for a saga, until repository.release; what lies there as a tree stays where it is',
    oneBackup.extend({ saga: id, path: z.string().startsWith('/').max(4000).optional() }),
    z.object({ tree: z.string() }),
  ),
  'repository.release': masterCommand(
    'what was fetched for a saga goes',
    z.strictObject({ repository: repositoryName, saga: id }),
  ),
  'repository.verify': masterCommand(
    'compare the content of a backup with its manifest, all of it; what was found stands in its record then',
    oneBackup,
    z.object({ backup: backupRecord, files: z.int(), bytes }),
  ),
  'repository.protect': masterCommand(
    'keep a backup whatever the retention says, or no longer',
    oneBackup.extend({ on: z.boolean() }),
    z.object({ backup: backupRecord }),
  ),
  'repository.remove': masterCommand(
    'destroy a backup for good; refused for one that is protected, held by a saga, or mounted. One that is not there is no error',
    oneBackup,
    z.object({ removed: z.boolean() }),
  ),
  'repository.hold': masterCommand(
    'a saga reads this backup from now on, until repository.free: nothing removes it meanwhile. Again: the same answer',
    oneBackup.extend({ saga: id }),
    z.object({ backup: backupRecord }),
  ),
  'repository.free': masterCommand(
    'a saga has ended, or undone, its reading of a backup',
    z.strictObject({ repository: repositoryName, saga: id }),
  ),
  'repository.mount': masterCommand(
    'show the files of a backup at an empty directory of the master below /mnt, /media or /srv: read-only, without devices and programs; until umount, or until the master is started again',
    oneBackup.extend({ directory: z.string().regex(/^\/[^\0]{1,1000}$/) }),
    z.object({
      backup: backupRecord,
      mounted: z.array(z.string()),
      host: hostName.optional(), // where, if not on the master
    }),
  ),
  'repository.umount': masterCommand(
    'end every mount of a backup',
    oneBackup,
    z.object({ unmounted: z.array(z.string()) }),
  ),
  'repository.mounts': masterCommand(
    'the backups that are mounted, and where',
    z.strictObject({}),
    z.object({ mounts: z.array(oneBackup.extend({ directory: z.string() })) }),
  ),
  'repository.prove': masterCommand(
    'what a test of this backup has found: it stands in its record then',
    oneBackup.extend({ proof: backupProof }),
    z.object({ backup: backupRecord }),
  ),
  'repository.open': masterCommand(
    'a place for the backup that a saga takes: what an interrupted one of this vserver has left, else what the backup before has (basis), else nothing. bytes: how much is to come at most',
    sagaStep.extend({ bytes }),
    z.object({
      basis: backupId.optional(),
      /** What the basis has of the source: when its data was taken. */
      taken: ts.optional(),
      resumed: z.boolean(),
      shares,
      free: bytes,
    }),
  ),
  'repository.place': masterCommand(
    'where the tree of an open backup is; links: files in it belong to other backups too, so none may be changed in its place; changes: the directory for the lists of what passes change in it, where somebody reads them; counted: what it holds, while it is as its basis',
    sagaStep,
    z.object({
      path: z.string(),
      links: z.boolean(),
      changes: z.string().optional(),
      counted: z.object({ files: z.int(), bytes }).optional(),
    }),
  ),
  'repository.seal': masterCommand(
    'write the manifest of an open backup, write all of it out, and its record last: from then on it is one. Again: the same answer',
    sagaStep.extend({ backup: takenBackup }),
    z.object({ backup: backupRecord }),
  ),
  'repository.discard': masterCommand(
    'end an open backup that was not sealed; keep: what has come is the start of the next one, unless the disk is nearly full',
    sagaStep.extend({ keep: z.boolean().optional() }),
  ),
} satisfies Record<string, CommandSpec>;
