import { createServer } from 'node:net';

/** Below what the kernel gives to connections (ip_local_port_range), so that none takes a port before its server is there. */
const FIRST = 20_000;
/** For each worker of vitest its own, and none twice in one file. */
const EACH = 3_000;
const worker = Number(process.env['VITEST_POOL_ID'] ?? 1) % 4;
const given = new Set<number>();

/** A port of 127.0.0.1 that nobody has, and that is given to nobody else. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + worker * EACH + Math.floor(Math.random() * EACH);
    if (given.has(port)) continue;
    given.add(port);
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer().once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}
