import { X509Certificate, createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { type ConnectionOptions, type DetailedPeerCertificate, type TLSSocket, connect } from 'node:tls';
import { isLoopback } from '../broker/addresses.ts';
import type { Settings } from '../config/settings.ts';
import { type JoinAnswer, type JoinRequest, joinAnswer } from '../shared/contract/authority.ts';
import { VsError } from '../shared/errors.ts';
import { checkIdentity, forgetKey, installIdentity, nextKey, readIdentity } from '../shared/identity.ts';
import { makeRequest } from '../shared/openssl.ts';
import { writeFileDurable } from '../shared/store.ts';
import type { JoinToken } from '../shared/token.ts';

const WITHIN_MS = 40_000;
const MAX_ANSWER = 32_768;

interface Master {
  host: string;
  port: number;
}

/** A TLS connection whose handshake has ended. What fails is a sentence. */
function open({ host, port }: Master, more: ConnectionOptions): Promise<TLSSocket> {
  const where = `${host}:${port}`;
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      ...(isIP(host) ? {} : { servername: host }),
      minVersion: 'TLSv1.2',
      ...more,
    });
    const fail = (message: string, code: 'unavailable' | 'refused', cause?: unknown) => {
      socket.destroy();
      reject(new VsError(code, message, { cause }));
    };
    socket.setTimeout(10_000, () => fail(`The master at ${where} does not answer.`, 'unavailable'));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (/^(ECONN|EHOST|ENET|ETIMEDOUT|ENOTFOUND|EAI_)/.test(error.code ?? ''))
        return fail(
          `No master answers at ${where} (${error.code}). Is the token still valid? The master listens only while one is ("vs host token"); a firewall must let port ${port} through.`,
          'unavailable',
          error,
        );
      fail(
        `The master at ${where} is not to be trusted, so nothing was sent: ${error.message}.`,
        'refused',
        error,
      );
    });
    socket.once('secureConnect', () => {
      socket.setTimeout(0);
      socket.removeAllListeners('error');
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}

/**
 * The authority with this fingerprint, out of the chain that the master shows; PEM. Nothing is sent, and nothing else of
 * that connection is trusted: the next one has this authority, and the whole check of OpenSSL.
 */
async function authorityOf(master: Master, fingerprint: string): Promise<string> {
  const socket = await open(master, { rejectUnauthorized: false });
  const seen = new Set<string>();
  let one: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  socket.destroy();
  for (; one?.raw && !seen.has(one.fingerprint256); one = one.issuerCertificate) {
    seen.add(one.fingerprint256);
    if (one.fingerprint256.replaceAll(':', '').toLowerCase() === fingerprint)
      return new X509Certificate(one.raw).toString();
  }
  throw new VsError(
    'refused',
    `What answers at ${master.host}:${master.port} is not the master that made this token: its authority has another fingerprint. Nothing was sent. Either it is another master, or somebody stands between.`,
  );
}

function ask(socket: TLSSocket, request: JoinRequest): Promise<JoinAnswer> {
  return new Promise((resolve, reject) => {
    let text = '';
    const cut = () =>
      reject(
        new VsError(
          'unavailable',
          'The master did not answer. The same line can run again until the token ends.',
        ),
      );
    socket.setTimeout(WITHIN_MS, () => socket.destroy());
    socket.on('data', (chunk) => {
      text += String(chunk);
      if (text.length > MAX_ANSWER) socket.destroy();
      const end = text.indexOf('\n');
      if (end < 0) return;
      try {
        resolve(joinAnswer.parse(JSON.parse(text.slice(0, end))));
      } catch (error) {
        reject(
          new VsError('failed', 'The master answered what this version does not know.', { cause: error }),
        );
      }
      socket.destroy();
    });
    socket.on('close', cut);
    socket.write(`${JSON.stringify(request)}\n`);
  });
}

/** The key that goes with this token: the same as long as it is the same token, so that its line can run again. */
async function keyFor(directory: string, { secret }: JoinToken): Promise<{ file: string; key: string }> {
  const mark = `${directory}/joining/token.sha256`;
  const now = createHash('sha256').update(secret).digest('hex');
  if ((await readFile(mark, 'utf8').catch(() => '')) !== now) {
    await forgetKey(directory, 'joining');
    await writeFileDurable(mark, now);
  }
  return nextKey(directory, 'joining');
}

/** The lines of vs-tools.conf that are not there yet; of others with another value a note. */
async function configure(settings: Settings, wanted: Record<string, string>): Promise<string[]> {
  const file = `${settings.CONFIG_DIR}/vs-tools.conf`;
  const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const added: string[] = [];
  const notes: string[] = [];
  for (const [key, value] of Object.entries(wanted)) {
    const there = new RegExp(`^\\s*${key}\\s*=\\s*(.*?)\\s*$`, 'm')
      .exec(before)?.[1]
      ?.replaceAll(/["']/g, '');
    if (there === undefined) added.push(`${key}=${value}`);
    else if (there !== value) notes.push(`${file} says ${key}=${there}; this pool would have ${value}.`);
  }
  if (added.length === 0) return notes;
  await writeFileDurable(
    file,
    `${before}${before && !before.endsWith('\n') ? '\n' : ''}${added.join('\n')}\n`,
    0o644,
  );
  return [`Wrote ${added.join(', ')} into ${file}.`, ...notes];
}

/** Where other hosts reach this one: as the settings say it, else by what it reached the master. */
function addressFor({ MANAGEMENT_ADDRESS }: Settings, socket: TLSSocket, conf: string): string {
  const text = existsSync(conf) ? readFileSync(conf, 'utf8') : '';
  const isGiven = process.env['VS_MANAGEMENT_ADDRESS'] ?? /^\s*MANAGEMENT_ADDRESS\s*=/m.exec(text);
  const local = socket.localAddress?.replace(/^::ffff:/i, '') ?? '';
  return isGiven || isLoopback(local) || !isIP(local) ? MANAGEMENT_ADDRESS : local;
}

/** Makes this machine a host: key, certificate, settings. It can be cut off anywhere and run again with the same token. */
export async function joinPool(
  settings: Settings,
  master: Master,
  token: JoinToken,
): Promise<{ ends: string; notes: string[] }> {
  const directory = settings.TLS_DIR;
  const { name, fingerprint, secret } = token;
  if (readIdentity(directory)?.x509.subject === 'CN=master')
    throw new VsError('conflict', 'This machine is the master of a pool; it cannot be a host as well.');
  const conf = `${settings.CONFIG_DIR}/vs-tools.conf`;
  const called = /^\s*HOST\s*=\s*["']?([^\s"']+)/m.exec(
    existsSync(conf) ? readFileSync(conf, 'utf8') : '',
  )?.[1];
  if (called !== undefined && called !== name)
    throw new VsError(
      'conflict',
      `This machine is called ${called} in ${conf} (HOST), and the token is for ${name}.`,
    );
  const authority = await authorityOf(master, fingerprint).catch((error: unknown) => {
    if (!(error instanceof VsError) || error.code !== 'unavailable' || token.ends > Date.now()) throw error;
    const ended = new Date(token.ends).toISOString();
    throw new VsError('refused', `The token ended at ${ended}. Make a new one: vs host token ${name}`);
  });
  const { file, key } = await keyFor(directory, token);
  const request = await makeRequest(file, name);
  const socket = await open(master, { ca: authority });
  const address = addressFor(settings, socket, conf);
  const answer = await ask(socket, { version: 1, name, secret, request, address } as JoinRequest);
  if (!answer.ok) throw new VsError('refused', `The master does not let ${name} in: ${answer.message}`);
  const identity = { authority, certificate: answer.certificate, key };
  const x509 = checkIdentity(identity, name);
  await installIdentity(directory, identity);
  const url = answer.broker.replace('{master}', master.host.includes(':') ? `[${master.host}]` : master.host);
  const notes = await configure(settings, {
    HOST: name,
    BROKER_URL: url,
    ...(answer.base === 'vs/1' ? {} : { BASE_TOPIC: answer.base }),
    MANAGEMENT_ADDRESS: address,
  });
  return { ends: x509.validToDate.toISOString().slice(0, 10), notes };
}
