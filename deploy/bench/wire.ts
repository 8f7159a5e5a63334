import { type Socket, connect } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import mqtt from 'mqtt-packet';

/** Types of MQTT control packets (3.1.1, 2.2.1) that the bench looks at. */
export const types = { connack: 2, publish: 3, puback: 4, suback: 9 } as const;
export interface Packet {
  type: number;
  flags: number;
  body: Buffer;
}

/** Cuts a stream into packets; nothing of them is read, so that the generator costs little beside the broker. */
export function splitter(onPacket: (packet: Packet) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let at = 0;
    for (;;) {
      let [length, shift, head] = [0, 0, at + 1];
      let byte = 128;
      while (byte & 128 && head < bytes.length) {
        byte = bytes[head++] ?? 0;
        length += (byte & 127) * 2 ** shift;
        shift += 7;
      }
      if (byte & 128 || head + length > bytes.length) break;
      const first = bytes[at] ?? 0;
      onPacket({ type: first >> 4, flags: first & 15, body: bytes.subarray(head, head + length) });
      at = head + length;
    }
    rest = at < bytes.length ? bytes.subarray(at) : Buffer.alloc(0);
  };
}

/** Topic, payload and (QoS 1) message id of a PUBLISH. */
export function readPublish({ flags, body }: Packet) {
  const end = 2 + body.readUInt16BE(0);
  const qos = (flags >> 1) & 3;
  return {
    topic: body.toString('utf8', 2, end),
    payload: body.subarray(qos > 0 ? end + 2 : end),
    messageId: qos > 0 ? body.readUInt16BE(end) : undefined,
    retain: (flags & 1) === 1,
  };
}
export const publishOf = (
  topic: string,
  payload: string | Buffer,
  qos: 0 | 1 = 0,
  messageId = 1,
  retain = false,
): Buffer => mqtt.generate({ cmd: 'publish', topic, payload, qos, messageId, retain, dup: false });
export const pubackOf = (messageId: number): Buffer =>
  Buffer.from([0x40, 2, messageId >> 8, messageId & 255]);

export interface Who {
  port: number;
  user: string;
  id?: string;
  tls?: ConnectionOptions;
}
export interface Client {
  socket: Socket;
  write(bytes: Buffer): void;
  /** Hears every packet after CONNACK and those that `subscribe` waits for. */
  on(listener: (packet: Packet) => void): void;
  subscribe(filter: string, qos: 0 | 1): Promise<void>;
}

/** A client that is in: TCP or TLS, no Nagle, CONNECT with the bench's password (none with a certificate). */
export function enter({ port, user, id = user, tls }: Who): Promise<Client> {
  return new Promise((resolve, reject) => {
    const where = { port, host: '127.0.0.1' };
    const hello = mqtt.generate({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clean: true,
      clientId: id,
      keepalive: 60,
      ...(tls ? {} : { username: user, password: Buffer.from('bench') }),
    });
    const socket: Socket = tls
      ? connectTls({ ...where, ...tls }, () => socket.write(hello))
      : connect(where, () => socket.write(hello));
    socket.setNoDelay(true);
    let listener = (_packet: Packet) => {};
    let granted = (_code: number) => {};
    const end = (error: unknown) =>
      reject(error instanceof Error ? error : new Error(`${id} was not let in: the connection ended`));
    socket.on('error', end).on('close', end);
    socket.on(
      'data',
      splitter((packet) => {
        if (packet.type === types.suback) granted(packet.body[2] ?? 128);
        else if (packet.type !== types.connack) listener(packet);
        else if (packet.body[1] === 0) resolve(client);
        else end(new Error(`${id} was not let in: CONNACK ${packet.body[1]}`));
      }),
    );
    const client: Client = {
      socket,
      write: (bytes) => void socket.write(bytes),
      on: (one) => void (listener = one),
      subscribe: (topic, qos) =>
        new Promise((done, fail) => {
          granted = (code) => (code === 128 ? fail(new Error(`${topic} was refused to ${id}`)) : done());
          socket.write(
            mqtt.generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }] } as never),
          );
        }),
    };
  });
}
