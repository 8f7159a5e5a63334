import { z } from 'zod';
import { bytes, name } from './names.ts';

/** Bytes a second. */
const rate = z.int().min(1000).max(1e12);
const size = z
  .int()
  .min(65_536)
  .max(2 ** 52);

/** Limits of a vserver; an absent one is none. Sizes in bytes, rates in bytes a second (docs/limits.md). */
export const limits = z.strictObject({
  memory_bytes: bytes.optional(),
  swap_bytes: bytes.optional(), // on top of the memory; 0: it is never swapped out
  disk_bytes: size.optional(), // what its tree refers to, shared or not
  tmp_bytes: size.optional(), // /tmp is a tmpfs of this size; what lies there counts as memory, too
  procs: z.int().min(1).optional(),
  cpu: z.number().positive().optional(), // cores: 0.8 is 80 % of one
  cpu_weight: z.int().min(1).max(10_000).optional(), // against others when processors are scarce; 100 is the usual
  io_read_rate: rate.optional(),
  io_write_rate: rate.optional(),
  net_in_rate: rate.optional(), // as the vserver sees it
  net_out_rate: rate.optional(),
});
export type Limits = z.infer<typeof limits>;
export type LimitKey = keyof Limits;

/** New values of limits; null takes one away, an absent one stays. */
export const limitChanges = z.strictObject({
  memory_bytes: limits.shape.memory_bytes.nullable(),
  swap_bytes: limits.shape.swap_bytes.nullable(),
  disk_bytes: limits.shape.disk_bytes.nullable(),
  tmp_bytes: limits.shape.tmp_bytes.nullable(),
  procs: limits.shape.procs.nullable(),
  cpu: limits.shape.cpu.nullable(),
  cpu_weight: limits.shape.cpu_weight.nullable(),
  io_read_rate: limits.shape.io_read_rate.nullable(),
  io_write_rate: limits.shape.io_write_rate.nullable(),
  net_in_rate: limits.shape.net_in_rate.nullable(),
  net_out_rate: limits.shape.net_out_rate.nullable(),
});
export type LimitChanges = z.infer<typeof limitChanges>;

export const limitKey = z.enum(Object.keys(limits.shape) as [LimitKey, ...LimitKey[]]);

/** One resource of a vserver. `used` is null where nothing counts it, `limit` when there is none, `hits` where hits are not counted. */
export const limitRow = z.object({
  resource: z.string(), // as the flag of `vs limit` calls it
  key: limitKey,
  unit: z.enum(['bytes', 'bytes/s', 'processes', 'cores', 'weight']),
  used: z.number().nullable(),
  limit: z.number().nullable(),
  hits: z.int().nullable(), // how often the limit was met since the start
  kills: z.int().optional(), // processes that were killed for it
  note: z.string().optional(), // why this limit is not in force, or not yet
});
export type LimitRow = z.infer<typeof limitRow>;

/** Which limits a host cannot set, and why: by key, a sentence. An absent one can be set. */
export const missingLimits = z.partialRecord(limitKey, z.string());
export type MissingLimits = z.infer<typeof missingLimits>;

/** The answer of host-agent.limit. */
export const limitReport = z.object({ name, running: z.boolean(), limits: z.array(limitRow) });
export type LimitReport = z.infer<typeof limitReport>;
