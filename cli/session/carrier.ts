import { spawn } from 'node:child_process';
import { type Socket, connect } from 'node:net';
import { Duplex } from 'node:stream';
import { VsError } from '../../shared/errors.ts';

/** How long a connection may take (ms); over a slow link that loses packets it takes some seconds. */
const CONNECT_MS = 8000;

/** That a host is not reached from here; `exec` goes by the bus then. */
const unreachable = (host: string, where: string, why: string, cause?: unknown) =>
  new VsError(
    'unavailable',
    `${host} cannot be reached at ${where} from here (${why}). Run this on the master or on ${host}, or set STREAM_VIA to a command that leads there, such as: ssh -W %h:%p root@MASTER`,
    { cause, details: { session: 'none' } },
  );

/** A connection to an address of a host, or to a socket of this one. */
export function openDirect(
  host: string,
  to: { address: string; port: number } | { path: string },
): Promise<Socket> {
  const where = 'path' in to ? to.path : to.address;
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...('path' in to
        ? to
        : { host: to.address, port: to.port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 15_000 }),
    });
    const late = setTimeout(
      () => socket.destroy(new Error(`no answer within ${CONNECT_MS / 1000} s`)),
      CONNECT_MS,
    );
    socket.once('connect', () => {
      clearTimeout(late);
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(late);
      reject(unreachable(host, where, error.code ?? error.message, error));
    });
  });
}

/** The words of STREAM_VIA with address and port in their places; where they have none these come last. No shell sees them. */
export function viaArgv(via: string, address: string, port: number): string[] {
  const words = via.split(/\s+/).filter(Boolean);
  const filled = words.map((word) => word.replaceAll('%h', address).replaceAll('%p', String(port)));
  return via.includes('%h') ? filled : [...filled, address, String(port)];
}

/** A connection by STREAM_VIA: what a command says and hears. What it complains of is said when it fails. */
export function openVia(host: string, via: string, address: string, port: number): Duplex {
  const [file = '', ...args] = viaArgv(via, address, port);
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const { stdin, stdout, stderr } = child;
  let said = '';
  stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-300)));
  stdin.on('error', () => undefined); // it may end before it has read all
  const wire = new Duplex({
    allowHalfOpen: false,
    read: () => void stdout.resume(),
    write: (chunk: Buffer, _encoding, done) =>
      void (stdin.write(chunk) ? done() : stdin.once('drain', () => done())),
    final: (done) => void stdin.end(done),
    destroy(error, done) {
      child.kill();
      done(error);
    },
  });
  stdout.on('data', (chunk: Buffer) => wire.push(chunk) || stdout.pause());
  child.once('error', (error) =>
    wire.destroy(unreachable(host, `${address} by STREAM_VIA`, error.message, error)),
  );
  child.once('close', (code) => {
    if (code === 0 || child.killed) wire.push(null);
    else
      wire.destroy(
        unreachable(host, `${address} by STREAM_VIA`, said.trim() || `${file} ended with ${code}`),
      );
  });
  return wire;
}
