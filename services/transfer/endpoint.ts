import { type Server, type Socket, createServer } from 'node:net';
import { VsError } from '../../shared/errors.ts';
import { HELLO_MS } from './hello.ts';

export interface Endpoint {
  port: number;
  close(): void;
}

const plain = (address: string | undefined): string => (address ?? '').replace(/^::ffff:/, '');
/** So many connections from the right address may be about to prove who they are. */
const MOST_WAITING = 16;

/**
 * Listens for one connection from one address, until `ttl` ms have passed; it closes after use, and with the process.
 * Connections from elsewhere, and those that `admit` rejects, are dropped and do not use it up; `admit` answers what is served.
 */
export async function openEndpoint<Admitted>(options: {
  address: string;
  from: string;
  ttl: number;
  /** Finds out who it is; the connection is ended when that takes longer than HELLO_MS. */
  admit: (socket: Socket) => Promise<Admitted>;
  serve: (admitted: Admitted) => Promise<void>;
  onRefused: (from: string, reason: string) => void;
  onClose: () => void;
}): Promise<Endpoint> {
  let used = false;
  const waiting = new Set<Socket>();
  const server: Server = createServer(
    { pauseOnConnect: true, allowHalfOpen: true, noDelay: true },
    (socket) => {
      socket.on('error', () => undefined);
      const from = plain(socket.remoteAddress);
      const wrong =
        from !== options.from
          ? 'it is another address'
          : used
            ? 'the endpoint was used already'
            : waiting.size >= MOST_WAITING
              ? `${MOST_WAITING} others are at it`
              : undefined;
      if (wrong) {
        options.onRefused(from, wrong);
        socket.destroy();
        return;
      }
      waiting.add(socket);
      const late = setTimeout(() => socket.destroy(), HELLO_MS);
      void options
        .admit(socket)
        .finally(() => {
          clearTimeout(late);
          waiting.delete(socket);
        })
        .then(
          (admitted) => {
            if (used) {
              socket.destroy();
              return;
            }
            used = true;
            close();
            options.serve(admitted).catch(() => socket.destroy());
          },
          (error: Error) => {
            options.onRefused(from, error.message);
            socket.destroySoon();
          },
        );
    },
  );
  const timer = setTimeout(() => close(), options.ttl);
  function close(): void {
    clearTimeout(timer);
    if (server.listening) server.close();
    for (const socket of waiting) socket.destroy();
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
