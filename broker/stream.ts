import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** What the first packet of a client may have (it must be CONNECT) (measured.md, G6); later ones have a limit of their own. */
const FIRST = 16 * 1024;
const CONNECT = 1;

/**
 * Follows the packets of an MQTT stream by their fixed headers (MQTT 3.1.1, 2.2): tells what is wrong with a chunk,
 * as soon as the length of a packet is known and before anything of it is taken in.
 */
export function watchPackets(later: number, onPacket: () => void): (chunk: Buffer) => string | undefined {
  let left = 0; // bytes of the present packet that are still to come
  let type: number | undefined; // the header of the next packet has begun
  let length = 0;
  let shift = 0;
  let first = true;
  return (chunk) => {
    for (let at = 0; at < chunk.length;) {
      if (left > 0) {
        const taken = Math.min(left, chunk.length - at);
        left -= taken;
        at += taken;
        continue;
      }
      const byte = chunk[at++] ?? 0;
      if (type === undefined) {
        type = byte >> 4;
        if (first && type !== CONNECT) return 'the first packet is no CONNECT';
        continue;
      }
      length += (byte & 127) * 2 ** shift;
      shift += 7;
      if (byte & 128) {
        if (shift > 21) return 'the length of a packet is malformed';
        continue;
      }
      const limit = first ? FIRST : later;
      if (length > limit) return `a packet of ${length} bytes was announced, ${limit} are allowed`;
      onPacket();
      [left, type, length, shift, first] = [length, undefined, 0, 0, false];
    }
    return undefined;
  };
}

/** So much leaves at once, though the turn has not ended: what waits here counts as not read by the client. */
const FULL = 64 * 1024;

type Chunk = { chunk: Buffer | string; encoding: BufferEncoding };

/** Small pieces leave a socket as one: of each message aedes makes five. */
function joinPieces(socket: Socket): void {
  const many = socket._writev?.bind(socket);
  socket._writev = (chunks, done) => {
    const pieces = (chunks as Chunk[]).map(({ chunk, encoding }) =>
      typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk,
    );
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (many && length > 4 * FULL) many(chunks, done);
    else socket._write(Buffer.concat(pieces, length), 'buffer' as BufferEncoding, done);
  };
}

/** What is written in one turn of the event loop leaves in one go: aedes would make a system call of each message. */
function joinWrites(stream: Duplex): void {
  let corked = false;
  const write = stream.write.bind(stream) as (...given: unknown[]) => boolean;
  const uncork = () => {
    if (corked) stream.uncork();
    corked = false;
  };
  stream.write = (...given: unknown[]) => {
    if (!corked) {
      corked = true;
      stream.cork();
      setImmediate(uncork);
    }
    const more = write(...given);
    if (stream.writableLength > FULL) uncork();
    return more;
  };
}

/**
 * Readies a connection for aedes: no Nagle; read() drains all that is buffered (on Node 26 it returns one chunk,
 * where aedes waits for all, and clients stall: measured.md, G1); a packet that announces too much ends the connection.
 */
export function guardStream(
  stream: Duplex,
  later: number,
  onPacket: () => void,
  onRefused: (reason: string) => void,
): void {
  if (stream instanceof Socket) {
    stream.setNoDelay(true);
    joinPieces(stream);
  }
  const wrongWith = watchPackets(later, onPacket);
  joinWrites(stream);
  const readOne = stream.read.bind(stream) as (size?: number) => Buffer | null;
  stream.read = (size?: number | null): Buffer | null => {
    if (size !== undefined && size !== null) return readOne(size);
    const chunks: Buffer[] = [];
    for (let chunk = readOne(); chunk !== null; chunk = readOne()) {
      const wrong = wrongWith(chunk);
      if (wrong) {
        onRefused(wrong);
        stream.destroy();
        return null;
      }
      chunks.push(chunk);
    }
    if (chunks.length === 0) return null;
    return chunks.length === 1 ? (chunks[0] ?? null) : Buffer.concat(chunks);
  };
}
