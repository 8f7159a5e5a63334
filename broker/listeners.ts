import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { type Server, type Socket, createServer } from 'node:net';
import { dirname } from 'node:path';
import type { Duplex } from 'node:stream';
import { type TLSSocket, createServer as createTlsServer } from 'node:tls';
import type { Settings } from '../config/settings.ts';
import { VsError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import { addressOf, isLoopback } from './addresses.ts';
import { noteCertificate } from './certificates.ts';
import type { Stats } from './stats.ts';
import type { TakeShort } from './packets.ts';
import { guardStream } from './stream.ts';
import { openTlsFiles } from './tls-files.ts';
import { createWebSocketServer } from './websocket.ts';

/** What may wait for a client before its stream says so: a frozen one must not stop the others (measured.md, G4). */
const WAITING = 4 * 1024 * 1024;
/** Clients may have a long keep-alive, or none (MQTT 3.1.1, 3.1.2.10): the kernel finds out that the other end is gone. */
const quick = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 };
/** A WebSocket message may hold several packets. */
const MORE = 64 * 1024;

/** TLS sockets take no highWaterMark from their server, so it is set where streams keep it. */
function letWait(socket: TLSSocket): void {
  const { _writableState: state } = socket as unknown as { _writableState: { highWaterMark: number } };
  state.highWaterMark = WAITING;
}

/** Opens what the settings name: plain TCP, a unix socket, a listener inherited as fd 3 (LISTEN_FDS=1, as systemd does), TLS, WebSocket. */
export async function openListeners(
  settings: Settings,
  { log, stats, take, short }: { log: Log; stats: Stats; take: (stream: Duplex) => void; short: TakeShort },
): Promise<{ ports: number[]; close(): void; cut(): void }> {
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  const secure =
    settings.BROKER_TLS_LISTEN.length + settings.BROKER_WS_LISTEN.length > 0
      ? openTlsFiles(settings, log)
      : undefined;
  const listeners = {
    ports: [] as number[],
    /** Takes no more connections. */
    close(): void {
      secure?.close();
      for (const server of servers) server.close();
    },
    /** Ends what is left of them. */
    cut(): void {
      for (const socket of sockets) socket.destroy();
    },
  };

  function accept(stream: Duplex, socket: Socket): void {
    guardStream(
      stream,
      settings.BROKER_PACKET_BYTES,
      () => stats.count('received'),
      (reason) => log.warn({ from: socket.remoteAddress }, reason),
      short,
    );
    stats.follow(socket);
    take(stream);
  }
  const plain = () => createServer({ ...quick, highWaterMark: WAITING }, (socket) => accept(socket, socket));
  function tls(): Server {
    const server = createTlsServer({ ...secure?.options, ...quick }, (socket) => {
      letWait(socket);
      noteCertificate(socket, socket);
      accept(socket, socket);
    });
    secure?.follow(server);
    return server;
  }
  function webSocket(): Server {
    const server = createWebSocketServer({
      tls: secure?.options ?? {},
      maxPayload: settings.BROKER_PACKET_BYTES + MORE,
      waiting: WAITING,
      take(stream, socket, request) {
        // A page of anybody can make a browser show its certificate: there it is no proof of a will.
        if (request.headers.origin === undefined) noteCertificate(stream, socket);
        accept(stream, socket);
      },
    });
    secure?.follow(server as never);
    return server;
  }

  async function listen(
    server: Server,
    where: object,
    name: string,
    allowed: () => void = () => undefined,
  ): Promise<void> {
    server.maxConnections = settings.BROKER_CONNECTIONS;
    server.on('drop', () =>
      stats.count('clientsDenied', { listen: name }, 'as many connections as BROKER_CONNECTIONS allows'),
    );
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    server.on('tlsClientError', (error: NodeJS.ErrnoException) =>
      stats.count(
        'clientsDenied',
        { listen: name, reason: error.code ?? error.message },
        'no TLS with a client',
      ),
    );
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) =>
        reject(
          new VsError('failed', `the broker cannot listen on ${name}: ${error.message}`, { cause: error }),
        ),
      );
      server.listen(where, resolve);
    });
    servers.push(server);
    allowed();
    const address = server.address();
    if (address && typeof address === 'object') listeners.ports.push(address.port);
    log.info({ listen: name }, 'listening');
  }
  function mayBePlain(host: string, name: string): void {
    if (settings.BROKER_PLAIN_OUTSIDE === 'yes' || isLoopback(host)) return;
    throw new VsError(
      'usage',
      `the broker does not listen on ${name} without TLS, for anybody on the way could read the passwords: use BROKER_TLS_LISTEN, or say BROKER_PLAIN_OUTSIDE=yes`,
    );
  }

  try {
    for (const one of settings.BROKER_LISTEN) mayBePlain(addressOf(one).host, one);
    for (const one of settings.BROKER_LISTEN)
      await listen(plain(), addressOf(one, settings.BROKER_LISTEN), one);
    if (settings.BROKER_SOCKET) {
      mkdirSync(dirname(settings.BROKER_SOCKET), { recursive: true, mode: 0o711 });
      rmSync(settings.BROKER_SOCKET, { force: true });
      await listen(plain(), { path: settings.BROKER_SOCKET }, settings.BROKER_SOCKET);
      chmodSync(settings.BROKER_SOCKET, 0o600);
    }
    if (process.env['LISTEN_FDS'] === '1') {
      const inherited = plain();
      await listen(inherited, { fd: 3 }, 'the inherited socket', () => {
        const address = inherited.address();
        if (address && typeof address === 'object')
          mayBePlain(address.address, `the inherited socket ${address.address}:${address.port}`);
      });
    }
    for (const one of settings.BROKER_TLS_LISTEN)
      await listen(tls(), addressOf(one, settings.BROKER_TLS_LISTEN), one);
    for (const one of settings.BROKER_WS_LISTEN)
      await listen(webSocket(), addressOf(one, settings.BROKER_WS_LISTEN), one);
  } catch (error) {
    listeners.close();
    listeners.cut();
    throw error;
  }
  return listeners;
}
