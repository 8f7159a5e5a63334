import { z } from 'zod';
import { certificateInfo } from './authority.ts';
import { missingLimits } from './limits.ts';
import { bytes, hostName, id, ts } from './names.ts';
import { storageInfo } from './snapshot.ts';

/** `.../status`: retained, last will. `ts` of an offline will is that of the session's birth. */
export const status = z.looseObject({ state: z.enum(['online', 'offline']), session: id, ts });
export type Status = z.infer<typeof status>;

/** `vs/1/hosts/{host}/info`, retained. `address`: where other hosts reach its transfer endpoints. */
export const hostInfo = z.looseObject({
  host: hostName,
  version: z.string(),
  address: z.string(),
  kernel: z.string(),
  cpus: z.int(),
  mem_bytes: bytes,
  mem_free_bytes: bytes,
  runtime: z.object({ name: z.literal('lxc'), version: z.string() }),
  storage: storageInfo,
  networks: z.array(z.string()),
  limits: z.object({ missing: missingLimits }).optional(), // what cannot be limited here, and why
  seal: z.string().default(''), // public key: secrets in commands are sealed for this host (shared/seal.ts)
  certificate: certificateInfo.optional(), // the one that this host shows
  ts,
});
export type HostInfo = z.infer<typeof hostInfo>;

/** Metrics: one flat object of numbers and short strings (design.md). */
export const metrics = z.record(z.string(), z.union([z.number(), z.string().max(64)]));
export type Metrics = z.infer<typeof metrics>;

/** `.../events/{service}`: what happened, for people and history. One that comes twice has the same `eventId`. */
export const event = z.looseObject({
  ts,
  event: z.string(),
  message: z.string(),
  vserver: z.string().optional(),
  saga: z.string().optional(),
  issuer: z.string().optional(),
  eventId: z.string().max(64).optional(),
});
export type Event = z.infer<typeof event>;
/** An event as the master keeps it: with the target it came from, and the service. */
export const pastEvent = event.extend({ from: z.string(), service: z.string() });
export type PastEvent = z.infer<typeof pastEvent>;

/** `.../alerts/{subject}/{check}`: retained while it fires; an empty payload when resolved. */
export const alert = z.looseObject({
  ts,
  severity: z.enum(['warning', 'critical']),
  message: z.string(),
  /** Of checks that the monitor makes: when it began, what was found, and from where on that is too much or too little. */
  since: ts.optional(),
  value: z.number().optional(),
  threshold: z.number().optional(),
  vserver: z.string().optional(),
  /** Who gets mail of it, besides those that the master knows: MONITOR_MAILTO. */
  mailto: z.array(z.string().max(300)).max(20).optional(),
  /** Texts for the mail by their title, such as the processes and what listens. */
  details: z.union([z.string(), z.record(z.string(), z.unknown())]).optional(),
});
export type Alert = z.infer<typeof alert>;
