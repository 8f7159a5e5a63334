import { type Socket, connect } from 'node:net';
import mqtt, { type IConnectPacket, type IPublishPacket, type Packet } from 'mqtt-packet';
import { until } from './bus-kit.ts';

const open: Socket[] = [];

/** A TCP connection that speaks MQTT packet by packet, as no client library does. */
export function speak(port: number) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  open.push(socket);
  const packets: Packet[] = [];
  const parser = mqtt.parser();
  let closed = false;
  let acknowledging = true;
  const send = (packet: Packet) => void socket.write(mqtt.generate(packet));
  parser.on('packet', (packet: Packet) => {
    packets.push(packet);
    if (acknowledging && packet.cmd === 'publish' && packet.qos === 1)
      send({ cmd: 'puback', messageId: packet.messageId ?? 0 });
  });
  socket.on('data', (chunk) => void parser.parse(Buffer.from(chunk)));
  socket.on('error', () => undefined);
  socket.on('close', () => (closed = true));
  const of = (cmd: Packet['cmd']) => packets.filter((one) => one.cmd === cmd);
  return {
    socket,
    packets,
    send,
    of,
    closed: () => closed,
    /** Answers no PUBLISH any more. */
    dumb: () => void (acknowledging = false),
    heard: () =>
      (of('publish') as IPublishPacket[]).map((one) => ({
        topic: one.topic,
        text: one.payload.toString(),
        qos: one.qos,
        retain: one.retain,
        dup: one.dup,
      })),
    async connect(clientId: string, more: Partial<IConnectPacket> = {}) {
      const [username] = clientId.split('-');
      send({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 4,
        clean: true,
        keepalive: 60,
        username: username || 'operator',
        password: Buffer.from('right'),
        clientId,
        ...more,
      });
      await until(() => of('connack').length > 0 || closed, `an answer to ${clientId}`);
      return of('connack')[0] as { returnCode: number; sessionPresent: boolean } | undefined;
    },
    async subscribe(qos: 0 | 1 | 2, ...topics: string[]) {
      const before = of('suback').length;
      send({ cmd: 'subscribe', messageId: 7, subscriptions: topics.map((topic) => ({ topic, qos })) });
      await until(() => of('suback').length > before || closed, `SUBACK of ${topics.join(' ').slice(0, 80)}`);
      return (of('suback').at(-1) as { granted: number[] } | undefined)?.granted;
    },
    /** PUBLISH of QoS 0 or 1; waits for PUBACK, or for the answer to a PINGREQ behind it. */
    async publish(topic: string, text: string | Buffer, qos: 0 | 1 = 1, retain = false) {
      const word = qos === 1 ? 'puback' : 'pingresp';
      const before = of(word).length;
      send({ cmd: 'publish', topic, payload: text, qos, retain, dup: false, messageId: 9 });
      if (qos === 0) send({ cmd: 'pingreq' });
      await until(() => of(word).length > before || closed, `${word} for ${topic}`);
    },
    async bye() {
      send({ cmd: 'disconnect' });
      await until(() => closed, 'the end of the connection');
    },
  };
}
export type Speaker = ReturnType<typeof speak>;

/** Ends all of them. */
export function hangUp(): void {
  for (const socket of open) socket.destroy();
}
