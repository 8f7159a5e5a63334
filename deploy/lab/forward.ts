import { type Socket, connect, createServer } from 'node:net';

// usage: forward.ts ADDRESS:PORT ...     Accepts on descriptor 3 and carries each connection to the first that answers.
const targets = process.argv.slice(2).map((text) => {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(text) ?? [];
  return { host, port: Number(port) };
});

function carry(client: Socket, left: typeof targets): void {
  const [target, ...others] = left;
  if (!target || client.destroyed) {
    client.destroy();
    return;
  }
  const broker = connect({ ...target, noDelay: true });
  let there = false;
  broker.once('connect', () => {
    there = true;
    client.pipe(broker).pipe(client);
  });
  broker.on('error', () => (there ? client.destroy() : carry(client, others)));
  broker.on('close', () => there && client.destroy());
  client.on('error', () => broker.destroy()).on('close', () => broker.destroy());
}
createServer({ noDelay: true }, (client) => carry(client, targets)).listen({ fd: 3 });
