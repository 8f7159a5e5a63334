import { createServer, connect } from 'node:net';
import type { Args, Data } from '../../shared/contract/commands.ts';
import type { Finding } from '../../shared/contract/doctor.ts';
import { VsError } from '../../shared/errors.ts';
import { about } from './finding.ts';

const REACH_MS = 3000;
/** So many may listen at once: who looks again and again holds no ports. */
const MOST_OPEN = 8;
let open = 0;

/** Listens at an address for some seconds; who comes is let go at once. Throws VsError when it cannot. */
export async function listenFor(address: string, seconds: number): Promise<Data<'doctor.listen'>> {
  if (open >= MOST_OPEN) throw new VsError('refused', `${MOST_OPEN} looks wait for other hosts already`);
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.destroy();
  });
  open += 1;
  server.once('close', () => (open -= 1));
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      server.close();
      reject(
        new VsError('failed', `nothing can listen at ${address} (MANAGEMENT_ADDRESS): ${error.message}`, {
          cause: error,
        }),
      );
    });
    server.listen({ host: address, port: 0 }, () => {
      setTimeout(() => server.close(), seconds * 1000).unref();
      const bound = server.address();
      resolve({ address, port: typeof bound === 'object' && bound ? bound.port : 0 });
    });
  });
}

const reach = (address: string, port: number) =>
  new Promise<string | undefined>((resolve) => {
    const socket = connect({ host: address, port, timeout: REACH_MS });
    const end = (why?: string) => {
      socket.destroy();
      resolve(why);
    };
    socket.once('connect', () => end());
    socket.once('timeout', () => end(`no answer within ${REACH_MS / 1000} s`));
    socket.once('error', (error) => end(error.message));
  });

/** Can this host come to the others, at a port of the kind that copies use? */
export async function lookAtWays(peers: NonNullable<Args<'doctor.look'>['peers']>): Promise<Finding[]> {
  const { ok, fail } = about('ways');
  const look = async ({ host, address, port }: (typeof peers)[number]) => {
    const why = await reach(address, port);
    return why === undefined
      ? ok(`${host} can be reached at ${address}`, host)
      : fail(
          `${host} cannot be reached at ${address}:${port}: ${why}`,
          `let hosts connect to one another's management addresses at ports 32768 to 60999`,
          host,
        );
  };
  return Promise.all(peers.map(look));
}
