import { z } from 'zod';
import { backupId, backupMode, repositoryName } from './backup.ts';
import { type CommandSpec, masterCommand } from './command.ts';
import { pastEvent } from './host.ts';
import { keptName } from './kept.ts';
import { limitChanges } from './limits.ts';
import { bytes, empty, hostName, id, ipv4, ipv6, name, newVserver, ts } from './names.ts';
import { sagaState } from './saga.ts';
import { copyInfo, trashEntry } from './snapshot.ts';
import { templateName, templateVserver } from './template.ts';
import { transport } from './transfer.ts';
import { MOST_FURTHER, furtherAddress, runState, sshKeys, vserverState, wantedAddress } from './vserver.ts';

/** One row of `vs scan --json`. An offline host has a row of its own with vserver null; its vservers are `unknown`. */
export const scanRow = z.object({
  host: hostName,
  vserver: name.nullable(),
  state: z.union([runState, z.literal('offline')]),
  enabled: z.boolean().nullable(),
  address: z.union([ipv4, ipv6]).nullable(), // IPv6 of one that has no IPv4 address
  address6: ipv6.optional(),
  network: z.string().nullable(),
  more: z.array(furtherAddress).optional(),
  epoch: z.int().nullable(),
});
export type ScanRow = z.infer<typeof scanRow>;

/** The longest post-install script (bytes): it stands in a journal, and goes sealed to a host. */
export const MOST_SCRIPT = 65_536;
const script = z
  .string()
  .max(MOST_SCRIPT)
  .refine(
    (text) => new TextEncoder().encode(text).length <= MOST_SCRIPT,
    `a script has at most ${MOST_SCRIPT} bytes`,
  );
const started = z.object({ saga: id, state: sagaState });

