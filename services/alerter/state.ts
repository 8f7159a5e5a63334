import { z } from 'zod';
import { alertAck, pastAlert, silence } from '../../shared/contract/alerter.ts';

/** What one who is told was told of an incident. */
const told = z.strictObject({
  severity: z.enum(['warning', 'critical']),
  at: z.number(), // the last time
  thread: z.string(), // id of the first notice, which further ones refer to
  ended: z.boolean(),
});
/** From the begin of an alert until it has been quiet for long enough, and all who knew of it know that. */
export const incident = z.strictObject({
  id: z.string(),
  target: z.string(),
  subject: z.string(),
  check: z.string(),
  host: z.string(), // the host that it concerns
  severity: z.enum(['warning', 'critical']),
  message: z.string(),
  began: z.number(),
  clear: z.number().optional(), // since when it does not fire
  count: z.int(), // how often it began
  mailto: z.array(z.string()).optional(), // whom the alert itself names
  stale: z.boolean(),
  ack: alertAck.optional(),
  told: z.record(z.string(), told),
});
export type Incident = z.infer<typeof incident>;

export const noticeKind = z.enum(['begin', 'worse', 'remind', 'end', 'passed']);
/** One alert in a message: `passed` began and ended before it was told. */
export const notice = z.strictObject({
  kind: noticeKind,
  thread: z.string().optional(), // what it goes on with; none: this message begins it
  ended: z.number().optional(),
  incident: incident.omit({ told: true, stale: true, mailto: true }),
});
export type Notice = z.infer<typeof notice>;
/** One message to one channel. */
export const message = z.strictObject({
  id: z.string(),
  seq: z.int(),
  channel: z.string(), // mail:ADDRESS, webhook:URL, exec:/PROGRAM ...
  at: z.number(),
  notices: z.array(notice),
  more: z.int(), // alerts that it does not name
  /** Since when the limit of messages held it back. */
  heldSince: z.number().optional(),
});
export type Message = z.infer<typeof message>;

const channel = z.strictObject({
  /** When messages went to it in the last hour. */
  sent: z.array(z.number()),
  heldSince: z.number().optional(),
});
/** What the alerter knows over restarts: STATE_DIR/alerter/state.json. */
export const alerterState = z.strictObject({
  version: z.literal(1),
  seq: z.int(),
  incidents: z.record(z.string(), incident),
  channels: z.record(z.string(), channel),
  /** How often an alert that ended had begun, and when it ended: who comes again within an hour flaps. */
  recent: z.record(z.string(), z.strictObject({ count: z.int(), ended: z.number() })),
  silences: z.array(silence),
  past: z.array(pastAlert),
  /** Since when hosts are offline. */
  offline: z.record(z.string(), z.number()),
  /** Decided, but perhaps not in the queue yet. */
  outgoing: z.array(message),
  digest: z.number(), // when the last digest was sent
  alive: z.number(),
});
export type AlerterState = z.infer<typeof alerterState>;

export const emptyState = (): AlerterState => ({
  version: 1,
  seq: 0,
  incidents: {},
  channels: {},
  recent: {},
  silences: [],
  past: [],
  offline: {},
  outgoing: [],
  digest: 0,
  alive: 0,
});
