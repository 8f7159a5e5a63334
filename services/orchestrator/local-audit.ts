import { type AuditEntry, auditEntry } from '../../shared/contract/audit.ts';
import type { Args } from '../../shared/contract/commands.ts';
import type { PastEvent } from '../../shared/contract/host.ts';

/** What root commanded by the sockets of hosts, past the broker: the hosts tell it as events, once they reach the broker. */
export function localAudit(
  events: PastEvent[],
  { user, target, command }: Args<'orchestrator.audit'>,
): AuditEntry[] {
  return events.flatMap((one) => {
    if (one.event !== 'commanded' || one.service !== 'host-agent') return [];
    const entry = auditEntry.safeParse({
      ts: one.ts,
      user: one.issuer ?? 'root',
      from: 'its socket',
      clientId: '',
      target: one.from,
      command: one['command'],
      id: one['id'],
      args: one['args'],
      result: one['result'],
      ...(typeof one['error'] === 'string' ? { message: one['error'] } : {}),
    }).data;
    if (!entry) return [];
    if (user !== undefined && entry.user !== user) return [];
    if (target !== undefined && entry.target !== target) return [];
    if (command !== undefined && ![entry.command, ...entry.command.split('.')].includes(command)) return [];
    return [entry];
  });
}

/** The newest of both, the oldest first. */
export const mergedAudit = (some: AuditEntry[], others: AuditEntry[], limit: number): AuditEntry[] =>
  [...some, ...others].sort((a, b) => a.ts - b.ts).slice(-limit);
