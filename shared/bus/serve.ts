import { randomUUID } from 'node:crypto';
import { type Reply, cancel as cancelSchema } from '../contract/command.ts';
import { type Topics, matches } from '../contract/topics.ts';
import { type Dispatcher, toReplyError } from '../dispatch.ts';
import { VsError } from '../errors.ts';

/** Carries out what arrives on the command topics of this target, and answers. */
export function openServing(parts: {
  topics: Topics;
  target: string;
  dispatcher: Dispatcher;
  /** An answer, which is kept until the broker has it. */
  reply: (topic: string, message: Reply) => void;
  /** A word about work in progress, which may be lost. */
  progress: (topic: string, message: Reply) => void;
  event: (service: string, event: string, message: string, extra?: object) => void;
}) {
  const { topics, target, dispatcher, event } = parts;

  function cancel(service: string, command: string, payload: unknown): void {
    const name = `${service}.${command}`;
    const parsed = cancelSchema.safeParse(payload);
    const issuer = parsed.data?.issuer ?? 'unknown';
    try {
      if (!parsed.success) throw new VsError('usage', 'a cancel is {"id", "cancel": true, "issuer"?}');
      dispatcher.refuseInner(name);
      if (dispatcher.cancel(name, parsed.data.id, issuer))
        event(service, 'cancelled', `${issuer} gave up ${name}: it was told to end`, {
          id: parsed.data.id,
          issuer,
        });
    } catch (error) {
      event(service, 'failed', `a cancel of ${name} failed: ${(error as Error).message}`, { issuer });
    }
  }

  return async function serve(topic: string, payload: unknown, wasRetained: boolean): Promise<void> {
    if (wasRetained) return; // a command is never retained; an old one must not be carried out at a connect
    const [service = '', command = ''] = topic.split('/').slice(-2);
    const name = `${service}.${command}`;
    const raw = (payload ?? {}) as { replyTo?: unknown; id?: unknown; issuer?: unknown; cancel?: unknown };
    if (raw.cancel !== undefined) return cancel(service, command, payload);
    const replyTo = typeof raw.replyTo === 'string' ? raw.replyTo : undefined;
    const id = typeof raw.id === 'string' && raw.id ? raw.id.slice(0, 100) : randomUUID();
    const issuer = typeof raw.issuer === 'string' ? raw.issuer.slice(0, 64) : undefined;
    const own = replyTo !== undefined && matches(topics.reply(target, '+'), replyTo);
    let result: Reply;
    try {
      if (replyTo !== undefined && !own)
        throw new VsError(
          'usage',
          `replyTo must be ${topics.reply(target, 'CLIENT')}, not ${replyTo.slice(0, 200)}`,
        );
      dispatcher.refuseInner(name);
      const envelope = dispatcher.parse(payload);
      result = await dispatcher.call(name, envelope, id, (progress) => {
        if (own) parts.progress(replyTo, { id, progress });
      });
    } catch (error) {
      result = { id, ok: false, error: toReplyError(error) };
    }
    if (own) return parts.reply(replyTo, result);
    const about = { id, issuer };
    if ('ok' in result && result.ok) event(service, command, `${name} was carried out`, about);
    else if ('ok' in result)
      event(service, 'failed', `${name} failed: ${result.error.message}`, {
        ...about,
        code: result.error.code,
      });
  };
}
