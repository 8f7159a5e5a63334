/** A packet as aedes hands it over, and as it wants it back: its fields are those of aedes-packet. */
export interface Message {
  cmd: string;
  brokerId?: string;
  brokerCounter?: number;
  topic: string;
  payload: Buffer | string;
  qos: number;
  retain: boolean;
  dup?: boolean;
  messageId?: number | undefined;
  clientId?: string;
}

/** Bytes that are nobody else's: what a socket read lies in a buffer of many packets, and would keep all of it alive. */
export function own(payload: Buffer | string): Buffer {
  const from = typeof payload === 'string' ? Buffer.from(payload) : payload;
  if (from.length > 0 && from.length === from.buffer.byteLength) return from;
  const copy = Buffer.allocUnsafeSlow(from.length);
  from.copy(copy);
  return copy;
}

/** A new packet with the content of another; messageId comes with the delivery. */
export function copyOf(packet: Message): Message {
  return {
    cmd: packet.cmd || 'publish',
    brokerId: packet.brokerId ?? '',
    brokerCounter: packet.brokerCounter ?? 0,
    topic: packet.topic,
    payload: packet.payload,
    qos: packet.qos || 0,
    retain: packet.retain || false,
    dup: packet.dup || false,
    messageId: undefined,
  };
}

export const sizeOf = (packet: Message): number =>
  Buffer.byteLength(packet.topic ?? '') + Buffer.byteLength(packet.payload ?? '');
