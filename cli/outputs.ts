import { z } from 'zod';
import { auditEntry } from '../shared/contract/audit.ts';
import { certificateInfo } from '../shared/contract/authority.ts';
import { backupRun, keptArchive } from '../shared/contract/backup-scheduler.ts';
import { backupRecord } from '../shared/contract/backup.ts';
import { masterArchive } from '../shared/contract/master-archive.ts';
import { type CommandName, commands } from '../shared/contract/commands.ts';
import { finding } from '../shared/contract/doctor.ts';
import { firewallPacket } from '../shared/contract/firewall.ts';
import { newestFigures } from '../shared/contract/history.ts';
import { pastEvent } from '../shared/contract/host.ts';
import { keptInfo, snapshotPlan } from '../shared/contract/kept.ts';
import { hostName, ipv4, ipv6, mac, name, ts } from '../shared/contract/names.ts';
import { poolNetwork } from '../shared/contract/networks.ts';
import { scanRow } from '../shared/contract/orchestrator.ts';
import { repositoryInfo } from '../shared/contract/repository.ts';
import { sagaState } from '../shared/contract/saga.ts';
import { copyInfo, trashEntry } from '../shared/contract/snapshot.ts';
import { template } from '../shared/contract/template.ts';
import { vserverState } from '../shared/contract/vserver.ts';

/** What `--json` of a verb prints on its standard output. */
export interface Output {
  schema: z.ZodType;
  /** One object a line, not one text. */
  lines?: true;
  /** For people, where the verb says more than one thing. */
  note?: string;
}

const data = <K extends CommandName>(command: K): (typeof commands)[K]['data'] => commands[command].data;
const saga: Output = {
  schema: sagaState,
  note: 'its last state; with --dry-run its plan, with --no-follow its first state',
};
const keptRow = data('snapshot.kept').shape.snapshots.element.extend({ host: hostName });
const snapshotOutputs: Record<string, Output> = {
  'snapshot create': { schema: keptInfo },
  'snapshot list': { schema: z.array(keptRow) },
  'snapshot show': { schema: keptRow },
  'snapshot remove': { schema: data('snapshot.drop') },
  'snapshot protect': { schema: keptInfo },
  'snapshot unprotect': { schema: keptInfo },
  'snapshot diff': { schema: data('snapshot.compare') },
  'snapshot mount': { schema: keptInfo },
  'snapshot umount': { schema: data('snapshot.umount') },
  'snapshot schedule': { schema: snapshotPlan.nullable() },
};
const restoredPath = z.object({ backup: z.string(), path: z.string(), to: z.string() });
const life: Output = {
  schema: z.array(vserverState),
  note: 'those that could be changed; failures are on stderr',
};

