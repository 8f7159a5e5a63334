import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type TLSSocket, createServer } from 'node:tls';
import { VsError } from '../../shared/errors.ts';
import type { Identity } from '../../shared/identity.ts';
import { HELLO_MS, answer, hearHello } from './hello.ts';
import { nameIn, tlsOptions, wrongWith } from './identity.ts';

/** A connection that has proved who it is, and what it said that it sends. */
export interface Admitted {
  wire: Duplex;
  words: string[];
}

/** The TLS handshake on a connection; who is at the other end is asked after it, so that the refusal can be a sentence. */
function handshake(socket: Socket, identity: Identity): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const failed = (why: string) => reject(new VsError('refused', `its TLS handshake failed: ${why}`));
    const server = createServer({
      ...tlsOptions(identity),
      honorCipherOrder: true,
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: HELLO_MS,
    });
    server.once('secureConnection', (wire: TLSSocket) => {
      wire.on('error', () => undefined);
      resolve(wire);
    });
    server.once('tlsClientError', (error: Error) => failed(error.message));
    socket.once('close', () => failed('the connection was closed'));
    server.emit('connection', socket); // it never listens: the endpoint does
  });
}

/** Why the certificate of a connection is not that of a host; undefined when it is. */
function wrongCertificate(wire: TLSSocket, fromHost: string): string | undefined {
  const shown = wire.getPeerX509Certificate();
  if (!shown) return `it shows no certificate; that of ${fromHost} was expected`;
  const name = nameIn(shown.subject);
  if (!wire.authorized)
    return `its certificate (${name}) does not count: ${wrongWith(String(wire.authorizationError))}`;
  return name === fromHost
    ? undefined
    : `it shows the certificate of ${name}; that of ${fromHost} was expected`;
}

/** Target: lets in who has the certificate of the source host and the secret of this pass. */
export async function admitTls(
  socket: Socket,
  expected: { identity: Identity; fromHost: string; secret: string },
): Promise<Admitted> {
  const wire = await handshake(socket, expected.identity);
  const wrong = wrongCertificate(wire, expected.fromHost);
  if (wrong) {
    await new Promise<void>((resolve) => wire.once('close', resolve).end(answer(wrong), resolve));
    throw new VsError('refused', wrong);
  }
  return { wire, words: await hearHello(wire, expected.secret) };
}

/** Target: lets in who has the secret of this pass; for channels that are private by other means, or not at all. */
export async function admitPlain(socket: Socket, secret: string): Promise<Admitted> {
  return { wire: socket, words: await hearHello(socket, secret) };
}
