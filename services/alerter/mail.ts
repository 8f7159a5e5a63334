import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { createTransport } from 'nodemailer';
import type { Settings } from '../../config/settings.ts';
import { VsError } from '../../shared/errors.ts';
import { RunError, run } from '../../shared/run.ts';
import type { Outcome, Queued } from './queue.ts';

const PATIENCE_MS = 30_000;
/** sysexits.h: what sendmail says of a message that will never be taken. */
const NEVER = [64, 65, 67, 68];

/** A secret of a file that nobody else may read. Throws VsError that says what to do. */
export function secretOf(file: string, key: string): string {
  let mode: number;
  let text: string;
  try {
    mode = statSync(file).mode;
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new VsError('failed', `the file ${file} (${key}) cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if ((mode & 0o077) !== 0)
    throw new VsError('refused', `others may read the secret in ${file} (${key}); chmod 600 ${file}`);
  return text;
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

/** Does mail go to a mail system of this machine? */
export const isNear = (url: string): boolean =>
  url.startsWith('sendmail:') || isLoopback(new URL(url).hostname.replace(/^\[(.*)\]$/, '$1'));

/** What nodemailer needs to reach the server of SMTP_URL. Throws VsError when a secret would go in the clear. */
export function smtpOptions(settings: Settings) {
  const url = new URL(settings.SMTP_URL);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const secure = url.protocol === 'smtps:';
  const tls = secure || settings.SMTP_STARTTLS === 'yes';
  const near = isLoopback(host);
  if (settings.SMTP_USER && !tls && !near)
    throw new VsError(
      'refused',
      `SMTP_USER is set and SMTP_STARTTLS=no: the password would go to ${host} in the clear`,
    );
  const pass = settings.SMTP_USER ? secretOf(settings.SMTP_PASSWORD_FILE, 'SMTP_PASSWORD_FILE') : '';
  return {
    host,
    port: url.port ? Number(url.port) : secure ? 465 : 587,
    secure,
    // a server on this machine may have no certificate
    requireTLS: tls && !secure && !near,
    ignoreTLS: !tls,
    opportunisticTLS: near,
    tls: {
      minVersion: 'TLSv1.2' as const,
      ...(isIP(host) ? {} : { servername: host }),
      ...(settings.SMTP_CA ? { ca: readFileSync(settings.SMTP_CA) } : {}),
      ...(near && !settings.SMTP_CA ? { rejectUnauthorized: false } : {}),
    },
    ...(settings.SMTP_USER ? { auth: { user: settings.SMTP_USER, pass } } : {}),
    connectionTimeout: PATIENCE_MS,
    greetingTimeout: PATIENCE_MS,
    socketTimeout: 2 * PATIENCE_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}

export const senderOf = (settings: Settings): string => settings.MAIL_FROM || `vs-tools@${settings.HOST}`;

function contentOf(one: Queued, settings: Settings) {
  const from = senderOf(settings);
  const to = one.channel.replace(/^mail:/, '');
  return {
    from: { name: 'vs-tools', address: from },
    to: [{ name: '', address: to }],
    envelope: { from, to: [to] },
    subject: one.subject,
    date: new Date(one.date),
    messageId: one.messageId,
    ...(one.references.length > 0
      ? { inReplyTo: one.references.at(-1) ?? '', references: one.references }
      : {}),
    headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
    ...(one.severity === 'critical' ? { priority: 'high' as const } : {}),
    text: one.text,
    html: one.html,
    attachments: one.images.map(({ cid, png }) => ({
      filename: `${cid}.png`,
      cid,
      content: Buffer.from(png, 'base64'),
      contentType: 'image/png',
      contentDisposition: 'inline' as const,
    })),
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}

/** What an error of nodemailer says of the message. */
export function outcomeOf(error: unknown): Outcome {
  const {
    code = '',
    responseCode = 0,
    message = String(error),
  } = error as { code?: string; responseCode?: number; message?: string };
  const text = message.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 500);
  // a login that fails is a fault of the settings, not of the message
  if ((code === 'EENVELOPE' || code === 'EMESSAGE') && responseCode >= 500)
    return { result: 'refused', error: text };
  return { result: 'later', error: text, down: !(code === 'EENVELOPE' || code === 'EMESSAGE') };
}

async function bySendmail(one: Queued, settings: Settings): Promise<Outcome> {
  const program = settings.SMTP_URL.replace(/^sendmail:/, '') || '/usr/sbin/sendmail';
  const built = await createTransport({ streamTransport: true, buffer: true, newline: 'unix' }).sendMail(
    contentOf(one, settings),
  );
  const argv = [program, '-i', '-f', senderOf(settings), '--', one.channel.replace(/^mail:/, '')];
  try {
    await run(argv, { input: built.message as Buffer, timeoutMs: 2 * PATIENCE_MS });
    return { result: 'sent' };
  } catch (error) {
    if (!(error instanceof RunError)) throw error;
    const never = NEVER.includes(error.exitCode ?? 0);
    return { result: never ? 'refused' : 'later', error: error.message.slice(0, 500), down: !never };
  }
}

/** Sends one mail by SMTP_URL. */
export async function sendMail(one: Queued, settings: Settings): Promise<Outcome> {
  if (settings.SMTP_URL.startsWith('sendmail:')) return bySendmail(one, settings);
  let options: ReturnType<typeof smtpOptions>;
  try {
    options = smtpOptions(settings);
  } catch (error) {
    return { result: 'later', error: (error as Error).message, down: true };
  }
  const transport = createTransport(options);
  try {
    await transport.sendMail(contentOf(one, settings));
    return { result: 'sent' };
  } catch (error) {
    return outcomeOf(error);
  } finally {
    transport.close();
  }
}
