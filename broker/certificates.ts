import type { TLSSocket } from 'node:tls';
import type { Client } from 'aedes';
import type { Log } from '../shared/log.ts';
import type { RevokedList } from '../shared/revoked.ts';
import type { Users } from './users.ts';

/** What the certificate of a connection says: who it is, or why it does not count. Connections without one are not here. */
const shown = new WeakMap<object, { name: string; serial: string } | { wrong: string }>();

/** Keeps what the client certificate of a TLS connection says about the stream that aedes gets. */
export function noteCertificate(stream: object, socket: TLSSocket): void {
  const certificate = socket.getPeerCertificate();
  if (Object.keys(certificate).length === 0) return;
  const name: unknown = certificate.subject?.CN; // an array when there are several
  if (!socket.authorized) shown.set(stream, { wrong: String(socket.authorizationError) });
  else if (typeof name !== 'string' || name === '')
    shown.set(stream, { wrong: 'it has not one common name' });
  else shown.set(stream, { name, serial: certificate.serialNumber });
}

/** Why the certificate that this client came with counts no more; undefined when it came with none, or it does. */
export function revokedOf(client: Client, revoked: RevokedList): string | undefined {
  const one = shown.get(client.conn);
  return one && 'serial' in one ? revoked.why(one.serial) : undefined;
}

/** Who a client says to be: its user name, or without one the common name of its certificate. */
export function userNameOf(client: Client, username: string | undefined): string {
  const one = shown.get(client.conn);
  return username || (one && 'name' in one ? one.name : '');
}

/** Is this client that user? By its certificate when it showed one, and then by nothing else; by its password otherwise. */
export async function verifyClient(
  client: Client,
  users: Users,
  revoked: RevokedList,
  { name, password }: { name: string; password: string },
  log: Log,
): Promise<boolean> {
  const one = shown.get(client.conn);
  if (!one) return users.verify(name, password);
  users.reload(); // who just joined comes at once
  revoked.reload();
  const wrong =
    'wrong' in one
      ? one.wrong
      : one.name !== name
        ? `it belongs to ${one.name}`
        : users.find(name)
          ? revoked.why(one.serial)
          : 'the users file has no such user';
  if (wrong) log.warn({ user: name, client: client.id, reason: wrong }, 'client certificate refused');
  return wrong === undefined;
}
