import type { ChildProcess } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import type { Args, Data } from '../../../shared/contract/commands.ts';
import type { RunState } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import { checkIdentity, readIdentity } from '../../../shared/identity.ts';
import type { Paths } from '../../../shared/paths.ts';
import { start } from '../../../shared/run.ts';
import { seal } from '../../../shared/seal.ts';
import type { Call, Context } from '../../../shared/service.ts';
import { requireRunning } from '../require-running.ts';
import type { Lxc } from '../lxc.ts';
import { filesArgv, runArgv, stoppedArgv, withFrames } from './argv.ts';
import { type Endpoint, newSecret, openEndpoint } from './endpoint.ts';
import { guestUser } from './user.ts';

/** How long its client may take to come (ms). */
const COMES_MS = 30_000;
/** So many sessions of a host at a time, open and waited for. */
const MOST = 200;
/** How long the last words may take to reach the client (ms). */
const LAST_WORDS_MS = 10_000;

interface Parts {
  context: Pick<Context, 'settings' | 'host' | 'log'>;
  paths: Paths;
  lxc: Lxc;
  /** What a vserver is doing, and which saga has it. Throws 'not-found'. */
  look: (name: string) => Promise<{ state: RunState; saga?: string | undefined }>;
}

/**
 * Carries a session: session.pl speaks its frames and has the process; here they only pass by, so nothing is kept in memory, and when
 * this process dies, or the client does, session.pl hears the end and ends what it began.
 */
export function serveSession(wire: Duplex, argv: string[], onLog: (line: string) => void): ChildProcess {
  const child = start(argv, { stdio: ['pipe', 'pipe', 'pipe'] });
  const { stdin, stdout, stderr } = child;
  if (!stdin || !stdout) throw new VsError('internal', 'a session without streams');
  for (const one of [wire, stdin, stdout]) one.on('error', () => undefined); // its end is what counts
  wire.pipe(stdin);
  stdout.pipe(wire);
  wire.once('close', () => stdin.destroy());
  stderr?.on('data', (chunk: Buffer) => onLog(chunk.toString().trim().slice(0, 500)));
  child.once('error', (error) => {
    onLog(error.message);
    wire.destroy();
  });
  child.once('close', () => {
    wire.unpipe(stdin);
    wire.resume(); // what the client still says is of no use, but must not keep the connection open
    setTimeout(() => wire.destroy(), LAST_WORDS_MS).unref();
  });
  if (wire.destroyed) stdin.destroy();
  return child;
}

/** The sessions of this host. */
export function openSessions({ context, paths, lxc, look }: Parts) {
  const { settings, host, log } = context;
  const waiting = new Set<Endpoint>();
  const running = new Set<Duplex>();

  function identity() {
    try {
      const own = readIdentity(settings.TLS_DIR);
      if (!own) throw new VsError('refused', `${settings.TLS_DIR}/host.pem is missing`);
      checkIdentity(own, host);
      return own;
    } catch (error) {
      throw new VsError(
        'refused',
        `${host} has no certificate with which a session could be private (${(error as Error).message}): run "vs join" there again`,
        { cause: error, details: { session: 'none' } },
      );
    }
  }

  async function argvOf({ name, work }: Args<'host-agent.session'>): Promise<string[]> {
    const { state, saga } = await look(name);
    if (work.kind === 'run') {
      requireRunning(name, host, state);
      const user = work.user === undefined ? undefined : await guestUser(lxc, name, work.user);
      return withFrames(runArgv(lxc, name, work, user), work);
    }
    if (state === 'running') return withFrames(filesArgv(lxc, name, work));
    if (state === 'frozen') requireRunning(name, host, state);
    if (state !== 'stopped')
      throw new VsError('refused', `${name} is ${state} on ${host}; try again when it runs or is stopped`);
    if (saga && work.kind === 'push')
      throw new VsError(
        'conflict',
        `${name} is locked by saga ${saga}: what is pushed now might be lost; see it with: vs saga show ${saga}`,
        { retryable: true },
      );
    await mkdir(settings.RUN_DIR, { recursive: true, mode: 0o711 });
    return withFrames(stoppedArgv(paths.rootfs(name), settings.RUN_DIR, work));
  }

  return {
    /** Opens the endpoint of one session. */
    async open(args: Args<'host-agent.session'>, call: Call): Promise<Data<'host-agent.session'>> {
      if (waiting.size + running.size >= MOST)
        throw new VsError('refused', `${host} has ${MOST} sessions open already; end some`, {
          retryable: true,
        });
      const about = { session: call.id, vserver: args.name, kind: args.work.kind, issuer: call.issuer };
      const argv = await argvOf(args);
      const socket = args.endpoint === 'socket';
      if (socket) await mkdir(settings.RUN_DIR, { recursive: true, mode: 0o711 });
      const at = socket
        ? { directory: settings.RUN_DIR }
        : { address: settings.MANAGEMENT_ADDRESS, identity: identity() };
      const secret = newSecret();
      const endpoint: Endpoint = await openEndpoint({
        at,
        secret,
        ttl: COMES_MS,
        serve(wire) {
          running.add(wire);
          wire.once('close', () => {
            running.delete(wire);
            log.info(about, 'a session has ended');
          });
          log.info(about, 'a session has begun');
          serveSession(wire, argv, (line) => log.warn(about, line));
        },
        onRefused: (from, reason) =>
          log.warn({ ...about, from, reason }, 'a connection to a session was refused'),
        onClose: () => waiting.delete(endpoint),
      });
      waiting.add(endpoint);
      const { address, port, path } = endpoint;
      return { host, address, port, path, secret: seal(secret, args.reader) };
    },
    endAll(): void {
      for (const endpoint of waiting) endpoint.close();
      for (const wire of running) wire.destroy();
    },
  };
}