/** What becomes a saga answers as soon as the saga is journaled; with wait: once it has ended (the reply carries the final state). dryRun answers the plan only. */
export const orchestratorCommands = {
  'orchestrator.scan': masterCommand(
    'every vserver of every host',
    z.strictObject({ host: hostName.optional(), name: name.optional() }),
    z.object({
      rows: z.array(scanRow),
      hosts: z.array(z.object({ host: hostName, state: z.enum(['online', 'offline']) })),
    }),
  ),
  'orchestrator.hosts': masterCommand(
    'the hosts with their info',
    empty,
    z.object({
      hosts: z.array(
        z.looseObject({
          host: hostName,
          state: z.enum(['online', 'offline']),
          vservers: z.int(),
          running: z.int(),
          // since when, by whom, and where its vservers went; nothing new is placed there
          evacuated: z
            .object({
              since: ts,
              by: z.string(),
              left: z.array(z.object({ name, to: hostName })),
            })
            .optional(),
        }),
      ),
    }),
  ),
  'orchestrator.locate': masterCommand(
    'the host of a vserver by the classic rules: where it runs, else the only one enabled, else the only one',
    z.strictObject({ name }),
    z.object({ host: hostName, state: runState, online: z.boolean() }),
  ),
  'orchestrator.move': masterCommand(
    'move a vserver to a host',
    z.strictObject({
      name,
      host: hostName,
      transport: transport.optional(),
      /** Frozen instead of stopped; its programs see a power cut. */
      crashConsistent: z.boolean().optional(),
      full: z.boolean().optional(), // rsync: every pass compares both trees
      withoutSnapshots: z.boolean().optional(), // kept snapshots stay, also where they could go along
      dryRun: z.boolean().optional(),
      wait: z.boolean().optional(),
    }),
    started,
  ),
  'orchestrator.create': masterCommand(
    'create a vserver',
    z.strictObject({
      name: newVserver,
      address: ipv4.optional(), // or address6, or both
      address6: ipv6.optional(),
      prefix: z.int().min(1).max(32).optional(),
      more: z.array(wantedAddress).max(MOST_FURTHER).optional(),
      source: z.string().min(1).max(4096).optional(), // create.conf's TEMPLATE unless given
      domain: z.string().max(253).optional(),
      nameserver: z.string().max(200).optional(),
      host: hostName.optional(),
      enable: z.boolean().optional(),
      start: z.boolean().optional(),
      limits: limitChanges.optional(), // null: none, whatever create.conf or the original has
      sshKeys: sshKeys.optional(), // create.conf's SSH_KEY unless given
      postInstall: script.optional(), // create.conf's POST_INSTALL unless given; empty: none
      keep: z.boolean().optional(), // also when that script fails
      privileged: z.boolean().optional(), // its user ids are those of the host
      dryRun: z.boolean().optional(),
      wait: z.boolean().optional(),
    }),
    started,
  ),
  'orchestrator.address': masterCommand(
    'give a vserver one more address, which nobody of the pool has, or take one away; later: interfaces that come with its next start',
    z.strictObject({ name, add: wantedAddress.optional(), remove: z.union([ipv4, ipv6]).optional() }),
    z.object({ state: vserverState, later: z.array(z.string()) }),
  ),
  'orchestrator.origins': masterCommand(
    'the vservers that came from a template, also of hosts that are offline',
    z.strictObject({ template: templateName }),
    z.object({ vservers: z.array(templateVserver) }),
  ),
  'orchestrator.remove': masterCommand(
    'remove a stopped vserver (to the trash)',
    z.strictObject({
      name,
      host: hostName.optional(),
      purge: z.boolean().optional(), // not even in the trash
      dryRun: z.boolean().optional(),
      wait: z.boolean().optional(),
    }),
    started,
  ),
  'orchestrator.copy': masterCommand(
    'a new vserver that is a copy of another, running or not; that one stays as it is',
    z.strictObject({
      name,
      to: newVserver,
      address: ipv4.optional(), // or address6, or both
      address6: ipv6.optional(),
      prefix: z.int().min(1).max(32).optional(),
      host: hostName.optional(), // by free resources unless given
      snapshot: keptName.optional(), // as it was then
      enable: z.boolean().optional(),
      start: z.boolean().optional(),
      dryRun: z.boolean().optional(),
      wait: z.boolean().optional(),
    }),
    started,
  ),
  'orchestrator.rename': masterCommand(
    'give a vserver another name; one that runs is stopped and started, if restart says so',
    z.strictObject({
      name,
      to: newVserver,
      restart: z.boolean().optional(),
      dryRun: z.boolean().optional(),
      wait: z.boolean().optional(),
    }),
    started,
  ),
  'orchestrator.rollback': masterCommand(
    'a vserver becomes again what it was in a kept snapshot, stopped and started if it runs; what is there now is kept as a snapshot. Address and limits stay as they are; settings: limits, boot plan and domain become those of then',
    z.strictObject({
      name,
      snapshot: keptName,
      host: hostName.optional(),
      settings: z.boolean().optional(),
      dryRun: z.boolean().optional(),
      wait: z.boolean().optional(),
    }),
    started,
  ),
  'orchestrator.restore': masterCommand(
    'a vserver from the trash of a host, there; `as`: under another name',
    z.strictObject({
      name,
      host: hostName.optional(),
      entry: id.optional(),
      as: newVserver.optional(),
      address: ipv4.optional(),
      address6: ipv6.optional(),
      start: z.boolean().optional(),
      dryRun: z.boolean().optional(),
      wait: z.boolean().optional(),
    }),
    started,
  ),
  'orchestrator.trash': masterCommand(
    'what lies in the trash of the hosts that can be asked, the oldest first',
    z.strictObject({ host: hostName.optional(), name: name.optional() }),
    z.object({
      entries: z.array(trashEntry.extend({ host: hostName })),
      away: z.array(hostName), // did not answer
    }),
  ),
  'orchestrator.get': masterCommand(
    'copy a vserver to the master, hot when it runs; the copy is disabled, and replaces the one before once it is whole',
    z.strictObject({
      name,
      host: hostName.optional(),
      dryRun: z.boolean().optional(),
      wait: z.boolean().optional(),
    }),
    started,
  ),
  'orchestrator.put': masterCommand(
    "make a stopped, disabled vserver from the master's copy on a host; refused while the name lives anywhere in the pool",
    z.strictObject({ name, host: hostName, dryRun: z.boolean().optional(), wait: z.boolean().optional() }),
    started,
  ),
  'orchestrator.backup': masterCommand(
    'a backup of a vserver into a repository, wherever the vserver is: hot while it runs, or cold; output `backup` of its step "seal"',
    z.strictObject({
      name,
      mode: backupMode.optional(), // hot
      repository: repositoryName.optional(), // main
      bandwidth: bytes.min(1024).optional(), // bytes a second at most; slaves.conf may say less
      dryRun: z.boolean().optional(),
      wait: z.boolean().optional(),
    }),
    started,
  ),
  'orchestrator.backup-restore': masterCommand(
    'a vserver from a backup: the newest, or the newest that was taken until a moment (at), or one by its id. In the place of the one there is only with over, after that one was put into the trash; as another with `as` and an address',
    z.strictObject({
      name,
      id: backupId.optional(),
      at: ts.optional(),
      repository: repositoryName.optional(),
      as: newVserver.optional(),
      address: ipv4.optional(),
      address6: ipv6.optional(),
      host: hostName.optional(), // where it is or was, else by free resources
      start: z.boolean().optional(), // as it was when the backup was taken, and not with `as`
      over: z.boolean().optional(),
      dryRun: z.boolean().optional(),
      wait: z.boolean().optional(),
    }),
    started,
  ),
  'orchestrator.backup-test': masterCommand(
    'restores a backup (the newest good one, or by id, or until a moment) on a host into a place without any network, starts it, runs its checks, and removes it whatever it finds; the proof stands in its record. Ends undone when it is not proved',
    z.strictObject({
      name,
      id: backupId.optional(),
      at: ts.optional(),
      repository: repositoryName.optional(),
      host: hostName.optional(), // one with room, unless given
      patience: z.int().min(1000).max(3_600_000).optional(), // ms that it may take to be up and well: 180 000
      dryRun: z.boolean().optional(),
      wait: z.boolean().optional(),
    }),
    started,
  ),
  'orchestrator.recover': masterCommand(
    "bring back a vserver whose host is dead, from the newest copy (or that of the master, or in the trash of a host). A person confirms by the vserver's name that the host is dead",
    z
      .strictObject({
        name,
        host: hostName,
        from: name.optional(), // `master` or a host
        start: z.boolean().optional(),
        confirm: z.string().max(64).optional(),
        dryRun: z.boolean().optional(),
        wait: z.boolean().optional(),
      })
      .refine((args) => args.dryRun === true || args.confirm === args.name, {
        path: ['confirm'],
        message: 'it must be the name of the vserver: a person confirms that its host is dead',
      }),
    // a move past its point of no return is undone, for its target is dead: its end `undone` is what was asked for
    started.extend({ undoes: z.boolean().optional() }),
  ),
  'orchestrator.copies': masterCommand(
    'the copies of vservers that the master keeps',
    empty,
    z.object({ copies: z.array(copyInfo) }),
  ),
  'orchestrator.forget': masterCommand(
    "put the master's copy of a vserver into the trash of the copies",
    z.strictObject({ name, dryRun: z.boolean().optional(), wait: z.boolean().optional() }),
    started,
  ),
  'orchestrator.evacuate': masterCommand(
    'move every vserver of a host to others, by their free memory and disk; nothing new is placed there then',
    z.strictObject({
      host: hostName,
      to: z.array(hostName).min(1).max(200).optional(), // any that slaves.conf does not leave out, unless given
      parallel: z.int().min(1).max(16).optional(), // 2
      dryRun: z.boolean().optional(),
      wait: z.boolean().optional(),
    }),
    started,
  ),
  'orchestrator.restore-host': masterCommand(
    'bring back what was evacuated from a host, and place new things there again',
    z.strictObject({
      host: hostName,
      parallel: z.int().min(1).max(16).optional(),
      dryRun: z.boolean().optional(),
      wait: z.boolean().optional(),
    }),
    started,
  ),
  'orchestrator.update-hosts': masterCommand(
    "bring hosts to the version of the master, one after the other; the first that fails goes back to its version, and the others stay as they are. Needs the package of that version in the master's PACKAGE_DIR",
    z.strictObject({
      hosts: z.array(hostName).min(1).max(1000).optional(), // all of the pool unless given
      oneWay: z.boolean().optional(), // also hosts that could not go back
      dryRun: z.boolean().optional(),
      wait: z.boolean().optional(),
    }),
    started,
  ),
  'orchestrator.events': masterCommand(
    'what happened in the pool, the oldest first',
    z.strictObject({ limit: z.int().min(1).max(1000).optional() }),
    z.object({ events: z.array(pastEvent) }),
  ),
  'orchestrator.sagas': masterCommand(
    'the sagas, newest first: of one vserver, or only those that have not ended; as many as fit into a reply',
    z.strictObject({
      limit: z.int().min(1).max(1000).optional(),
      vserver: name.optional(),
      running: z.boolean().optional(),
    }),
    z.object({
      sagas: z.array(sagaState),
      // journals that cannot be read; as long as it is not known what one of them holds, nothing begins
      damaged: z.array(z.object({ id: z.string(), message: z.string(), known: z.boolean() })).optional(),
    }),
  ),
  'orchestrator.saga': masterCommand(
    'one saga',
    z.strictObject({ id }),
    z.object({ saga: sagaState, journal: z.array(z.record(z.string(), z.unknown())) }),
  ),
  'orchestrator.abort': masterCommand(
    'undo a saga before its point of no return',
    z.strictObject({ id }),
    sagaState,
  ),
  'orchestrator.resume': masterCommand('try a stuck saga again', z.strictObject({ id }), sagaState),
} satisfies Record<string, CommandSpec>;
