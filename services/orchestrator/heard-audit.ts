import { openAudit } from '../../broker/audit.ts';
import type { Context } from '../../shared/service.ts';

/** Replies to others are not the master's to hear, so nothing is waited for (ms). */
const NO_REPLY_MS = 1000;

/** Who says to have sent a command: whose replies it asks for, which an external broker lets only that user hear. */
function senderOf(payload: unknown): string {
  const { replyTo, issuer } = (payload ?? {}) as { replyTo?: unknown; issuer?: unknown };
  const asked = typeof replyTo === 'string' ? /\/replies\/([^/]{1,64})$/.exec(replyTo)?.[1] : undefined;
  return `${asked ?? (typeof issuer === 'string' ? issuer.slice(0, 64) : '')}?`;
}

/**
 * The audit of a pool with an external broker, which tells nobody who sent a message and from where: each command that it
 * let through, with the sender as the message says, and a question mark.
 */
export function openHeardAudit({ settings, bus, log }: Context) {
  if (settings.BROKER_KIND === 'embedded') return undefined; // the broker knows better
  const audit = openAudit({
    file: `${settings.STATE_DIR}/audit.jsonl`,
    base: settings.BASE_TOPIC,
    wait: NO_REPLY_MS,
    onFault: (message) => log.error(message),
  });
  const from = `by ${settings.BROKER_KIND}`;
  return {
    async start(): Promise<void> {
      for (const scope of ['hosts/+', 'master'])
        await bus.subscribe(`${settings.BASE_TOPIC}/${scope}/commands/+/+`, (topic, payload, { retain }) => {
          if (payload === null || retain) return;
          const name = senderOf(payload);
          const who = { name, clientId: '', role: 'custom' as const, read: [], write: [], address: from };
          audit.command(who, topic, JSON.stringify(payload), false);
        });
    },
    close: () => audit.close(),
  };
}
