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
export const PUBLISH_0 = 0x30;

/** What is left of the packets once those at the front that `take` takes are gone: nothing overtakes what was not taken. */
export function withoutShort(packets: Buffer, take: (packet: Buffer, head: number) => boolean): Buffer {
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
