import { readFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { type TLSSocket, connect as connectTls } from 'node:tls';
import type { SessionWork } from '../../shared/contract/session.ts';
import { VsError } from '../../shared/errors.ts';
import { oneTimeSeal } from '../../shared/seal.ts';
import type { Client } from '../client.ts';
import { type ClientSettings, clientSettings } from '../settings.ts';
import { openDirect, openVia } from './carrier.ts';

const ANSWER_MS = 20_000;

/** Where the endpoint of a session is, as `host-agent.session` answers. */
export interface Place {
  host: string;
  address?: string | undefined;
  port?: number | undefined;
  path?: string | undefined;
  /** Opened. */
  secret: string;
}

/** The authority by whose word a host is believed; without it nothing is sent to anybody. */
function authority({ authority: file = '' }: ClientSettings): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new VsError(
      'refused',
      `The certificate of the pool's authority is not at ${file}, so no host can be known for sure: copy ca.pem from TLS_DIR of the master, and set BROKER_CA to it.`,
      { cause: error, details: { session: 'none' } },
    );
  }
}

/** TLS to a host, which has shown its certificate of this pool's authority before anything is sent. */
async function overTls(carrier: Duplex, host: string, ca: Buffer): Promise<TLSSocket> {
  const wire = connectTls({
    socket: carrier,
    ca,
    minVersion: 'TLSv1.2',
    checkServerIdentity: (_name, { subject }) =>
      subject.CN === host && Object.keys(subject).length === 1
        ? undefined
        : new VsError(
            'refused',
            `What answers where ${host} was expected shows the certificate of ${JSON.stringify(subject.CN)}: nothing was sent to it.`,
          ),
  });
  wire.once('close', () => carrier.destroy());
  let broken: Error | undefined;
  carrier.once('error', (error) => (broken ??= error));
  await new Promise<void>((resolve, reject) => {
    const late = setTimeout(() => wire.destroy(new Error('no TLS handshake in time')), ANSWER_MS);
    const failed = (error: Error & { code?: string }) => {
      clearTimeout(late);
      carrier.destroy();
      const why = broken ?? error;
      if (why instanceof VsError) return reject(why);
      if (/CERT|ISSUER|SIGNED|VERIFY/.test(error.code ?? ''))
        return reject(
          new VsError(
            'refused',
            `What answers where ${host} was expected shows a certificate that is not of this pool (${error.code}): nothing was sent to it.`,
          ),
        );
      reject(
        new VsError('unavailable', `No private connection to ${host} came about: ${why.message}.`, {
          cause: error,
        }),
      );
    };
    wire.once('secureConnect', () => {
      clearTimeout(late);
      wire.off('error', failed).off('close', closed);
      resolve();
    });
    const closed = () => failed(broken ?? new Error('it closed the connection'));
    wire.once('error', failed);
    wire.once('close', closed);
  });
  return wire;
}

/** Connects to an endpoint and shows the secret. */
export async function enterPlace(place: Place, settings: ClientSettings): Promise<Duplex> {
  const { host, address, port, path, secret } = place;
  let wire: Duplex;
  if (path) wire = await openDirect(host, { path });
  else if (!address || !port) throw new VsError('failed', `${host} did not say where the session waits.`);
  else {
    const ca = authority(settings);
    const carrier = settings.via
      ? openVia(host, settings.via, address, port)
      : await openDirect(host, { address, port });
    wire = await overTls(carrier, host, ca);
  }
  wire.on('error', () => undefined); // its end is what counts
  wire.write(`${secret}\n`);
  return wire;
}

/** Has a host open a session in a vserver, and connects to it; `endpoint` "socket" when this is the host itself. */
export async function openSession(
  client: Pick<Client, 'request'>,
  host: string,
  name: string,
  work: SessionWork,
  endpoint: 'tls' | 'socket' = 'tls',
): Promise<Duplex> {
  const settings = await clientSettings();
  const mine = oneTimeSeal();
  const answer = await client.request(
    host,
    'host-agent.session',
    { name, reader: mine.key, work, ...(endpoint === 'socket' ? { endpoint } : {}) },
    { timeoutMs: ANSWER_MS },
  );
  return enterPlace({ ...answer, host, secret: mine.open(answer.secret) }, settings);
}
