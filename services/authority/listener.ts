import { type Server, type TLSSocket, createServer } from 'node:tls';
import type { Socket } from 'node:net';
import { addressOf } from '../../broker/addresses.ts';
import { type JoinAnswer, type JoinRequest, MAX_JOIN, joinRequest } from '../../shared/contract/authority.ts';
import { VsError } from '../../shared/errors.ts';
import type { Identity } from '../../shared/identity.ts';
import { parseJson } from '../../shared/json.ts';
import type { Log } from '../../shared/log.ts';

/** A whole join, with the handshake. */
const WITHIN_MS = 10_000;
/** So long the answer may take: joins go one after the other. */
const ANSWER_MS = 30_000;
const CONNECTIONS = 20;

type Answer = (request: JoinRequest, from: string) => Promise<Extract<JoinAnswer, { ok: true }>>;

/** Reads one line of JSON, answers one, and closes. Bounded in bytes, time and connections. */
function serve(socket: TLSSocket, answer: Answer, log: Log): void {
  const from = socket.remoteAddress ?? '';
  let text = '';
  let taken = false;
  const timer = setTimeout(() => socket.destroy(), WITHIN_MS);
  const say = (words: JoinAnswer) => void socket.end(`${JSON.stringify(words)}\n`);
  const refuse = (message: string) => {
    log.warn({ from }, `a join was refused: ${message}`);
    say({ ok: false, message });
  };
  socket.on('error', () => socket.destroy());
  socket.on('close', () => clearTimeout(timer));
  socket.on('data', (chunk: Buffer) => {
    if (taken) return;
    text += chunk.toString('latin1');
    if (text.length > MAX_JOIN) {
      taken = true;
      return refuse(`a join request has at most ${MAX_JOIN} bytes`);
    }
    const end = text.indexOf('\n');
    if (end < 0) return;
    taken = true;
    clearTimeout(timer);
    setTimeout(() => socket.destroy(), ANSWER_MS).unref();
    const parsed = parse(text.slice(0, end));
    if (!parsed) return refuse('this is no join request of a version that this master knows');
    answer(parsed, from).then(say, (error: unknown) => {
      if (error instanceof VsError) return refuse(error.message);
      log.error({ err: error, from }, 'a join failed');
      say({ ok: false, message: 'an error inside vs-tools; the log of the master has more' });
    });
  });
}
function parse(line: string): JoinRequest | undefined {
  try {
    return joinRequest.safeParse(parseJson(line)).data;
  } catch {
    return undefined;
  }
}

/** The join listener of the master: TLS with its certificate and that of the authority, so that a new host can compare it. */
export function joinListener(listen: string[], { answer, log }: { answer: Answer; log: Log }) {
  let servers: Server[] = [];
  let closing: NodeJS.Timeout | undefined;
  const sockets = new Set<Socket>();

  async function open(identity: Identity): Promise<void> {
    const options = {
      cert: `${identity.certificate}\n${identity.authority}`,
      key: identity.key,
      minVersion: 'TLSv1.2' as const,
      handshakeTimeout: WITHIN_MS,
    };
    if (servers.length > 0) {
      for (const server of servers) server.setSecureContext(options); // it may have been renewed
      return;
    }
    const faults: string[] = [];
    for (const one of listen) {
      const server = createServer(options, (socket) => serve(socket, answer, log));
      server.maxConnections = CONNECTIONS;
      server.on('connection', (socket: Socket) => {
        sockets.add(socket);
        socket.once('close', () => sockets.delete(socket));
      });
      server.on('tlsClientError', (_error, socket) => socket.destroy());
      try {
        await new Promise<void>((resolve, reject) => {
          server.once('error', reject);
          server.listen(addressOf(one, listen), resolve);
        });
        server.on('error', (error) => log.error({ err: error, listen: one }, 'the join listener'));
        servers.push(server);
      } catch (error) {
        faults.push(`${one}: ${(error as Error).message}`);
      }
    }
    if (faults.length > 0) log.warn({ faults }, 'the join listener does not listen everywhere');
    if (servers.length === 0)
      throw new VsError(
        'failed',
        `hosts cannot join, for nothing listens (JOIN_LISTEN): ${faults.join('; ')}`,
      );
    log.info({ listen }, 'hosts can join');
  }
  function close(): void {
    clearTimeout(closing);
    if (servers.length > 0) log.info('the join listener is closed');
    for (const server of servers) server.close();
    for (const socket of sockets) socket.destroy();
    servers = [];
  }
  return {
    /** Listens until then (epoch ms); `until` 0: no more. Throws VsError 'failed' when it listens nowhere. */
    async keep(until: number, identity: Identity): Promise<void> {
      if (until <= Date.now()) return close();
      await open(identity);
      clearTimeout(closing);
      closing = setTimeout(close, Math.min(until - Date.now(), 2 ** 31 - 1)).unref();
    },
    close,
  };
}
