import { readFileSync } from 'node:fs';
import { Socket, isIP } from 'node:net';
import { type TLSSocket, connect, getCACertificates } from 'node:tls';
import { VsError } from '../errors.ts';

/** Paths of PEM files; empty where there is none. */
export interface TlsFiles {
  /** The authorities that the broker's certificate may come from; those of the system unless given. */
  ca?: string;
  /** The client certificate and its key. */
  cert?: string;
  key?: string;
}

function read(file: string, setting: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const message = `The file ${file} (${setting}) cannot be read: ${(error as Error).message}`;
    throw new VsError('usage', message, { cause: error });
  }
}

function connectTls(url: string, files: TlsFiles): TLSSocket {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  const { ca, cert, key } = files;
  if (!cert !== !key) throw new VsError('usage', 'BROKER_CERT and BROKER_KEY go together: set both or none.');
  const given = {
    ca: ca ? read(ca, 'BROKER_CA') : getCACertificates('system'),
    ...(cert && key ? { cert: read(cert, 'BROKER_CERT'), key: read(key, 'BROKER_KEY') } : {}),
  };
  try {
    return connect({
      host,
      port: Number(port || 8883),
      ...(isIP(host) ? {} : { servername: host }),
      ...given,
      minVersion: 'TLSv1.2',
    });
  } catch (error) {
    const named = [ca, cert, key].filter(Boolean).join(', ');
    const message = `${named} cannot be used for TLS: ${(error as Error).message}.`;
    throw new VsError('usage', message, { cause: error });
  }
}

/**
 * The stream to a broker at `mqtts://host:port`; the files are read for each connection, so renewed ones are taken.
 * What is written waits until the broker's certificate is found good. What fails shows as an error of the stream.
 */
export function openTls(url: string, files: TlsFiles): Socket {
  let socket: TLSSocket;
  try {
    socket = connectTls(url, files);
  } catch (error) {
    const none = new Socket();
    process.nextTick(() => none.destroy(error as Error));
    return none;
  }
  socket.setNoDelay(true); // Nagle dominates latency otherwise (measured.md)
  let agreed = false;
  socket.once('secureConnect', () => (agreed = true));
  // Some errors come through destroy, alerts after the handshake do not.
  const emit = socket.emit.bind(socket) as (event: string | symbol, ...args: unknown[]) => boolean;
  socket.emit = (event: string | symbol, ...args: unknown[]) => {
    const said = event === 'error' ? sentenceOf(args[0] as Error, url, files, agreed) : undefined;
    if (said === undefined) return emit(event, ...args);
    return emit('error', new VsError('unavailable', said, { retryable: true, cause: args[0] }));
  };
  return socket;
}

export const certificateRefused = (url: string, cert: string): string =>
  `The broker at ${url} refuses the client certificate ${cert} (BROKER_CERT).`;

/** What went wrong with TLS, for people; undefined when it is something else. */
function sentenceOf(
  error: NodeJS.ErrnoException & { cert?: { subjectaltname?: string } },
  url: string,
  files: TlsFiles,
  agreed: boolean,
): string | undefined {
  // EPROTO is any of them, found in a write instead of a read: its name is in the message.
  const code =
    error.code === 'EPROTO' ? error.message.toUpperCase().replaceAll(' ', '_') : (error.code ?? '');
  const shows = `The broker at ${url} shows a certificate`;
  if (code === 'CERT_HAS_EXPIRED') return `${shows} that has expired.`;
  if (code === 'CERT_NOT_YET_VALID') return `${shows} that is not valid yet: is the clock right?`;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `${shows} for other names: ${error.cert?.subjectaltname || 'it has none'}.`;
  if (code === 'INVALID_PURPOSE') return `${shows} that is not made for a server.`;
  if (/^(DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|CERT_|INVALID_CA)/.test(code))
    return files.ca
      ? `${shows} of an authority that is not in ${files.ca} (BROKER_CA).`
      : `${shows} of an authority that this system does not trust: set BROKER_CA.`;
  if (/ALERT_(UNKNOWN_CA|BAD_CERT|CERTIFICATE_|NO_CERT|UNSUPPORTED_CERT|ACCESS_DENIED|DECRYPT)/.test(code))
    return files.cert
      ? certificateRefused(url, files.cert)
      : `The broker at ${url} wants a client certificate: set BROKER_CERT and BROKER_KEY.`;
  if (/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|NO_SHARED_CIPHER|HANDSHAKE_FAILURE/.test(code))
    return `The broker at ${url} knows no TLS that is good enough: 1.2 or newer is needed.`;
  if (!agreed && /^(ERR_SSL_|ECONNRESET|EPIPE|WRITE_EPROTO)/.test(code))
    return `What answers at ${url} does not speak TLS: is it the plain port (mqtt://)?`;
  return undefined;
}
