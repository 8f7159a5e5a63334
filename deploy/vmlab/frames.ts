/** An Ethernet frame as the taps of the wires keep it: its head is enough. */
export interface Frame {
  /** Epoch ms. */
  at: number;
  /** The socket of the wire that it came from: the machine that sent it. */
  from: string;
  bytes: number;
  source: string;
  destination: string;
  /** The 802.1q tag; undefined: none. */
  vlan: number | undefined;
  type: number;
  /** Addresses of IPv4, or of ARP. */
  addresses: [string, string] | undefined;
}

const mac = (bytes: Buffer): string => bytes.toString('hex').replace(/..(?!$)/g, '$&:');
const ip = (bytes: Buffer): string => [...bytes].join('.');
const TAG = 0x8100;
export const ARP = 0x0806;
export const IP4 = 0x0800;

/** Reads the head of a frame; undefined: it is too short for one. */
export function parseFrame(data: Buffer): Omit<Frame, 'at' | 'from' | 'bytes'> | undefined {
  if (data.length < 18) return undefined;
  const tagged = data.readUInt16BE(12) === TAG;
  const vlan = tagged ? data.readUInt16BE(14) & 0xfff : undefined;
  const type = data.readUInt16BE(tagged ? 16 : 12);
  const body = data.subarray(tagged ? 18 : 14);
  const at = type === IP4 && body.length >= 20 ? [12, 16] : type === ARP && body.length >= 28 ? [14, 24] : [];
  const [one, two] = at;
  return {
    destination: mac(data.subarray(0, 6)),
    source: mac(data.subarray(6, 12)),
    vlan,
    type,
    addresses:
      one === undefined || two === undefined
        ? undefined
        : [ip(body.subarray(one, one + 4)), ip(body.subarray(two, two + 4))],
  };
}

/** pcap(5): so tcpdump and others read what a tap kept. Microseconds, Ethernet. */
export const SNAP = 128;
export function pcapHead(): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(SNAP, 16);
  head.writeUInt32LE(1, 20);
  return head;
}

/** One frame of such a file. */
export function pcapFrame(at: number, data: Buffer): Buffer {
  const kept = data.subarray(0, SNAP);
  const head = Buffer.alloc(16);
  head.writeUInt32LE(Math.floor(at / 1000), 0);
  head.writeUInt32LE(Math.floor((at % 1000) * 1000), 4);
  head.writeUInt32LE(kept.length, 8);
  head.writeUInt32LE(data.length, 12);
  return Buffer.concat([head, kept]);
}

/** The frames of such a file; a frame of which the end is missing yet is left out. */
export function readPcap(file: Buffer, from: string): Frame[] {
  const frames: Frame[] = [];
  for (let place = 24; place + 16 <= file.length;) {
    const [seconds, micros] = [file.readUInt32LE(place), file.readUInt32LE(place + 4)];
    const [kept, bytes] = [file.readUInt32LE(place + 8), file.readUInt32LE(place + 12)];
    if (place + 16 + kept > file.length) break;
    const parsed = parseFrame(file.subarray(place + 16, place + 16 + kept));
    if (parsed) frames.push({ at: seconds * 1000 + micros / 1000, from, bytes, ...parsed });
    place += 16 + kept;
  }
  return frames;
}
