import { constants, randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { type Server, type Socket, createServer } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';
import { VsError } from '../../../shared/errors.ts';
import type { Identity } from '../../../shared/identity.ts';
import { same } from '../../../shared/same.ts';

/** The secret of a session: 32 bytes, 43 characters. */
export const newSecret = (): string => randomBytes(32).toString('base64url');
const SECRET_LINE = 44;
/** So many bytes of a session may be under way in this process: each pause between two processes costs time. */
const UNDER_WAY = 1024 * 1024;
/** How long a connection may take to show the secret (ms). */
const HELLO_MS = 10_000;
/** So many connections may be about to show it. */
const MOST_WAITING = 16;
/** After so many wrong ones the endpoint closes: its client has the right one. */
const MOST_WRONG = 5;

export interface Endpoint {
  address?: string;
  port?: number;
  path?: string;
  close(): void;
}

/** Reads the first line, which has always the same length; what came after it is put back. */
function firstLine(wire: Duplex): Promise<string> {
  return new Promise((resolve, reject) => {
    let all = Buffer.alloc(0);
    const settle = (outcome: () => void) => {
      wire.off('data', take).off('end', gone).off('close', gone).off('error', gone);
      outcome();
    };
    const gone = () => settle(() => reject(new Error('it went before it had shown a secret')));
    function take(chunk: Buffer): void {
      all = Buffer.concat([all, chunk]);
      if (all.length < SECRET_LINE) return;
      wire.pause();
      settle(() => {
        const rest = all.subarray(SECRET_LINE);
        if (rest.length > 0) wire.unshift(rest);
        resolve(all.subarray(0, SECRET_LINE).toString('latin1'));
      });
    }
    wire.on('data', take).on('end', gone).on('close', gone).on('error', gone);
  });
}

/**
 * Listens for one client, who has `secret`, until `ttl` ms have passed: by TLS with this host's certificate on an address,
 * or on a socket in a directory that only root may enter. It closes once it is used, and after five wrong secrets.
 */
export async function openEndpoint(options: {
  at: { address: string; identity: Identity } | { directory: string };
  secret: string;
  ttl: number;
  serve: (wire: Duplex) => void;
  onRefused: (from: string, reason: string) => void;
  onClose: () => void;
}): Promise<Endpoint> {
  const { at, secret } = options;
  const waiting = new Set<Duplex>();
  let wrong = 0;
  let closed = false;
  const path =
    'directory' in at ? join(at.directory, `session-${randomBytes(9).toString('hex')}`) : undefined;

  async function admit(wire: Duplex, from: string): Promise<void> {
    wire.on('error', () => undefined);
    if (closed || waiting.size >= MOST_WAITING) return void wire.destroy();
    waiting.add(wire);
    const late = setTimeout(() => wire.destroy(), HELLO_MS);
    try {
      const isRight = same(await firstLine(wire), `${secret}\n`);
      waiting.delete(wire);
      if (closed) return void wire.destroy();
      if (isRight) {
        close();
        return options.serve(wire);
      }
      options.onRefused(from, 'it came with a wrong secret');
      wire.destroy();
      if (++wrong >= MOST_WRONG) close();
    } catch (error) {
      options.onRefused(from, (error as Error).message);
      wire.destroy();
    } finally {
      clearTimeout(late);
      waiting.delete(wire);
    }
  }
  const server: Server =
    'identity' in at
      ? createTlsServer({
          key: at.identity.key,
          cert: at.identity.certificate,
          minVersion: 'TLSv1.2',
          secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
          handshakeTimeout: HELLO_MS,
          noDelay: true,
          highWaterMark: UNDER_WAY,
          keepAlive: true,
          keepAliveInitialDelay: 15_000,
        })
      : createServer({ highWaterMark: UNDER_WAY });
  const event = 'identity' in at ? 'secureConnection' : 'connection';
  server.on(event, (wire: Socket) => void admit(wire, wire.remoteAddress ?? 'this host'));
  server.on('tlsClientError', (error: Error) => options.onRefused('a client', error.message));
  server.maxConnections = MOST_WAITING * 2;
  const timer = setTimeout(close, options.ttl);
  function close(): void {
    if (closed) return;
    closed = true;
    clearTimeout(timer);
    server.close();
    for (const wire of waiting) wire.destroy();
    if (path) rmSync(path, { force: true });
    options.onClose();
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      close();
      const where = 'address' in at ? `${at.address} (MANAGEMENT_ADDRESS)` : at.directory;
      const message = `no endpoint of a session could be opened on ${where}: ${error.message}`;
      reject(new VsError('failed', message, { cause: error }));
    });
    server.listen('address' in at ? { host: at.address, port: 0 } : { path }, resolve);
  });
  const bound = server.address();
  return {
    ...(typeof bound === 'object' && bound && 'address' in at
      ? { address: at.address, port: bound.port }
      : { path }),
    close,
  };
}
