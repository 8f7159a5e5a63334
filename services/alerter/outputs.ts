import type { AlertLine } from '../../config/alerts.ts';
import { RunError, run } from '../../shared/run.ts';
import { secretOf } from './mail.ts';
import type { Outcome, Queued } from './queue.ts';
import { channelsOf } from './route.ts';

const PATIENCE_MS = 30_000;

/** What a webhook gets, and where. ntfy takes JSON at its root, with the topic in it. */
export function webhookBody(
  line: AlertLine & { kind: 'webhook' },
  one: Queued,
): { url: string; body: object } {
  const text = one.text.slice(0, 3500); // ntfy makes a file of what is longer than 4096 bytes
  const grave = one.severity === 'critical';
  if (line.format === 'gotify')
    return { url: line.url, body: { title: one.subject, message: text, priority: grave ? 8 : 5 } };
  if (line.format === 'json')
    return { url: line.url, body: { id: one.messageId, title: one.subject, message: text, ...one.data } };
  const url = new URL(line.url);
  const levels = url.pathname.split('/').filter(Boolean);
  const topic = levels.pop() ?? '';
  url.pathname = `/${levels.join('/')}`;
  return {
    url: url.href,
    body: {
      topic,
      title: one.subject,
      message: text,
      priority: grave ? 5 : 3,
      tags: [grave ? 'rotating_light' : 'warning'],
    },
  };
}

/** Posts a message. 4xx but 408 and 429: never. Redirects are not followed, for the token is for this address alone. */
export async function post(line: AlertLine & { kind: 'webhook' }, one: Queued): Promise<Outcome> {
  const { url, body } = webhookBody(line, one);
  const token = line.tokenFile === undefined ? undefined : secretOf(line.tokenFile, 'token-file');
  const header: Record<string, string> =
    token === undefined
      ? {}
      : line.format === 'gotify'
        ? { 'X-Gotify-Key': token }
        : { Authorization: `Bearer ${token}` };
  const where = new URL(url).host;
  try {
    const answer = await fetch(url, {
      method: 'POST',
      redirect: 'error',
      headers: { 'Content-Type': 'application/json', ...header },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    await answer.body?.cancel();
    if (answer.ok) return { result: 'sent' };
    const never =
      answer.status >= 400 && answer.status < 500 && ![401, 403, 408, 429].includes(answer.status);
    return { result: never ? 'refused' : 'later', error: `${where} answered ${answer.status}` };
  } catch (error) {
    const { cause, message } = error as Error;
    return {
      result: 'later',
      error: `${where} cannot be reached: ${cause instanceof Error ? cause.message : message}`,
    };
  }
}

/** Runs a program with the message as JSON on its standard input. Exit 75 (EX_TEMPFAIL), or no end in time: again later. */
export async function execute(line: AlertLine & { kind: 'exec' }, one: Queued): Promise<Outcome> {
  const input = `${JSON.stringify({ id: one.messageId, title: one.subject, message: one.text, ...one.data })}\n`;
  try {
    await run(line.argv, { input, timeoutMs: PATIENCE_MS });
    return { result: 'sent' };
  } catch (error) {
    if (!(error instanceof RunError)) throw error;
    const later = error.exitCode === undefined || error.exitCode === 75;
    return { result: later ? 'later' : 'refused', error: error.message.slice(0, 500) };
  }
}

/** Sends by the line of alerts.conf that has this channel; one whose line has gone is refused. */
export async function sendOther(lines: AlertLine[], one: Queued): Promise<Outcome> {
  const line = lines.find((each) => channelsOf(each).includes(one.channel));
  if (line?.kind === 'webhook') return post(line, one);
  if (line?.kind === 'exec') return execute(line, one);
  return { result: 'refused', error: `alerts.conf has no line any more for ${one.channel.slice(0, 200)}` };
}
