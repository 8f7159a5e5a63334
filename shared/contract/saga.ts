import { z } from 'zod';
import { bytes, hostName, id, name, ts } from './names.ts';

export const sagaResult = z.enum(['running', 'done', 'undone', 'stuck']);
export const sagaStepState = z.object({
  step: z.string(),
  state: z.enum(['waiting', 'running', 'done', 'failed', 'undoing', 'undone']),
  host: z.string().optional(),
  started: ts.optional(),
  ms: z.number().optional(), // duration
  message: z.string().optional(), // what it found, for people: "host2 has 41 GB free"
  downtime: z.boolean().optional(), // the vserver is down in this step
});
/** `vs/1/sagas/{id}/state`, retained until pruned. */
export const sagaState = z.looseObject({
  id,
  kind: z.enum([
    'move',
    'create',
    'remove',
    'copy',
    'rename',
    'restore',
    'get',
    'put',
    'recover',
    'forget',
    'evacuate',
    'restore-host',
    'rollback',
    'backup',
    'backup-restore',
    'backup-test',
    'update-hosts',
    'update-host',
  ]),
  vserver: name, // the host, where it is about a whole one
  host: hostName.optional(), // of a saga about a whole host
  parent: id.optional(), // the saga that began it
  waits: z.string().optional(), // it runs, but waits: for a free place, or for the disk of the master
  also: z.array(name).optional(), // other names that it holds
  args: z.record(z.string(), z.unknown()),
  result: sagaResult,
  title: z.string(), // "web1: host1 -> host2, 874 MB in 111204 files, btrfs-send"
  steps: z.array(sagaStepState),
  issuer: z.string().optional(),
  started: ts,
  ended: ts.optional(),
  summary: z.array(z.object({ what: z.string(), text: z.string() })).optional(), // what it will do, for people
  bytes: bytes.optional(), // sent
  way: z.string().optional(), // what copies: "btrfs-send over TLS"
  estimateMs: z.number().optional(), // how long it should take, at its beginning
  downtimeMs: z.number().optional(),
  message: z.string().optional(), // the closing sentence
  error: z.object({ code: z.string(), step: z.string(), host: z.string(), message: z.string() }).optional(),
});
export type SagaState = z.infer<typeof sagaState>;

/** `vs/1/sagas/{id}/progress`. */
export const sagaProgress = z.looseObject({
  id,
  step: z.string(),
  bytes: bytes.optional(),
  total: bytes.optional(),
  files: z.int().optional(),
  percent: z.number().optional(),
  rate: z.number().optional(),
  eta: z.number().optional(),
  message: z.string().optional(),
});
export type SagaProgress = z.infer<typeof sagaProgress>;
