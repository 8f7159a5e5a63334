import { z } from 'zod';
import { type CommandSpec, hostCommand } from './command.ts';
import { bytes, id, label, name, ts } from './names.ts';

export const transport = z.enum(['rsyncd', 'btrfs-send']);
export type Transport = z.infer<typeof transport>;

/** The progress of a copy, about once a second. rate in bytes/s, eta in ms. */
export const copyProgress = z.object({
  bytes,
  total: bytes.optional(),
  files: z.int().optional(),
  percent: z.number().optional(),
  rate: z.number(),
  eta: z.number().optional(),
});
export type CopyProgress = z.infer<typeof copyProgress>;

export const transferCommands = {
  'transfer.open': hostCommand(
    'target: open an endpoint for one pass into the staging of a saga, for one source address, with one secret; closes after use, after ttl (ms), at the restart',
    z.strictObject({
      name,
      saga: id,
      transport,
      from: z.union([z.ipv4(), z.ipv6()]),
      ttl: z.int().min(1000).max(86_400_000),
    }),
    z.object({ address: z.string(), port: z.int(), secret: z.string(), received: z.array(label) }),
  ),
  'transfer.send': hostCommand(
    'source: copy to an endpoint. btrfs-send: snapshot `label`, incremental to `parent`. rsyncd: the live tree, strict (final) or tolerant of vanished files; progress is copyProgress',
    z.strictObject({
      name,
      saga: id,
      transport,
      address: z.string(),
      port: z.int(),
      secret: z.string(), // sealed for the source
      label: label.optional(),
      parent: label.optional(),
      final: z.boolean(),
      /** rsyncd: only the files that `transfer.suspects` found, and whatever their times say. */
      suspects: z.boolean().optional(),
      total: bytes.optional(),
      bwlimit: bytes.optional(), // a second
      compress: z.boolean().optional(), // rsyncd only
    }),
    z.object({
      bytes,
      files: z.int().optional(),
      treeBytes: bytes.optional(),
      treeFiles: z.int().optional(),
      ms: z.int(),
      began: ts, // by the clock of the source
    }),
  ),
  'transfer.suspects': hostCommand(
    'source: how many files changed since a time without a newer mtime: rsync would take them for unchanged when their size is the same',
    z.strictObject({ name, saga: id, since: ts }),
    z.object({ files: z.int() }),
  ),
  'transfer.verify': hostCommand(
    'target: the staging tree is complete (rsyncd: counts and sizes agree with the last pass; btrfs-send: `label` was received whole)',
    z.strictObject({
      name,
      saga: id,
      transport,
      label: label.optional(),
      treeBytes: bytes.optional(),
      treeFiles: z.int().optional(),
    }),
    z.object({ bytes, files: z.int().optional() }),
  ),
  'transfer.flush': hostCommand(
    'target: write out what was received, so that the start need not wait',
    z.strictObject({ name, saga: id }),
  ),
  'transfer.close': hostCommand(
    'close every endpoint of a saga and end its copies',
    z.strictObject({ name, saga: id }),
  ),
} satisfies Record<string, CommandSpec>;
