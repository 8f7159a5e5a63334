import { z } from 'zod';
import { type CommandSpec, hostCommand } from './command.ts';
import { bytes, empty, id, label, name, ts } from './names.ts';

/** What a storage driver can do; choices are made by these flags, never by its name. */
export const storageInfo = z.object({
  storage: z.enum(['btrfs', 'dir']),
  capabilities: z.object({ snapshot: z.boolean(), send: z.boolean() }),
  total: bytes,
  free: bytes,
  trash: bytes.optional(),
});
export type StorageInfo = z.infer<typeof storageInfo>;

const sagaStep = z.strictObject({ name, saga: id });

/** The snapshot service owns the storage below /var/lib/vservers: trees, staging, snapshots and trash. */
export const snapshotCommands = {
  'snapshot.info': hostCommand('kind of storage, what it can, space', empty, storageInfo),
  'snapshot.usage': hostCommand(
    'bytes and files of a vserver (du, hard links once)',
    z.strictObject({ name }),
    z.object({ bytes, files: z.int(), nested: z.boolean() }),
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
    '/var/lib/vservers/NAME -> trash; refuses when this host owns it or it is mounted',
    sagaStep,
    z.object({ until: ts }),
  ),
  'snapshot.create': hostCommand(
    'read-only snapshot of a vserver for a saga; one that is there stays as it is',
    z.strictObject({ name, saga: id, label }),
  ),
  'snapshot.renew': hostCommand(
    'as create, but one that is there is replaced by one of now',
    z.strictObject({ name, saga: id, label }),
  ),
  'snapshot.list': hostCommand(
    'snapshots of a vserver',
    z.strictObject({ name, saga: id.optional() }),
    z.object({ snapshots: z.array(z.object({ saga: id, label, ts })) }),
  ),
  'snapshot.remove': hostCommand(
    'drop the snapshots of a saga, or one of them',
    z.strictObject({ name, saga: id, label: label.optional() }),
  ),
} satisfies Record<string, CommandSpec>;
