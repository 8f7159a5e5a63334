import { z } from 'zod';
import { type CommandSpec, hostCommand, masterCommand } from './command.ts';
import { keptName } from './kept.ts';
import { bytes, empty, epoch, hostName, id, ipv4, ipv6, label, name, ts } from './names.ts';
import { furtherAddress, vserverConfig } from './vserver.ts';

/** What a storage driver can do; choices are made by these flags, never by its name. */
export const storageInfo = z.object({
  storage: z.enum(['btrfs', 'dir', 'lvm', 'lvm-thin']),
  /** `snapshot`: while a saga needs one; `keep`: for people, and writable trees of them (absent: as `snapshot`); `send`: btrfs send. */
  capabilities: z.object({ snapshot: z.boolean(), keep: z.boolean().optional(), send: z.boolean() }),
  /** How the space of a vserver is limited; `missing`: why it cannot be. */
  quota: z
    .object({ how: z.enum(['qgroup', 'project', 'volume']), missing: z.string().optional() })
    .optional(),
  total: bytes,
  free: bytes,
  trash: bytes.optional(),
  /** What a person should know of it: a pool that is nearly full, a volume that nobody has. */
  faults: z.array(z.string()).optional(),
});
export type StorageInfo = z.infer<typeof storageInfo>;
/** Does a storage keep snapshots for people? Hosts of before that was told apart keep what they make. */
export const keepsSnapshots = ({ capabilities }: Pick<StorageInfo, 'capabilities'>): boolean =>
  capabilities.keep ?? capabilities.snapshot;

/** A tree in the trash of a host. `only`: when it came there, no other copy was meant to exist. */
export const trashEntry = z.looseObject({
  name,
  entry: id, // the saga that brought it there
  uuid: z.string(),
  epoch: epoch.optional(), // the last one that this host had of it
  address: ipv4.optional(),
  address6: ipv6.optional(),
  ts,
  until: ts,
  why: z.string(), // "removed", "moved to host2", for people
  only: z.boolean(),
  bytes: bytes.optional(), // absent until they are counted; on btrfs the most that it gives back
  files: z.int().optional(),
  snapshots: z.int().optional(), // kept ones, which lie there with it
});
export type TrashEntry = z.infer<typeof trashEntry>;
const entryOf = z.strictObject({ name, entry: id });

const sagaStep = z.strictObject({ name, saga: id });

/** How a copy was taken: at one moment, from what ran meanwhile, or from what did not run. */
export const copyKind = z.enum(['snapshot', 'live', 'stopped']);

/**
 * `copy.json`, beside the vserver.json of a copy on the master. `epoch` is the one that its host had when it was taken (0: it
 * did not own it); it gives no right to anything. Tolerant of new keys.
 */
export const copyRecord = z.looseObject({
  version: z.literal(1),
  name,
  uuid: z.uuid(),
  host: hostName,
  epoch: z.int().min(0),
  kind: copyKind,
  /** How its vserver was then; the copy itself is never enabled. */
  running: z.boolean(),
  enabled: z.boolean(),
  taken: ts,
  saga: id,
  bytes,
  files: z.int(),
});
export type CopyRecord = z.infer<typeof copyRecord>;

/** A copy as the master lists it. */
export const copyInfo = copyRecord.extend({
  network: name,
  address: ipv4.optional(),
  address6: ipv6.optional(),
  more: z.array(furtherAddress).optional(),
});
export type CopyInfo = z.infer<typeof copyInfo>;

