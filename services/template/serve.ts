import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type Server, createServer } from 'node:http';
import { type AddressInfo, isIPv6 } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { VsError } from '../../shared/errors.ts';
import { same } from '../../shared/same.ts';

export interface Offer {
  path: string;
  /** File name in the address; its extension tells how to unpack it. */
  file: string;
  bytes: number;
  /** The only address that may fetch it. */
  to: string;
}

const plain = (address: string | undefined): string => (address ?? '').replace(/^::ffff:/i, '').toLowerCase();

/** Offers one file to one address once, for at most `ttl` ms. */
export async function offer(
  address: string,
  what: Offer,
  ttl = 600_000,
): Promise<{ url: string; secret: string; server: Server }> {
  const secret = randomBytes(24).toString('hex');
  let used = false;
  const server = createServer((request, response) => {
    const refuse = (status: number): void => void response.writeHead(status, { connection: 'close' }).end();
    if (plain(request.socket.remoteAddress) !== plain(what.to)) return refuse(403);
    if (!same(request.headers.authorization ?? '', `Bearer ${secret}`)) return refuse(401);
    if (request.method !== 'GET' || request.url !== `/${what.file}`) return refuse(404);
    if (used) return refuse(410);
    used = true;
    response.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-length': what.bytes,
      connection: 'close',
    });
    pipeline(createReadStream(what.path), response).then(
      () => server.close(),
      () => server.close(),
    );
  });
  const timer = setTimeout(() => {
    server.close();
    server.closeAllConnections();
  }, ttl);
  timer.unref();
  server.on('close', () => clearTimeout(timer));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new VsError(
          'failed',
          `templates cannot be served on ${address} (MANAGEMENT_ADDRESS): ${error.message}`,
          { cause: error },
        ),
      ),
    );
    server.listen({ host: address, port: 0 }, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://${isIPv6(address) ? `[${address}]` : address}:${port}/${what.file}`, secret, server };
}
