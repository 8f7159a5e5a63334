import { z } from 'zod';
import { bytes, epoch, hostName, id, ipv4, ipv6, name, ts } from './names.ts';

/** How a backup is taken: from what runs (a snapshot where the storage has them), or from what was stopped for it. */
export const backupMode = z.enum(['hot', 'cold']);
export type BackupMode = z.infer<typeof backupMode>;

/** The name of a repository, as repositories.conf and the options of backup.conf give it. */
export const repositoryName = name;

/** The id of a backup: the moment its data is of, in UTC to the second: 20261127T030000Z. One of the same second gets -2, -3... */
export const backupId = z.string().regex(/^\d{8}T\d{6}Z(-\d{1,3})?$/);

/** What a test of a backup found: it was restored where nothing of it reaches a network, started, and looked at. */
export const backupProof = z.looseObject({
  ts,
  ok: z.boolean(),
  host: hostName,
  saga: id,
  /** From its start to the last look (ms). */
  ms: z.number(),
  checks: z
    .array(z.object({ check: z.string().max(100), ok: z.boolean(), message: z.string().max(500) }))
    .max(100),
});
export type BackupProof = z.infer<typeof backupProof>;

/**
 * `backup.json`: one backup, written last, when all of it lies whole on the disk of the repository; what has none is no backup.
 * Sizes in bytes. `addedBytes`: what it takes beside the backups before it. Tolerant of new keys.
 */
export const backupRecord = z.looseObject({
  version: z.literal(1),
  id: backupId,
  vserver: name,
  repository: repositoryName,
  uuid: z.uuid(),
  host: hostName,
  /** Of its host when it was taken; gives no right to anything. */
  epoch,
  mode: backupMode,
  /** snapshot: of one moment; live: from what ran meanwhile, without one; stopped: from what did not run. */
  kind: z.enum(['snapshot', 'live', 'stopped']),
  running: z.boolean(),
  enabled: z.boolean(),
  network: name,
  address: ipv4.optional(), // of one that has an IPv4 address
  address6: ipv6.optional(),
  /** The moment its data is of, and when it was whole. */
  taken: ts,
  finished: ts,
  saga: id,
  bytes,
  files: z.int().min(0),
  addedBytes: bytes.optional(),
  /** The backup that unchanged files are shared with. */
  basis: backupId.optional(),
  /** Kept by a person, whatever the retention says. */
  protected: z.boolean().default(false),
  /** When its content was last compared with its manifest, and what was found (no fault: empty). */
  verified: ts.optional(),
  faults: z.array(z.string().max(500)).max(100).optional(),
  /** Of its last test. */
  proof: backupProof.optional(),
});
export type BackupRecord = z.infer<typeof backupRecord>;
