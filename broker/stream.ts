import type { Socket } from 'node:net';

/** What a client may send before it has said who it is, and after (measured.md, G6). */
const BEFORE_CONNECT = 16 * 1024;
const AFTER_CONNECT = 1024 * 1024;

interface Parser {
  packet?: { length?: number } | null;
}
interface Guarded {
  _parser?: Parser;
  connected?: boolean;
}

/**
 * Readies a connection for aedes: no Nagle; read() drains all that is buffered (on Node 26 it returns one chunk,
 * where aedes waits for all, and clients stall: measured.md, G1); a packet that announces too much ends the connection.
 */
export function guardStream(socket: Socket, onRefused: (reason: string) => void): void {
  socket.setNoDelay(true);
  const readOne = socket.read.bind(socket) as (size?: number) => Buffer | null;
  socket.read = (size?: number | null): Buffer | null => {
    if (size !== undefined && size !== null) return readOne(size);
    const chunks: Buffer[] = [];
    for (let chunk = readOne(); chunk !== null; chunk = readOne()) chunks.push(chunk);
    if (chunks.length === 0) return null;
    checkLater(socket, onRefused);
    return chunks.length === 1 ? (chunks[0] ?? null) : Buffer.concat(chunks);
  };
}

/** After aedes has parsed what was read: how long is the packet that is still incomplete? */
function checkLater(socket: Socket, onRefused: (reason: string) => void): void {
  queueMicrotask(() => {
    const client = (socket as Socket & { client?: Guarded }).client;
    const announced = client?._parser?.packet?.length ?? 0;
    const limit = client?.connected ? AFTER_CONNECT : BEFORE_CONNECT;
    if (announced > limit) {
      onRefused(`a packet of ${announced} bytes was announced, ${limit} are allowed`);
      socket.destroy();
    }
  });
}
