import { isIPv4 } from 'node:net';
import { numberOf } from './addresses.ts';
import type { Packet } from './evaluate.ts';
import { protocols } from '../../shared/protocols.ts';

const numberOfProtocol = ({ protocol }: Packet): number =>
  typeof protocol === 'number' ? protocol : (protocols[protocol] ?? 0);

function addressBytes(address: string): Buffer {
  const size = isIPv4(address) ? 4 : 16;
  return Buffer.from(
    numberOf(address)
      .toString(16)
      .padStart(size * 2, '0'),
    'hex',
  );
}
/** The checksum of the Internet (RFC 1071). */
function checksum(...parts: Buffer[]): number {
  const bytes = Buffer.concat(parts);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

/** What is behind the IP header, and where its checksum stands. */
function payloadOf(packet: Packet): { payload: Buffer; sumAt?: number } {
  const { protocol, sourcePort = 0, destinationPort = 0, icmpType } = packet;
  if (protocol === 'tcp') {
    const payload = Buffer.alloc(20);
    payload.writeUInt16BE(sourcePort, 0);
    payload.writeUInt16BE(destinationPort, 2);
    payload.writeUInt32BE(1, 4);
    payload.writeUInt16BE(0x5002, 12); // five words of header, SYN
    payload.writeUInt16BE(64_240, 14);
    return { payload, sumAt: 16 };
  }
  if (protocol === 'udp') {
    const payload = Buffer.alloc(8);
    payload.writeUInt16BE(sourcePort, 0);
    payload.writeUInt16BE(destinationPort, 2);
    payload.writeUInt16BE(8, 4);
    return { payload, sumAt: 6 };
  }
  if (protocol === 'icmp' || protocol === 'icmpv6') {
    const payload = Buffer.alloc(28);
    payload[0] = icmpType ?? (protocol === 'icmp' ? 8 : 128);
    return { payload, sumAt: 2 };
  }
  return { payload: Buffer.alloc(16) };
}

/** The packet as it is on the wire, from its IP header on. */
export function packetBytes(packet: Packet): Buffer {
  const { payload, sumAt } = payloadOf(packet);
  const [source, destination] = [addressBytes(packet.source), addressBytes(packet.destination)];
  const number = numberOfProtocol(packet);
  const six = source.length === 16;
  if (sumAt !== undefined) {
    const pseudo = Buffer.alloc(4);
    pseudo.writeUInt16BE(number, 0);
    pseudo.writeUInt16BE(payload.length, 2);
    // the checksum of ICMP has no addresses in it, all others have
    const sum =
      packet.protocol === 'icmp' ? checksum(payload) : checksum(source, destination, pseudo, payload);
    payload.writeUInt16BE(sum === 0 ? 0xffff : sum, sumAt);
  }
  if (six) {
    const header = Buffer.alloc(8);
    header.writeUInt32BE(0x6000_0000, 0);
    header.writeUInt16BE(payload.length, 4);
    header[6] = number;
    header[7] = 64;
    return Buffer.concat([header, source, destination, payload]);
  }
  const header = Buffer.alloc(12);
  header.writeUInt16BE(0x4500, 0);
  header.writeUInt16BE(20 + payload.length, 2);
  header.writeUInt16BE(1, 4);
  header[8] = 64;
  header[9] = number;
  header.writeUInt16BE(checksum(header, source, destination), 10);
  return Buffer.concat([header, source, destination, payload]);
}
