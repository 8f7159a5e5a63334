import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** What the first packet of a client may have (it must be CONNECT) (measured.md, G6); later ones have a limit of their own. */
const FIRST = 16 * 1024;
const CONNECT = 1;

/**
 * Follows the packets of an MQTT stream by their fixed headers (MQTT 3.1.1, 2.2): tells what is wrong with a chunk,
 * as soon as the length of a packet is known and before anything of it is taken in.
 */
export function watchPackets(later: number, onPacket: () => void) {
  let left = 0; // bytes of the present packet that are still to come
  let type: number | undefined; // the header of the next packet has begun
  let length = 0;
  let shift = 0;
  let first = true;
  /** Is the next byte the first of a packet, and not that of CONNECT? */
  const between = () => left === 0 && type === undefined && !first;
  function wrongWith(chunk: Buffer): string | undefined {
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
  }
  return { between, wrongWith };
}

/** Takes a whole PUBLISH of QoS 0 with so many bytes before its topic, or not. */
export type TakeShort = (stream: object, packet: Buffer, head: number) => boolean;
const PUBLISH_0 = 0x30;

/** What is left of the packets once those at the front that `take` takes are gone: nothing overtakes what was not taken. */
function withoutShort(packets: Buffer, take: (packet: Buffer, head: number) => boolean): Buffer {
  let at = 0;
  while (packets[at] === PUBLISH_0) {
    let length = 0;
    let head = 1;
    for (let more = true; more; head++) {
      const byte = packets[at + head];
      if (byte === undefined) return packets.subarray(at);
      length += (byte & 127) * 2 ** (7 * (head - 1));
      more = (byte & 128) !== 0;
    }
    const end = at + head + length;
    if (end > packets.length || !take(packets.subarray(at, end), head)) break;
    at = end;
  }
  return packets.subarray(at);
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