/** By verb. */
export const outputs: Record<string, Output> = {
  version: { schema: z.object({ version: z.string(), node: z.string() }) },
  'master backup': {
    schema: z.object({ file: z.string(), files: z.int(), bytes: z.int(), removed: z.array(z.string()) }),
  },
  'master restore': {
    schema: z.object({
      taken: ts,
      host: z.string(),
      files: z.int(),
      aside: z.string().optional(),
      unfinished: z.array(z.string()),
      done: z.array(z.string()),
    }),
    note: 'aside: where what the machine had before is; unfinished: sagas that are not resumed',
  },
  'master update-hosts': saga,
  scan: { schema: z.array(scanRow), note: 'with --watch one such list a line' },
  show: { schema: data('host-agent.show') },
  stats: {
    schema: z.union([z.array(newestFigures), z.array(data('history.query'))]),
    note: 'the newest figures; with --since those over time',
  },
  top: { schema: z.array(newestFigures) },
  limit: { schema: data('host-agent.limit') },
  boot: {
    schema: z.array(
      z.object({
        host: hostName,
        name,
        enabled: z.boolean(),
        order: z.int().optional(),
        delay: z.number().optional(),
        stopTimeout: z.number().optional(),
      }),
    ),
  },
  ...Object.fromEntries(
    ['list', 'add', 'remove'].map((verb) => [
      `address ${verb}`,
      {
        schema: z.array(
          z.object({ device: z.string(), address: z.string(), prefix: z.int(), network: name, mac }),
        ),
      },
    ]),
  ),
  ...Object.fromEntries(
    ['start', 'stop', 'restart', 'kill', 'pause', 'resume', 'enable', 'disable'].map((verb) => [verb, life]),
  ),
  ...Object.fromEntries(
    ['create', 'copy', 'move', 'rename', 'remove', 'get', 'put', 'recover', 'evacuate', 'restore-host'].map(
      (verb) => [verb, saga],
    ),
  ),
  'trash restore': saga,
  ...snapshotOutputs,
  'snapshot rollback': saga,
  'snapshot clone': saga,
  'copies remove': saga,
  'saga list': { schema: z.array(sagaState) },
  'saga show': { schema: data('orchestrator.saga') },
  'saga follow': { schema: sagaState },
  'saga abort': { schema: sagaState },
  'saga resume': { schema: sagaState },
  'trash list': { schema: z.array(trashEntry.extend({ host: hostName })) },
  'trash empty': { schema: z.object({ emptied: z.int(), freed: z.number() }) },
  'backup run': {
    schema: z.union([sagaState, z.array(backupRun), masterArchive]),
    note: 'the last state of each; with --dry-run its plan, with --no-follow its first state. Without names how each ended; of @master its archive',
  },
  'backup status': { schema: data('backup-scheduler.status'), note: 'with --watch one such object a line' },
  'backup schedule': { schema: data('backup-scheduler.schedule') },
  'backup prune': {
    schema: z.union([data('backup-scheduler.prune'), data('backup-scheduler.master-prune')]),
    note: 'the second of @master',
  },
  'backup list': {
    schema: z.union([z.array(backupRecord), z.array(keptArchive)]),
    note: 'records that cannot be read are on stderr; the second of @master',
  },
  'backup show': { schema: backupRecord },
  'backup verify': { schema: backupRecord },
  'backup repositories': { schema: z.array(repositoryInfo) },
  'backup remove': { schema: data('repository.remove') },
  'backup protect': { schema: backupRecord },
  'backup unprotect': { schema: backupRecord },
  'backup test': saga,
  'backup mount': {
    schema: data('repository.mounts').shape.mounts,
    note: 'those that are there, or the new one',
  },
  'backup umount': { schema: data('repository.umount') },
  'backup restore': {
    schema: z.union([
      sagaState,
      restoredPath,
      z.array(restoredPath),
      z.object({
        backup: z.string(),
        paths: z.array(z.string()),
        into: name,
        host: hostName,
        kept: z.array(z.string()),
        snapshot: z.string().optional(),
      }),
    ]),
    note: 'its last state; with --path and --to what was copied, several as a list; with --into where what was there before is',
  },
  'copies list': { schema: z.array(copyInfo) },
  'template list': { schema: z.array(template) },
  'template show': { schema: template.extend(data('orchestrator.origins').shape) },
  'template build': { schema: template },
  'template update': { schema: z.array(template) },
  'template import': { schema: template },
  'template remove': { schema: z.object({ removed: z.string() }) },
  'net list': { schema: data('networks.list') },
  'net show': { schema: poolNetwork },
  'net check': {
    schema: z.union([
      z.object({
        address: z.union([ipv4, ipv6]),
        network: name,
        asked: hostName,
        taken: z.boolean(),
        answers: mac.nullable(), // of an IPv6 address also where it is taken, when it could not be learnt
        vserver: name.nullable(),
      }),
      data('networks.check').shape.hosts,
    ]),
    note: 'of an address who answers; of a network what was found on each host',
  },
  'net map': { schema: data('networks.list') },
  'net add': { schema: data('networks.add') },
  'net remove': { schema: data('networks.remove') },
  'net apply': { schema: data('networks.apply') },
  'net up': { schema: z.object({ network: name, host: hostName, up: z.literal(true), bridge: z.string() }) },
  'net down': {
    schema: z.object({ network: name, host: hostName, up: z.literal(false), changed: z.boolean() }),
  },
  'host list': { schema: data('orchestrator.hosts').shape.hosts },
  'host token': { schema: data('authority.token') },
  'host renew': { schema: certificateInfo },
  'host remove': { schema: data('authority.remove') },
  'user list': {
    schema: z.array(
      z.object({
        name: z.string(),
        role: z.enum(['master', 'agent', 'operator', 'viewer', 'custom']),
        read: z.array(z.string()).optional(),
        write: z.array(z.string()).optional(),
      }),
    ),
  },
  'fw show': { schema: data('firewall.show') },
  'fw up': { schema: data('firewall.up') },
  'fw down': { schema: data('firewall.down') },
  'fw reload': { schema: data('firewall.reload') },
  'fw edit': {
    schema: data('firewall.save').partial().extend({ name, changed: z.boolean() }),
  },
  'fw check': { schema: data('firewall.check') },
  'fw test': { schema: data('firewall.test').extend({ packet: firewallPacket }) },
  'fw log': { schema: data('firewall.log') },
  'monitor show': { schema: data('monitor.show') },
  'monitor check': { schema: data('monitor.check') },
  'monitor start': { schema: data('monitor.start') },
  'monitor stop': { schema: data('monitor.stop') },
  'monitor pause': { schema: data('monitor.pause') },
  'monitor resume': { schema: data('monitor.pause') },
  'monitor edit': {
    schema: data('monitor.save').partial().extend({ name, changed: z.boolean() }),
  },
  pkg: {
    schema: z.array(
      z.object({
        vserver: name,
        host: hostName.optional(),
        ok: z.boolean(),
        error: z.string().optional(),
        data: data('packages.run').optional(),
      }),
    ),
  },
  doctor: { schema: z.array(z.object({ target: z.string(), findings: z.array(finding) })) },
  logs: { lines: true, schema: z.object({ vserver: name, line: z.string() }) },
  alerts: {
    schema: z.union([data('alerter.list'), data('alerter.history')]),
    note: 'with --history those that ended; with --watch one object a line: at, change, target, subject, check, alert',
  },
  'alert ack': { schema: data('alerter.ack') },
  'alert silence': { schema: data('alerter.silence') },
  'alert unsilence': { schema: data('alerter.unsilence') },
  'alert test': { schema: data('alerter.test') },
  events: { lines: true, schema: pastEvent },
  audit: { lines: true, schema: auditEntry },
  listen: {
    lines: true,
    schema: z.object({
      at: z.int(),
      topic: z.string(),
      retained: z.boolean(),
      schema: z.string().nullable(),
      faults: z.array(z.string()),
      empty: z.string().optional(),
      payload: z.unknown(),
    }),
  },
  topics: {
    schema: z.array(
      z.looseObject({
        key: z.string(),
        topic: z.string(),
        qos: z.int(),
        retained: z.boolean(),
        publishers: z.array(z.string()),
        payload: z.string().nullable(),
      }),
    ),
  },
  'call --list': {
    schema: z.array(
      z.object({
        command: z.string(),
        scope: z.enum(['host', 'master']),
        summary: z.string(),
        args: z.record(z.string(), z.unknown()),
        data: z.record(z.string(), z.unknown()),
      }),
    ),
    note: 'args and data are JSON Schemas (draft 2020-12)',
  },
};
