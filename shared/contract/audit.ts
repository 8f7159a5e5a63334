import { z } from 'zod';
import { type CommandSpec, masterCommand } from './command.ts';
import { ts } from './names.ts';

/** One command as the broker saw it: who, from where, what, and how it ended. */
export const auditEntry = z.looseObject({
  ts,
  user: z.string(), // as the broker knows it, not as the message says
  from: z.string(), // the address; "this machine" for the socket
  clientId: z.string(),
  target: z.string(), // a host, or master
  command: z.string(),
  id: z.string().optional(),
  args: z.record(z.string(), z.unknown()), // secrets blanked; {cut} when it was long
  result: z.string(), // ok, refused, none (no reply within an hour, or none asked for), open, or the code of the error
  message: z.string().optional(), // of the error
});
export type AuditEntry = z.infer<typeof auditEntry>;

export const auditCommands = {
  'orchestrator.audit': masterCommand(
    'who commanded what, and how it ended, the oldest first; as many of the newest as one message holds',
    z.strictObject({
      limit: z.int().min(1).max(1000).optional(),
      user: z.string().min(1).max(100).optional(),
      target: z.string().min(1).max(64).optional(),
      command: z.string().min(1).max(100).optional(), // service.command, or one of both
    }),
    z.object({ entries: z.array(auditEntry) }),
  ),
} satisfies Record<string, CommandSpec>;
