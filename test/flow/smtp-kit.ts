import { type SMTPServer, SMTPServer as Server } from 'smtp-server';
import { freePort } from './free-port.ts';

export interface Received {
  to: string;
  raw: string;
  /** Header fields, unfolded, by lower-case name. */
  headers: Record<string, string>;
  subject: string;
  id: string;
  secure: boolean;
  user: string | undefined;
}

function headersOf(raw: string): Record<string, string> {
  const head = raw.slice(0, raw.indexOf('\r\n\r\n')).replaceAll(/\r\n[ \t]+/g, ' ');
  return Object.fromEntries(
    head
      .split('\r\n')
      .map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  );
}
/** RFC 2047 words as text. */
const decoded = (text: string): string =>
  text
    .replaceAll(/\?= =\?/g, '?==?')
    .replaceAll(/=\?utf-8\?(q|b)\?([^?]*)\?=/gi, (_, how: string, body: string) =>
      how.toLowerCase() === 'b'
        ? Buffer.from(body, 'base64').toString()
        : Buffer.from(
            body
              .replaceAll('_', ' ')
              .replaceAll(/=([0-9A-F]{2})/gi, (_all, hex: string) =>
                String.fromCharCode(Number.parseInt(hex, 16)),
              ),
            'latin1',
          ).toString(),
    );
/** A part of a mail as text. */
export function partOf(raw: string, type: string): string {
  const [, boundaryless = ''] =
    new RegExp(`Content-Type: ${type}[^]*?\\r\\n\\r\\n([^]*?)\\r\\n--`, 'i').exec(raw) ?? [];
  const head = new RegExp(`Content-Type: ${type}[^]*?\\r\\n\\r\\n`, 'i').exec(raw)?.[0] ?? '';
  if (/Content-Transfer-Encoding: base64/i.test(head)) return Buffer.from(boundaryless, 'base64').toString();
  if (!/quoted-printable/i.test(head)) return boundaryless.replaceAll('\r\n', '\n');
  const bytes = boundaryless
    .replaceAll(/=\r\n/g, '')
    .replaceAll('\r\n', '\n')
    .replaceAll(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString();
}

/** A mail as it was received; `raw` in latin1, with the ends of lines of SMTP. */
export function receivedOf(raw: string, to: string, secure = false, user?: string): Received {
  const headers = headersOf(raw);
  const [subject, id] = [decoded(headers['subject'] ?? ''), headers['message-id'] ?? ''];
  return { to, raw, headers, subject, id, secure, user };
}

/** A real SMTP server, which can go down and come up on its port, and refuses whom the test names. */
export async function realSmtp(
  options: { user?: string; password?: string; key?: Buffer; cert?: Buffer } = {},
) {
  const mails: Received[] = [];
  const rules = {
    refused: new Set<string>(), // RCPT: 550
    later: new Set<string>(), // RCPT: 450
    dataCode: 0, // after DATA, the mail was not taken
    /** After DATA, before the answer. */
    slowMs: 0,
  };
  let server: SMTPServer | undefined;
  const port = await freePort();
  const fault = (code: number, text: string) => Object.assign(new Error(text), { responseCode: code });
  async function start(): Promise<void> {
    const one = new Server({
      ...(options.key && options.cert
        ? { key: options.key, cert: options.cert }
        : { disabledCommands: ['STARTTLS'] }),
      authOptional: options.user === undefined,
      allowInsecureAuth: false,
      logger: false,
      closeTimeout: 100,
      onAuth(auth, _session, done) {
        const right = auth.username === options.user && auth.password === options.password;
        if (right) done(null, { user: auth.username });
        else done(fault(535, 'wrong user or password'));
      },
      onRcptTo(address, _session, done) {
        if (rules.refused.has(address.address)) return done(fault(550, 'no such user here'));
        return done(rules.later.has(address.address) ? fault(450, 'try again later') : null);
      },
      onData(stream, session, done) {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          if (rules.dataCode) return done(fault(rules.dataCode, 'not this one'));
          const raw = Buffer.concat(chunks).toString('latin1');
          const { secure, user } = session;
          for (const { address } of session.envelope.rcptTo)
            mails.push(receivedOf(raw, address, secure, user as unknown as string | undefined));
          setTimeout(done, rules.slowMs);
        });
      },
    });
    one.on('error', () => undefined); // clients that are killed
    await new Promise<void>((resolve, reject) => {
      one.once('error', reject);
      one.listen(port, '127.0.0.1', () => {
        one.off('error', reject);
        resolve();
      });
    });
    server = one;
  }
  await start();
  return {
    mails,
    rules,
    port,
    to: (address: string) => mails.filter((one) => one.to === address),
    subjects: () => mails.map((one) => one.subject),
    start,
    down: () => new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve())),
  };
}
