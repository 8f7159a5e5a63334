import { timingSafeEqual } from 'node:crypto';
import { type Server, type Socket, createServer } from 'node:net';
import { VsError } from '../../shared/errors.ts';

export interface Endpoint {
  port: number;
  close(): void;
}

const plain = (address: string | undefined): string => (address ?? '').replace(/^::ffff:/, '');

/** Are two secrets the same? In constant time. */
export function same(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/**
 * Listens for one connection from one address, until `ttl` ms have passed; it closes after use, and with the process.
 * Connections from elsewhere are dropped and do not use it up.
 */
export async function openEndpoint(options: {
  address: string;
  from: string;
  ttl: number;
  serve: (socket: Socket) => Promise<void>;
  onRefused: (from: string) => void;
  onClose: () => void;
}): Promise<Endpoint> {
  let used = false;
  const server: Server = createServer(
    { pauseOnConnect: true, allowHalfOpen: true, noDelay: true },
    (socket) => {
      socket.on('error', () => undefined);
      if (used || plain(socket.remoteAddress) !== options.from) {
        options.onRefused(plain(socket.remoteAddress));
        socket.destroy();
        return;
      }
      used = true;
      close();
      options.serve(socket).catch(() => socket.destroy());
    },
  );
  const timer = setTimeout(() => close(), options.ttl);
  function close(): void {
    clearTimeout(timer);
    if (server.listening) server.close();
    options.onClose();
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new VsError(
          'failed',
          `no transfer endpoint could be opened on ${options.address}: ${error.message}`,
          { cause: error },
        ),
      ),
    );
    server.listen({ host: options.address, port: 0 }, resolve);
  });
  const address = server.address();
  return { port: typeof address === 'object' && address ? address.port : 0, close };
}
