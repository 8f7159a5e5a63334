import { z } from 'zod';
import { type CommandSpec, masterCommand } from './command.ts';
import { alert } from './host.ts';
import { empty, ts } from './names.ts';

/** The subject or check of an alert: one topic level; in a silence `*` stands for any rest, as in `web*`. */
const level = z
  .string()
  .max(100)
  .regex(/^[A-Za-z0-9_.:-]+$/, 'letters, digits and _.:-');
const pattern = z
  .string()
  .max(100)
  .regex(/^[A-Za-z0-9_.:*-]+$/, 'a name, or a part of it and *, such as web1, web* or *');
/** Why somebody did it: one line. */
const why = z
  .string()
  .min(1)
  .max(300)
  .regex(/^[^\p{Cc}]*$/u, 'one line without control characters');
/** A year, ms. */
const MOST_MS = 31_622_400_000;

export const alertAck = z.object({ by: z.string(), why: z.string(), ts });
export type AlertAck = z.infer<typeof alertAck>;

/** An alert that fires, or one that has just ended and may come again. */
export const alertRow = z.looseObject({
  id: z.string(), // of this incident
  target: z.string(), // the host that says it, or master
  subject: z.string(), // a vserver, a host, a service or a saga
  check: z.string(),
  severity: alert.shape.severity,
  message: z.string(),
  began: ts,
  clear: ts.optional(), // since when it does not fire; it may come again
  count: z.int(), // how often it began
  stale: z.boolean(), // its host is offline, so nobody knows
  silenced: z.boolean(),
  ack: alertAck.optional(),
});
export type AlertRow = z.infer<typeof alertRow>;

/** An alert that ended. */
export const pastAlert = alertRow
  .pick({ id: true, target: true, subject: true, check: true, severity: true, message: true, began: true })
  .extend({ ended: ts, count: z.int() });
export type PastAlert = z.infer<typeof pastAlert>;

/** No mail begins for what it covers, from `from` until `until`. */
export const silence = z.object({
  subject: pattern, // a vserver, host or other subject
  check: pattern,
  from: ts,
  until: ts,
  by: z.string(),
  why: z.string(),
});
export type Silence = z.infer<typeof silence>;

/** The alerter on the master: which alerts there are, who knows of them, and what is told to whom. */
export const alerterCommands = {
  'alerter.list': masterCommand(
    'alerts that fire, silences, and what waits to be sent',
    empty,
    z.object({
      alerts: z.array(alertRow),
      silences: z.array(silence),
      queue: z.object({ waiting: z.int(), refused: z.int(), error: z.string().optional() }),
    }),
  ),
  'alerter.history': masterCommand(
    'alerts that ended, the newest first',
    z.strictObject({ limit: z.int().min(1).max(500).default(50) }),
    z.object({ alerts: z.array(pastAlert) }),
  ),
  'alerter.ack': masterCommand(
    'somebody looks after an alert: no reminders until it ends',
    z.strictObject({ subject: level, check: level, why: why.optional() }),
    z.object({ alerts: z.array(alertRow) }),
  ),
  'alerter.silence': masterCommand(
    'no mail of what it covers for a while (ms), now or from a moment on',
    z.strictObject({
      subject: pattern,
      check: pattern,
      for: z.int().min(1000).max(MOST_MS),
      from: ts.optional(),
      why,
    }),
    silence,
  ),
  'alerter.unsilence': masterCommand(
    'ends silences of just this subject and check',
    z.strictObject({ subject: pattern, check: pattern }),
    z.object({ removed: z.int() }),
  ),
  'alerter.test': masterCommand(
    'sends a test at once, to one address or to everybody who may get alerts, and answers how it went',
    z.strictObject({ to: z.email().max(254).optional() }),
    z.object({
      sent: z.array(z.object({ channel: z.string(), ok: z.boolean(), error: z.string().optional() })),
    }),
  ),
} satisfies Record<string, CommandSpec>;
