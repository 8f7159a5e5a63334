import type { z } from 'zod';
import { auditEntry } from './audit.ts';
import { certificateInfo } from './authority.ts';
import { backupState, keptBackup } from './backup-scheduler.ts';
import { command, errorCode, reply, replyError } from './command.ts';
import { alert, event, hostInfo, metrics, status } from './host.ts';
import { limitChanges, limitReport, limitRow, limits } from './limits.ts';
import { bytes, empty, epoch, hostName, id, ipv4, ipv6, label, mac, name, staged, ts } from './names.ts';
import { attachment, network } from './network.ts';
import { hostNetworks, networkChange, poolNetwork, poolNetworks } from './networks.ts';
import { sagaProgress, sagaResult, sagaState, sagaStepState } from './saga.ts';
import { scanRow } from './orchestrator.ts';
import { copyInfo, copyKind, copyRecord, storageInfo } from './snapshot.ts';
import { template, templateName } from './template.ts';
import { copyProgress, transport } from './transfer.ts';
import {
  bootPlan,
  installSource,
  ownership,
  removedVserver,
  runState,
  vserverConfig,
  vserverState,
} from './vserver.ts';

interface Named {
  schema: z.ZodType;
  description: string;
}

/** The schemas that have a name of their own in what is published; all others stand where they are used. */
export const named: Record<string, Named> = {
  Name: {
    schema: name,
    description: 'a vserver, network or template: lower-case letters, digits and inner dashes',
  },
  HostName: { schema: hostName, description: 'a host; as Name, but not "master"' },
  Id: { schema: id, description: 'a saga, client or command: one level of a topic' },
  Ipv4: { schema: ipv4, description: 'an IPv4 address' },
  Ipv6: { schema: ipv6, description: 'an IPv6 address' },
  Mac: { schema: mac, description: 'a unicast MAC address in lower case, such as 02:1a:2b:3c:4d:5e' },
  Bytes: { schema: bytes, description: 'a size in bytes' },
  Time: { schema: ts, description: 'a moment in milliseconds since 1970 (UTC)' },
  Epoch: { schema: epoch, description: 'the number of an owner in the row of owners of a vserver' },
  Label: { schema: label, description: 'the name of one snapshot of a saga' },
  Staged: { schema: staged, description: 'a copy that a saga has staged: a received snapshot, or the tree' },
  Empty: { schema: empty, description: 'nothing' },
  Command: { schema: command, description: 'the payload of a command topic' },
  Reply: { schema: reply, description: 'the payload of a reply topic' },
  ReplyFailure: { schema: reply.options[1], description: 'the last reply, when the command failed' },
  ReplyProgress: { schema: reply.options[2], description: 'a reply before the last one' },
  ReplyError: {
    schema: replyError,
    description: 'why a command failed; "retryable": the same may succeed later',
  },
  ErrorCode: { schema: errorCode, description: 'what kind of failure it is' },
  Status: {
    schema: status,
    description: 'whether a host or the master is on the bus; "session" is one life of it',
  },
  HostInfo: {
    schema: hostInfo,
    description: 'what a host is and has; "address": where other hosts reach it',
  },
  StorageInfo: { schema: storageInfo, description: 'the storage below /var/lib/vservers' },
  Metrics: {
    schema: metrics,
    description:
      'one flat object of numbers and short words; "_total" and "io_", "net_" bytes count up from the start',
  },
  Event: { schema: event, description: 'what happened; "message" is for people' },
  Alert: { schema: alert, description: 'what is wrong' },
  RunState: { schema: runState, description: 'whether a vserver runs' },
  Limits: {
    schema: limits,
    description: 'limits of a vserver; an absent one is none; bytes, bytes a second, cpu in cores',
  },
  LimitChanges: { schema: limitChanges, description: 'new limits of a vserver; null takes one away' },
  LimitRow: { schema: limitRow, description: 'use, limit and hits of one resource of a vserver' },
  LimitReport: { schema: limitReport, description: 'the resources of a vserver' },
  BootPlan: {
    schema: bootPlan,
    description: 'when a vserver starts and stops with the others of its host; delay and stopTimeout in s',
  },
  RemovedVserver: {
    schema: removedVserver,
    description: 'a vserver that was removed: its last owner, and its epoch',
  },
  VserverState: { schema: vserverState, description: 'one vserver as a host sees it' },
  VserverConfig: { schema: vserverConfig, description: 'vserver.json, which travels with the vserver' },
  Ownership: { schema: ownership, description: 'the right of a host to start a vserver; never travels' },
  InstallSource: { schema: installSource, description: 'where the files of a new vserver come from' },
  Network: { schema: network, description: 'one line of networks.conf' },
  PoolNetworks: {
    schema: poolNetworks,
    description: 'the networks of the pool; "hosts": uplinks and the largest MTU of single hosts',
  },
  NetworkChange: { schema: networkChange, description: 'a difference of networks.conf or slaves.conf' },
  HostNetworks: { schema: hostNetworks, description: 'how far a host has taken the networks' },
  PoolNetwork: { schema: poolNetwork, description: 'a network, where it is up, and who is on it' },
  Attachment: { schema: attachment, description: 'what the runtime needs for the veth of one vserver' },
  Transport: { schema: transport, description: 'how the files of a move travel' },
  CopyKind: { schema: copyKind, description: 'how a copy on the master was taken' },
  CopyRecord: { schema: copyRecord, description: 'copy.json: what a copy on the master is of' },
  CopyInfo: { schema: copyInfo, description: 'a copy that the master keeps' },
  CopyProgress: { schema: copyProgress, description: 'how far a copy is; rate in bytes/s, eta in ms' },
  TemplateName: { schema: templateName, description: 'a suite such as bookworm, or the name of an import' },
  Template: { schema: template, description: 'what vservers are created from' },
  SagaResult: { schema: sagaResult, description: 'how a saga stands; docs/sagas.md' },
  SagaStep: { schema: sagaStepState, description: 'one step of a saga' },
  SagaState: { schema: sagaState, description: 'a move, or other work of several steps' },
  SagaProgress: { schema: sagaProgress, description: 'how far the step of a saga is' },
  BackupState: { schema: backupState, description: 'how the backups of a vserver stand' },
  KeptBackup: { schema: keptBackup, description: 'a backup, and the rules that keep it; none: it goes' },
  CertificateInfo: { schema: certificateInfo, description: 'a certificate: from when to when it counts' },
  AuditEntry: { schema: auditEntry, description: 'one command as the broker saw it' },
  ScanRow: { schema: scanRow, description: 'one row of vs scan' },
};

/** The name of a schema; '' for one without. */
export const nameOf = (schema: z.ZodType): string =>
  Object.entries(named).find(([, one]) => one.schema === schema)?.[0] ?? '';
