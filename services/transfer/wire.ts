import { type Socket, connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import type { Channel } from '../../shared/contract/transfer.ts';
import { VsError } from '../../shared/errors.ts';
import type { Identity } from '../../shared/identity.ts';
import type { Held } from './held.ts';
import { readLine, wrongIn } from './hello.ts';
import { nameIn, tlsOptions, wrongWith } from './identity.ts';
import { openSsh } from './ssh.ts';

/** Where an endpoint is, and how it is reached. */
export interface Way {
  channel: Channel;
  address: string;
  port: number;
  /** The host that must be there. */
  toHost: string;
  secret: string;
  /** Of this host; for TLS. */
  identity?: Identity | undefined;
  signal: AbortSignal;
  /** A connection that was made before, and has been taken by the other side. */
  held?: Held | undefined;
}

/** How long a connection and the answer to the first line may take (ms). */
const ANSWER_MS = 20_000;

const unreachable = (address: string, error: Error) =>
  new VsError('failed', `the endpoint at ${address} cannot be reached: ${error.message}`, {
    retryable: true,
    cause: error,
  });

async function openPlain({ address, port, signal }: Way): Promise<Socket> {
  const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true, signal });
  const late = setTimeout(() => socket.destroy(new Error('no connection in time')), ANSWER_MS);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (error) => reject(unreachable(address, error)));
    socket.once('close', () => reject(unreachable(address, new Error('the connection was closed'))));
  }).finally(() => clearTimeout(late));
  return socket;
}

/** A connection of TLS whose other end has shown the certificate of the target host, before anything is sent. */
async function openTls(way: Way): Promise<Duplex> {
  const { identity, toHost, address } = way;
  if (!identity) throw new VsError('internal', 'TLS without a certificate of this host');
  const socket = await openPlain(way);
  const shows = `what answers at ${address}, where ${toHost} was expected, shows a certificate`;
  const wire = connectTls({
    socket,
    ...tlsOptions(identity),
    checkServerIdentity: (_host, { subject }) =>
      subject.CN === toHost && Object.keys(subject).length === 1
        ? undefined
        : new VsError('refused', `${shows} of ${nameIn(`CN=${String(subject.CN)}`)}: nothing was sent to it`),
  });
  await new Promise<void>((resolve, reject) => {
    const late = setTimeout(() => wire.destroy(new Error('no TLS handshake in time')), ANSWER_MS);
    wire.once('secureConnect', () => {
      clearTimeout(late);
      resolve();
    });
    wire.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(late);
      socket.destroy();
      if (error instanceof VsError) return reject(error);
      const why = wrongWith(error.code ?? '');
      if (why !== error.code && error.code)
        return reject(
          new VsError('refused', `${shows} that does not count: ${why}; nothing was sent to it`, {
            cause: error,
          }),
        );
      reject(
        new VsError('failed', `no TLS connection to ${toHost} at ${address}: ${error.message}`, {
          retryable: true,
          cause: error,
        }),
      );
    });
  });
  return wire;
}

/** Source: a stream to the endpoint of a host that has taken the secret; `words` say what comes. */
export async function openWire(way: Way, words: string[]): Promise<Duplex> {
  const { held } = way;
  if (held) {
    const end = () => held.wire.destroy();
    if (held.words !== words.join(' ')) {
      end();
      throw new VsError('failed', 'the connection that was made before is for another kind of pass', {
        retryable: true,
      });
    }
    way.signal.addEventListener('abort', end, { once: true });
    held.wire.once('close', () => way.signal.removeEventListener('abort', end));
    if (way.signal.aborted) end();
    return held.wire;
  }
  const wire =
    way.channel === 'tls'
      ? await openTls(way)
      : way.channel === 'ssh'
        ? openSsh(way.address, way.port)
        : await openPlain(way);
  let broken: Error | undefined;
  wire.on('error', (error: Error) => (broken ??= error)); // of what it carries; the reader hears the end
  const giveUp = () => wire.destroy();
  way.signal.addEventListener('abort', giveUp, { once: true });
  wire.once('close', () => way.signal.removeEventListener('abort', giveUp));
  if (way.signal.aborted) giveUp();
  try {
    wire.write(`${[way.secret, ...words].join(' ')}\n`);
    const wrong = wrongIn(await readLine(wire, ANSWER_MS));
    if (wrong !== undefined)
      throw new VsError('refused', `${way.toHost} refused the connection of this host: ${wrong}`);
    return wire;
  } catch (error) {
    wire.destroy();
    if (way.signal.aborted) throw new VsError('failed', 'the copy was given up', { cause: error });
    if (broken instanceof VsError) throw broken;
    if (error instanceof VsError && error.code === 'refused') throw error;
    const why = broken?.message ?? 'it closed the connection before it took anything; its log says why';
    throw new VsError('failed', `the endpoint of ${way.toHost} at ${way.address}: ${why}`, {
      retryable: true,
      cause: error,
    });
  }
}
