import { chmod } from 'node:fs/promises';
import { type Socket, createServer } from 'node:net';
import { z } from 'zod';
import { argsForAudit } from '../args-for-audit.ts';
import type { Bus } from '../bus.ts';
import type { Reply } from '../contract/command.ts';
import { localCancel, localCommand } from '../contract/local.ts';
import { type Dispatcher, toReplyError } from '../dispatch.ts';
import { VsError } from '../errors.ts';
import { parseJson } from '../json.ts';
import type { Log } from '../log.ts';
import { type Hello, lineReader } from './lines.ts';
import { clearPlace } from './place.ts';

const CONNECTIONS = 64;
/** Commands of one connection that run at once. */
const AT_ONCE = 100;
/** Who does not read so much (bytes) of what was answered is left alone. */
const UNREAD = 16 * 1024 * 1024;
/** Only root comes through the directory: Node tells nobody who it is that connects (no SO_PEERCRED). */
const ISSUER = 'root';
/** What only looks is told to nobody. */
const LOOKS =
  /^(host-agent\.(list|show|logs|ownership|answering)|network\.(list|show|match|check|reach)|monitor\.memory|snapshot\.(info|usage|list|copies|trashed)|firewall\.render|transfer\.check)$/;

/**
 * Carries out commands that come by a socket of this host alone, by the same dispatcher as those of the bus, with and
 * without a broker. What changes something is told as an event: the bus keeps it until the broker is there.
 */
export async function openLocal(parts: {
  path: string;
  dispatcher: Dispatcher;
  bus: Pick<Bus, 'target' | 'connected' | 'event'>;
  version: string;
  log: Log;
}) {
  const { path, dispatcher, bus, log } = parts;
  const sockets = new Set<Socket>();

  function tell(command: string, id: string, args: unknown, result: Reply): void {
    if (LOOKS.test(command) || !('ok' in result)) return;
    const how = result.ok ? 'ok' : result.error.code;
    bus.event(
      'host-agent',
      'commanded',
      `${ISSUER} asked ${command} of ${bus.target} by its socket: ${how}`,
      {
        id,
        issuer: ISSUER,
        command,
        args: argsForAudit(args),
        result: how,
        ...(result.ok ? {} : { error: result.error.message.slice(0, 300) }),
      },
    );
  }

  function serve(socket: Socket): void {
    let running = 0;
    const say = (message: Hello | Reply) => {
      if (!socket.writable) return;
      if (socket.writableLength > UNREAD) socket.destroy();
      else socket.write(`${JSON.stringify(message)}\n`);
    };
    const refuse = (id: string, error: unknown) => say({ id, ok: false, error: toReplyError(error) });
    /** Who speaks otherwise than agreed is not listened to any more. */
    const end = (why: string) => {
      refuse('none', new VsError('usage', why));
      socket.end();
    };

    async function carryOut(body: z.infer<typeof localCommand>): Promise<void> {
      const { command, id, ...envelope } = body;
      running++;
      try {
        if (running > AT_ONCE)
          throw new VsError('refused', `this connection has ${AT_ONCE} commands running already`);
        dispatcher.refuseInner(command);
        const parsed = dispatcher.parse({ ...envelope, id, issuer: ISSUER });
        const result = await dispatcher.call(command, parsed, id, (progress) => say({ id, progress }));
        say(result);
        tell(command, id, body.args, result);
      } catch (error) {
        refuse(id, error);
      } finally {
        running--;
      }
    }
    function take(line: string): void {
      let body: unknown;
      try {
        body = parseJson(line);
      } catch (error) {
        return end(`a line is no JSON: ${(error as Error).message}`);
      }
      const isCancel = (body as { cancel?: unknown } | null)?.cancel !== undefined;
      const parsed = (isCancel ? localCancel : localCommand).safeParse(body);
      if (!parsed.success) return end(`a line is no command: ${z.prettifyError(parsed.error).slice(0, 500)}`);
      if (!('cancel' in parsed.data)) return void carryOut(parsed.data);
      const { command, id } = parsed.data;
      try {
        dispatcher.refuseInner(command);
        if (dispatcher.cancel(command, id, ISSUER))
          bus.event('host-agent', 'cancelled', `${ISSUER} gave up ${command}: it was told to end`, {
            id,
            issuer: ISSUER,
          });
      } catch (error) {
        log.warn({ command, id }, (error as Error).message); // it has its own answer
      }
    }

    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const read = lineReader(take, () => end('a line is longer than a command may be'));
    socket.on('data', (chunk: Buffer) => {
      if (!socket.writableEnded) read(chunk);
    });
    say({ host: bus.target, version: parts.version, broker: bus.connected });
  }

  await clearPlace(path);
  const server = createServer(serve);
  server.maxConnections = CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  server.on('error', (error) => log.error({ err: error }, `the socket ${path}`));
  await chmod(path, 0o600);
  return {
    async close(): Promise<void> {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.end();
      const late = setTimeout(() => sockets.forEach((socket) => socket.destroy()), 1000);
      await closed;
      clearTimeout(late);
    },
  };
}
export type Local = Awaited<ReturnType<typeof openLocal>>;