/** The snapshot service owns the storage below /var/lib/vservers: trees, staging, snapshots and trash. */
export const snapshotCommands = {
  'snapshot.info': hostCommand('kind of storage, what it can, space', empty, storageInfo),
  'snapshot.usage': hostCommand(
    'bytes and files of a vserver (du, hard links once)',
    z.strictObject({ name }),
    z.object({ bytes, files: z.int(), nested: z.boolean() }),
  ),
  'snapshot.limit': hostCommand(
    'the disk space that a vserver uses and may use; with bytes the limit is set (null: none). exact: also what is not written to the disk yet. ready: only what takes a while before a first limit, for a tree that may not be here yet. used is absent where nothing counts it',
    z.strictObject({
      name,
      bytes: bytes.nullable().optional(),
      exact: z.boolean().optional(),
      ready: z.boolean().optional(),
    }),
    z.object({ used: bytes.optional(), limit: bytes.optional(), missing: z.string().optional() }),
  ),
  'snapshot.allocate': hostCommand(
    'staging of a saga; with tree: an empty tree in it. Refuses when bytes (+5 %) do not fit; empties the trash, oldest first, if that makes them fit',
    z.strictObject({ name, saga: id, bytes, tree: z.boolean() }),
    z.object({ path: z.string(), free: bytes }),
  ),
  'snapshot.discard': hostCommand('remove the staging of a saga, whatever is in it', sagaStep),
  'snapshot.promote': hostCommand(
    'make the received read-only snapshot `label` in staging the writable tree',
    z.strictObject({ name, saga: id, label }),
  ),
  'snapshot.adopt': hostCommand(
    'staging tree, or the received snapshot `label` in staging -> /var/lib/vservers/NAME; refuses when that exists',
    z.strictObject({ name, saga: id, label: label.optional() }),
  ),
  'snapshot.evict': hostCommand('undo of adopt; refuses when this host owns the vserver', sagaStep),
  'snapshot.trash': hostCommand(
    '/var/lib/vservers/NAME -> trash; refuses when this host owns it or it is mounted. why: for people, in the place of what the ownership record tells',
    z.strictObject({ name, saga: id, why: z.string().min(1).max(100).optional() }),
    z.object({ until: ts }),
  ),
  'snapshot.trashed': hostCommand(
    'what lies in the trash, the oldest first; with name and entry: this one, with its configuration',
    z.strictObject({ name: name.optional(), entry: id.optional() }),
    z.object({ entries: z.array(trashEntry.extend({ config: vserverConfig.optional() })) }),
  ),
  'snapshot.empty': hostCommand(
    'destroy entries of the trash for good; one that is not there is no error',
    z.strictObject({ entries: z.array(entryOf).min(1).max(1000) }),
    z.object({ emptied: z.int(), freed: bytes }),
  ),
  'snapshot.recall': hostCommand(
    'an entry of the trash becomes the staging tree of a saga',
    z.strictObject({ name, saga: id, of: name, entry: id }),
  ),
  'snapshot.return': hostCommand('undo of recall', z.strictObject({ name, saga: id, of: name, entry: id })),
  'snapshot.restage': hostCommand(
    'a rename: the tree of NAME becomes the staging tree of the new name TO, its snapshots go along; refuses when this host owns it or it is mounted',
    z.strictObject({ name, saga: id, to: name }),
  ),
  'snapshot.fork': hostCommand(
    'the staging tree of a saga becomes a writable snapshot of another vserver of this host, as it is now or in a kept snapshot',
    z.strictObject({ name, saga: id, of: name, kept: keptName.optional() }),
  ),
  'snapshot.create': hostCommand(
    'read-only snapshot of a vserver (or of its kept snapshot) for a saga; one that is there stays as it is',
    z.strictObject({ name, saga: id, label, kept: keptName.optional() }),
  ),
  'snapshot.renew': hostCommand(
    'as create, but one that is there is replaced',
    z.strictObject({ name, saga: id, label, kept: keptName.optional() }),
  ),
  'snapshot.list': hostCommand(
    'snapshots of a vserver; `lost`: why one can be read no more',
    z.strictObject({ name, saga: id.optional() }),
    z.object({ snapshots: z.array(z.object({ saga: id, label, ts, lost: z.string().optional() })) }),
  ),
  'snapshot.remove': hostCommand(
    'drop the snapshots of a saga, or one of them',
    z.strictObject({ name, saga: id, label: label.optional() }),
  ),
  'snapshot.describe': masterCommand(
    'the staged tree becomes a copy that is kept: disabled, and with its copy.json. The master asks this of itself alone',
    z.strictObject({ name, saga: id, copy: copyRecord }),
  ),
  'snapshot.copies': masterCommand(
    'the copies that the master keeps, or that of one vserver. The master asks this of itself alone',
    z.strictObject({ name: name.optional() }),
    z.object({ copies: z.array(copyInfo) }),
  ),
} satisfies Record<string, CommandSpec>;
