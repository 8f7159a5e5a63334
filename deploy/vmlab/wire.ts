import { once } from 'node:events';
import { type WriteStream, createWriteStream } from 'node:fs';
import { type Socket, createServer } from 'node:net';
import { parseFrame, pcapFrame, pcapHead } from './frames.ts';

/**
 * The wires between the VMs: a learning switch that knows of no VLAN but what it is told by tags, as one that one buys, with a tap
 * at every port. QEMU's `-netdev stream` connects to a socket a port, and puts the length (4 bytes) before each frame.
 * Usage: wire.ts DIRECTORY WIRE:PORT[:tap]...; it says `ready` when all listen. The socket of a port is DIRECTORY/WIRE-PORT.sock, what comes in at one with a tap is kept in WIRE-PORT.pcap.
 */
interface Port {
  name: string;
  socket: Socket | undefined;
  tap: WriteStream | undefined;
}
interface Wire {
  ports: Port[];
  /** By VLAN and MAC. */
  learned: Map<string, Port>;
}

const MOST = 65_536;
/** What may wait for a VM that does not read, before frames for it are lost, as in any switch. */
const MOST_WAITING = 4 * 1024 * 1024;

function pass(wire: Wire, from: Port, framed: Buffer): void {
  const data = framed.subarray(4);
  from.tap?.write(pcapFrame(Date.now(), data));
  const frame = parseFrame(data);
  if (!frame) return;
  const place = (mac: string) => `${frame.vlan ?? 0} ${mac}`;
  wire.learned.set(place(frame.source), from);
  const known = wire.learned.get(place(frame.destination));
  for (const to of known ? [known] : wire.ports)
    if (to !== from && to.socket && to.socket.writableLength < MOST_WAITING) to.socket.write(framed);
}

function serve(wire: Wire, port: Port, socket: Socket): void {
  port.socket?.destroy(); // its VM has begun anew
  port.socket = socket;
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let place = 0;
    while (rest.length - place >= 4) {
      const length = rest.readUInt32BE(place);
      if (length > MOST) {
        socket.destroy();
        return;
      }
      if (rest.length - place < 4 + length) break;
      pass(wire, port, Buffer.from(rest.subarray(place, place + 4 + length)));
      place += 4 + length;
    }
    rest = rest.subarray(place);
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    if (port.socket === socket) port.socket = undefined;
  });
}

const [directory = '.', ...wanted] = process.argv.slice(2);
const wires = new Map<string, Wire>();
for (const one of wanted) {
  const [name = '', portName = '', tapped] = one.split(':');
  const wire: Wire = wires.get(name) ?? { ports: [], learned: new Map() };
  wires.set(name, wire);
  const tap = tapped === 'tap' ? createWriteStream(`${directory}/${name}-${portName}.pcap`) : undefined;
  tap?.write(pcapHead());
  const port: Port = { name: portName, socket: undefined, tap };
  wire.ports.push(port);
  const server = createServer((socket) => serve(wire, port, socket));
  server.listen(`${directory}/${name}-${portName}.sock`);
  await once(server, 'listening');
}
console.log('ready');
