import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { PUBLISH_0, type TakeShort, watchPackets, withoutShort } from './packets.ts';

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
  short: TakeShort = () => false,
): void {
  if (stream instanceof Socket) {
    stream.setNoDelay(true);
    joinPieces(stream);
  }
  const { between, wrongWith } = watchPackets(later, onPacket);
  const take = (packet: Buffer, head: number) => short(stream, packet, head);
  joinWrites(stream);
  const readOne = stream.read.bind(stream) as (size?: number) => Buffer | null;
  stream.read = (size?: number | null): Buffer | null => {
    if (size !== undefined && size !== null) return readOne(size);
    const chunks: Buffer[] = [];
    const aligned = between();
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
    const all = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
    if (!all || !aligned || all[0] !== PUBLISH_0) return all ?? null;
    const rest = withoutShort(all, take);
    return rest.length > 0 ? rest : null;
  };
}
