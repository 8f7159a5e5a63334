import { VsError } from './errors.ts';

// What a session speaks, both ways: one letter, the length (4 bytes, big endian), so many bytes. On the host
// services/host-agent/session/session.pl speaks it.

/** A frame holds at most so many bytes. */
export const FRAME_MOST = 65_536;
/** So much of its standard input may be under way before the process has taken it: `input` waits for `credit`. */
export const WINDOW = 262_144;

/** The letters. From the client: input, end, size, signal, ping. From the host: the others. */
export const letters = {
  input: 'i', // what the process reads
  end: 'e', // and no more
  size: 'w', // of the terminal: rows, columns, 2 bytes each
  signal: 's', // its number, 1 byte
  ping: 'p',
  output: 'o',
  complaint: 'r', // its standard error
  credit: 'c', // so many bytes of input were taken, 4 bytes
  exit: 'x', // the exit code and why it ended (0 by itself, 1 its time was over), 1 byte each
  pong: 'q',
} as const;
export type FrameType = keyof typeof letters;

export interface Frame {
  type: FrameType;
  data: Buffer;
}

const types = new Map(
  Object.entries(letters).map(([type, letter]) => [letter.charCodeAt(0), type as FrameType]),
);
const nothing = Buffer.alloc(0);

/** The bytes of one frame. */
export function frame(type: FrameType, data: Buffer = nothing): Buffer {
  const head = Buffer.alloc(5);
  head.write(letters[type], 'latin1');
  head.writeUInt32BE(data.length, 1);
  return data.length === 0 ? head : Buffer.concat([head, data]);
}

export const sizeFrame = (rows: number, columns: number): Buffer => {
  const data = Buffer.alloc(4);
  data.writeUInt16BE(rows);
  data.writeUInt16BE(columns, 2);
  return frame('size', data);
};

/** Takes frames apart as they come, in whatever pieces. Throws VsError 'failed' at what is none. */
export function openFrames(): (chunk: Buffer) => Frame[] {
  let parts: Buffer[] = [];
  let have = 0;
  /** So many bytes make the next frame whole, as far as is known. */
  let need = 5;
  return (chunk) => {
    parts.push(chunk);
    have += chunk.length;
    if (have < need) return [];
    const all = parts.length === 1 ? chunk : Buffer.concat(parts);
    const frames: Frame[] = [];
    let at = 0;
    for (need = 5; all.length - at >= 5; need = 5) {
      const type = types.get(all[at] ?? 0);
      const length = all.readUInt32BE(at + 1);
      if (!type || length > FRAME_MOST)
        throw new VsError('failed', 'what the host sent in the session is none of its frames');
      need = 5 + length;
      if (all.length - at < need) break;
      frames.push({ type, data: all.subarray(at + 5, at + need) });
      at += need;
    }
    have = all.length - at;
    parts = have === 0 ? [] : [Buffer.from(all.subarray(at))]; // a copy: it must not hold the rest
    return frames;
  };
}

/** How sessions that carry files (push, pull) end when they fail: the exit codes of services/host-agent/session/scripts.ts. */
export const fileEndings: Record<number, string> = {
  120: 'there is no such file or directory',
  121: 'that is a directory: give -r',
  122: 'its directory is not there: make it, or give -p',
  123: 'that is neither a file nor a directory',
  124: 'it could not be written',
  125: 'a directory is in its place',
  126: 'something that is no directory is in its place',
  127: 'there is no sh, tar or mktemp inside',
};
