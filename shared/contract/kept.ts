import { z } from 'zod';
import { type CommandSpec, hostCommand } from './command.ts';
import { bytes, id, label, name, ts } from './names.ts';

/** The name of a snapshot that a person keeps. */
export const keptName = z
  .string()
  .max(40, 'the name of a snapshot has at most 40 characters')
  .regex(
    /^(?!.*\.\.)[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/,
    'the name of a snapshot is letters, digits and inner . _ -, such as before-upgrade',
  );

/** How often a snapshot is made by itself (minutes), and how many of those stay. Stands in vserver.json, so that it travels. */
export const snapshotPlan = z.looseObject({
  every: z.int().min(5).max(43_200),
  keep: z.int().min(1).max(1000),
});
export type SnapshotPlan = z.infer<typeof snapshotPlan>;

/** Who wanted it: a person, the schedule, or a rollback for what was there before. */
export const keptKind = z.enum(['manual', 'automatic', 'rollback']);

const note = z
  .string()
  .max(200)
  .refine((text) => !/\p{Cc}/u.test(text), 'one line of text');

/** `record.json` beside the tree of a kept snapshot. Tolerant of new keys. */
export const keptRecord = z.looseObject({
  version: z.literal(1),
  snapshot: keptName,
  vserver: name, // what it was called then
  uuid: z.uuid(),
  taken: ts,
  by: z.string().max(64),
  kind: keptKind,
  note: note.optional(),
  protected: z.boolean().default(false),
  frozenMs: z.number().min(0).optional(), // absent: it did not run then
  saga: id.optional(), // that made it
});
export type KeptRecord = z.infer<typeof keptRecord>;

/** A kept snapshot as a host lists it. `mounted`: where its files can be seen on the host. */
export const keptInfo = keptRecord.omit({ version: true, saga: true }).extend({
  mounted: z.array(z.string()).optional(),
});
export type KeptInfo = z.infer<typeof keptInfo>;

/** A directory of a host, as a person tells it. */
const directory = z
  .string()
  .max(1024)
  .startsWith('/', 'an absolute path')
  .refine((text) => !/\p{Cc}/u.test(text), 'a path on one line')
  .refine((path) => !path.split('/').includes('..'), 'a path without ..');

/** What is snapshotted while a vserver stands still: one to keep, or one of a saga. */
export const cutTo = z.union([
  z.strictObject({ snapshot: keptName }),
  z.strictObject({ saga: id, label: label }),
]);

/** One path that differs. `path`: as in the vserver, or a file beside its root; what is no UTF-8 has \xNN in it, and its bytes in `raw`. */
export const difference = z.object({
  what: z.enum(['added', 'changed', 'removed']),
  path: z.string(),
  raw: z.base64().optional(),
});
export type Difference = z.infer<typeof difference>;

const one = z.strictObject({ name, snapshot: keptName });

/** Snapshots that people keep. They lie apart from those of sagas, and are the vserver's whatever it is called (by its uuid). */
export const keptCommands = {
  'snapshot.take': hostCommand(
    'snapshot of a vserver as it is now, frozen for the moment if it runs, with its own scripts around it (/etc/vs-tools/snapshot-pre, snapshot-post): one to keep (by time, unless it is named), or with `of` the snapshot `label` of a saga, which then must hold the vserver or nobody',
    z.strictObject({
      name,
      snapshot: keptName.optional(),
      note: note.optional(),
      of: z.strictObject({ saga: id, label }).optional(),
    }),
    z.object({ snapshot: keptInfo.optional(), frozenMs: z.number().optional() }),
  ),
  'snapshot.cut': hostCommand(
    'the moment of a snapshot.take: host-agent asks it of this host while the vserver stands still',
    z.strictObject({ name, to: cutTo }),
  ),
  'snapshot.kept': hostCommand(
    'the kept snapshots of a vserver, the oldest first',
    z.strictObject({ name }),
    z.object({ snapshots: z.array(keptInfo.extend({ name })) }),
  ),
  'snapshot.along': hostCommand(
    'the bytes that a vserver and its kept snapshots take together where they go in a move that takes them along',
    z.strictObject({ name }),
    z.object({ bytes }),
  ),
  'snapshot.arrive': hostCommand(
    'what has come into the staging of a saga as snapshots `label` becomes kept snapshots of its vserver. The same one of an earlier time goes for it; another one of that name is renamed',
    z.strictObject({
      name,
      saga: id,
      snapshots: z
        .array(z.strictObject({ label, record: keptRecord.omit({ version: true, saga: true }) }))
        .max(1000),
    }),
    z.object({ arrived: z.int() }),
  ),
  'snapshot.drop': hostCommand(
    'remove kept snapshots for good: all of them, or none when one is protected or mounted; one that is not there is no error for a saga',
    z.strictObject({ name, snapshots: z.array(keptName).min(1).max(1000), saga: id.optional() }),
    z.object({ dropped: z.int(), freed: bytes }),
  ),
  'snapshot.protect': hostCommand(
    'a protected snapshot is not removed, by nobody, until that is taken back',
    one.extend({ protected: z.boolean() }),
    keptInfo,
  ),
  'snapshot.compare': hostCommand(
    'what differs between a kept snapshot and another one, or the vserver as it is now',
    one.extend({ other: keptName.optional(), limit: z.int().min(1).max(5000).optional() }),
    z.object({
      added: z.int(),
      changed: z.int(),
      removed: z.int(),
      differences: z.array(difference),
      more: z.boolean(), // not all of them are listed
    }),
  ),
  'snapshot.mount': hostCommand(
    'show the files of a kept snapshot at an empty directory of the host below /mnt, /media or /srv, read-only; ids are as on its disk',
    one.extend({ directory }),
    keptInfo,
  ),
  'snapshot.umount': hostCommand(
    'end that, everywhere it is shown',
    one,
    z.object({ unmounted: z.array(z.string()) }),
  ),
  'snapshot.return-to': hostCommand(
    'a rollback: the staging tree of a saga becomes a writable one of a kept snapshot; answers its configuration of then',
    one.extend({ saga: id }),
    z.object({ config: z.looseObject({}) }),
  ),
  'snapshot.safety': hostCommand(
    'a rollback: keeps what is there now, which does not run; one that this saga made stays as it is',
    one.extend({ saga: id, note, by: z.string().max(64) }),
  ),
  'snapshot.exchange': hostCommand(
    'a rollback: the staging tree of a saga takes the place of the tree, which waits in staging; back: the other way round. Refuses while it is mounted',
    z.strictObject({ name, saga: id, back: z.boolean() }),
  ),
  'snapshot.rekey': hostCommand(
    'the kept snapshots of a uuid are those of another one from now on, unless a tree of the first is still here',
    z.strictObject({ name, from: z.uuid(), to: z.uuid() }),
  ),
  'host-agent.quiesce': hostCommand(
    'stand still for one snapshot.cut: scripts of the vserver around it, frozen while it is made, thawed whatever happens. Whoever makes snapshots asks snapshot.take',
    z.strictObject({ name, to: cutTo }),
    z.object({ frozenMs: z.number().optional() }),
  ),
  'host-agent.snapshot-plan': hostCommand(
    'how often snapshots of a vserver are made by themselves, and how many of those stay (null: none are made)',
    z.strictObject({ name, plan: snapshotPlan.nullable() }),
  ),
} satisfies Record<string, CommandSpec>;
