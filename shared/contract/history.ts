import { z } from 'zod';
import { type CommandSpec, masterCommand } from './command.ts';
import { metrics } from './host.ts';
import { empty, hostName, name, ts } from './names.ts';

export const subjectKind = z.enum(['host', 'vserver']);
export type SubjectKind = z.infer<typeof subjectKind>;

/** The key of a figure in the metrics. */
export const figureKey = z
  .string()
  .max(64)
  .regex(/^[A-Za-z][A-Za-z0-9_]*$/, 'a key of the metrics, such as mem_bytes');
const keys = z.array(figureKey).min(1).max(100).optional();

/** The newest figures of a host or vserver. `rates`: counters, per second since the sample before. */
export const newestFigures = z.looseObject({
  kind: subjectKind,
  name: z.string(),
  host: z.string(),
  state: z.string(), // of a host: online, offline
  address: z.string().optional(),
  ts: ts.optional(), // when the master heard them
  figures: metrics,
  rates: z.record(z.string(), z.number()),
});
export type NewestFigures = z.infer<typeof newestFigures>;

/** One figure over time; null: nothing was heard then. Counters are rates, per second. */
export const figureHistory = z.object({
  min: z.number(),
  avg: z.number(),
  max: z.number(),
  points: z.array(z.number().nullable()),
});
export type FigureHistory = z.infer<typeof figureHistory>;

export const historyCommands = {
  'history.newest': masterCommand(
    'the newest figures of hosts and vservers from memory, hosts first, by name; next: ask again with after, there are more',
    z.strictObject({
      subject: name.optional(),
      kind: subjectKind.optional(),
      host: hostName.optional(),
      keys,
      after: z.string().max(100).optional(),
    }),
    z.object({ subjects: z.array(newestFigures), next: z.string().optional() }),
  ),
  'history.query': masterCommand(
    'figures of a host or vserver over time: minimum, average, maximum, and averages each step (seconds; a larger one when the answer would be too long)',
    z.strictObject({
      subject: name,
      kind: subjectKind.optional(),
      since: ts,
      until: ts.optional(),
      step: z.int().min(10).max(31_622_400).optional(),
      keys,
    }),
    z.object({
      subject: z.string(),
      kind: subjectKind,
      uuid: z.string().optional(),
      since: ts, // of the first point
      step: z.int(),
      figures: z.record(z.string(), figureHistory),
    }),
  ),
  'history.info': masterCommand(
    'the file of the history: its size, how far it goes back, how many subjects it has',
    empty,
    z.object({
      bytes: z.int(),
      limit_bytes: z.int(),
      subjects: z.int(),
      since: ts.optional(),
      waiting: z.int(), // samples not written yet
      lost: z.int(), // samples that could not be written
    }),
  ),
} satisfies Record<string, CommandSpec>;
