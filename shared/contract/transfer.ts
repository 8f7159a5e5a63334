import { z } from 'zod';
import { backupId, repositoryName } from './backup.ts';
import { type CommandSpec, hostCommand } from './command.ts';
import { keptName } from './kept.ts';
import { bytes, id, label, name, ts } from './names.ts';
import { packageInfo } from './update.ts';

/** How a vserver travels, as people name it. rsync and btrfs-send go through what the two hosts want (slaves.conf), TLS unless told. */
export const transport = z.enum(['rsync', 'rsyncd-tls', 'rsyncd', 'ssh', 'btrfs-send']);
export type Transport = z.infer<typeof transport>;

/** What copies. */
export const copyWay = z.enum(['rsync', 'btrfs-send']);
export type CopyWay = z.infer<typeof copyWay>;

/** What a copy goes through: TLS with the pool's certificates, nothing, or ssh. */
export const channel = z.enum(['tls', 'plain', 'ssh']);
export type Channel = z.infer<typeof channel>;

/**
 * What one pass of rsync takes along: `full` compares both trees; `stream` is a first pass, by tar, into an empty tree; `list` is
 * what changed since the pass before, and becomes full when that is not known for sure.
 */
export const passKind = z.enum(['full', 'stream', 'list']);
export type PassKind = z.infer<typeof passKind>;

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
  'transfer.check': hostCommand(
    'can this host copy through a channel: tls needs a certificate of this host, ssh (on the source) the program. Refused with a sentence that says what to do',
    z.strictObject({ channel, role: z.enum(['source', 'target']) }),
  ),
  'transfer.open': hostCommand(
    'target: open an endpoint for one pass into the staging of a saga, for one source (its address and, with TLS, its certificate), with one secret; closes after use, after ttl (ms), at the restart',
    z.strictObject({
      name,
      saga: id,
      copy: copyWay,
      channel,
      fromHost: name, // or `master`
      from: z.union([z.ipv4(), z.ipv6()]),
      kind: passKind.optional(), // rsync; full unless told, list also where a full pass has a `since`
      /** The vserver runs meanwhile: what receives gives way to others. */
      live: z.boolean().optional(),
      /** Into the open backup of this saga in a repository, instead of its staging. */
      repository: repositoryName.optional(),
      ttl: z.int().min(1000).max(86_400_000),
    }),
    z.object({ address: z.string(), port: z.int(), secret: z.string(), received: z.array(label) }),
  ),
  'transfer.send': hostCommand(
    'source: copy to an endpoint of a host. btrfs-send: snapshot `label`, incremental to `parent`. rsync: the live tree, or snapshot `label`, or one in the trash, as `kind` says, strict (final) or tolerant of vanished files; progress is copyProgress. `full` in the answer: why a list would not do',
    z.strictObject({
      name,
      saga: id,
      copy: copyWay,
      channel,
      toHost: name, // or `master`
      address: z.union([z.ipv4(), z.ipv6()]),
      port: z.int().min(1).max(65_535),
      secret: z.string(), // sealed for the source
      label: label.optional(),
      /** btrfs-send: make the snapshot first, in the place of one that is there. */
      renew: z.boolean().optional(),
      kept: keptName.optional(), // of this snapshot, and not of now
      parent: label.optional(),
      backup: z.strictObject({ repository: repositoryName, id: backupId }).optional(), // rsync: the tree of a backup
      /** rsync: into a repository. The backup that its tree begins from: a list is of what changed since that one, which was `taken` then. */
      into: z
        .strictObject({ repository: repositoryName, basis: backupId.optional(), taken: ts.optional() })
        .optional(),
      trash: id.optional(), // rsync: the tree that this saga has put into the trash
      final: z.boolean(),
      kind: passKind.optional(), // rsync; full unless told
      /** rsync: when the pass before began; a full pass sends what changed since whatever its size and times say. */
      since: ts.optional(),
      total: bytes.optional(),
      bwlimit: bytes.optional(), // a second
      compress: z.boolean().optional(),
    }),
    z.object({
      bytes,
      files: z.int().optional(),
      treeBytes: bytes.optional(),
      treeFiles: z.int().optional(),
      ms: z.int(),
      began: ts, // by the clock of the source
      full: z.string().optional(),
    }),
  ),
  'transfer.remember': hostCommand(
    'source: what the last pass of a saga has brought is in this backup now; the next one of that repository sends what changed since',
    z.strictObject({ name, saga: id, repository: repositoryName, id: backupId }),
  ),
  'transfer.connect': hostCommand(
    'source: connect to an endpoint now and keep the connection for the next transfer.send to its port; it goes with transfer.close. What is lost until then is made anew by another transfer.open',
    z.strictObject({
      name,
      saga: id,
      copy: copyWay,
      channel,
      toHost: name,
      address: z.union([z.ipv4(), z.ipv6()]),
      port: z.int().min(1).max(65_535),
      secret: z.string(), // sealed for the source
      label: label.optional(),
    }),
  ),
  'transfer.open-package': hostCommand(
    'target: open an endpoint for one package of vs-tools, which only the master can send (by its address, its certificate and one secret); it is kept when its checksum is right',
    z.strictObject({ saga: id, package: packageInfo, from: z.union([z.ipv4(), z.ipv6()]) }),
    z.object({ address: z.string(), port: z.int(), secret: z.string() }),
  ),
  'transfer.send-package': hostCommand(
    'the master: send a package of vs-tools to that endpoint, over TLS',
    z.strictObject({
      saga: id,
      package: packageInfo,
      toHost: name,
      address: z.union([z.ipv4(), z.ipv6()]),
      port: z.int().min(1).max(65_535),
      secret: z.string(), // sealed for the master
    }),
    z.object({ bytes, ms: z.int() }),
  ),
  'transfer.verify': hostCommand(
    'target: the staging tree is complete (rsync: counts and sizes agree with the last pass; btrfs-send: `label` was received whole)',
    z.strictObject({
      name,
      saga: id,
      copy: copyWay,
      label: label.optional(),
      treeBytes: bytes.optional(),
      treeFiles: z.int().optional(),
      repository: repositoryName.optional(),
    }),
    z.object({ bytes, files: z.int().optional() }),
  ),
  'transfer.flush': hostCommand(
    'target: write out what was received, so that the start need not wait, and count it, so that the last check need not',
    z.strictObject({ name, saga: id, repository: repositoryName.optional() }),
  ),
  'transfer.close': hostCommand(
    'close every endpoint of a saga and end its copies; tells why this host could not keep what came, if that was so. again: another try follows, so what is known of the tree is kept',
    z.strictObject({ name, saga: id, again: z.boolean().optional() }),
    z.object({ full: z.string().optional() }),
  ),
} satisfies Record<string, CommandSpec>;
