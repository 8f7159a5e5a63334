import { type IncomingMessage, STATUS_CODES } from 'node:http';
import { createServer } from 'node:https';
import type { Server } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket, TlsOptions } from 'node:tls';
import { type WebSocket, WebSocketServer, createWebSocketStream } from 'ws';

const SUBPROTOCOL = 'mqtt';

/** A WebSocket as a stream of bytes. What is written in one go leaves as one message: aedes writes field by field (measured.md, G1). */
function streamOf(socket: WebSocket, waiting: number): Duplex {
  socket.on('message', (_data, isBinary) => isBinary || socket.terminate()); // MQTT 3.1.1, 6.0
  return createWebSocketStream(socket, {
    writableHighWaterMark: waiting,
    writev(chunks, done) {
      socket.send(Buffer.concat(chunks.map((one) => one.chunk as Buffer)), done);
    },
  });
}

/** A server for MQTT over WebSocket over TLS; anything else is answered with an HTTP error. */
export function createWebSocketServer(options: {
  tls: TlsOptions;
  /** Bytes of one message at most. */
  maxPayload: number;
  /** Bytes that may wait for a client before its stream says so. */
  waiting: number;
  /** The stream has the address of the other end, as sockets do. */
  take: (stream: Duplex, socket: TLSSocket, request: IncomingMessage) => void;
}): Server {
  const websockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: options.maxPayload,
    handleProtocols: () => SUBPROTOCOL,
  });
  const server = createServer(
    {
      ...options.tls,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
      headersTimeout: 10_000,
      requestTimeout: 10_000,
      connectionsCheckingInterval: 5000,
    },
    (_request, response) => void response.writeHead(426, { connection: 'close' }).end(),
  );
  server.on('upgrade', (request: IncomingMessage, socket: TLSSocket, head: Buffer) => {
    const asked = request.headers['sec-websocket-protocol']?.split(',').map((one) => one.trim()) ?? [];
    if (!asked.includes(SUBPROTOCOL)) {
      socket.on('error', () => undefined);
      socket.end(`HTTP/1.1 400 ${STATUS_CODES[400]}\r\nconnection: close\r\n\r\n`);
      return;
    }
    websockets.handleUpgrade(request, socket, head, (one) => {
      const stream = streamOf(one, options.waiting);
      options.take(Object.assign(stream, { remoteAddress: socket.remoteAddress }), socket, request);
    });
  });
  return server;
}
