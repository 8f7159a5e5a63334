import { readFileSync, readdirSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { Args } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import { start } from '../../shared/run.ts';
import type { Call } from '../../shared/service.ts';
import type { Lxc } from './lxc.ts';

const CHUNK = 64 * 1024;

/** The processes that a process began, with theirs (by proc(5), stat: the fourth field is the parent). */
function descendants(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
    } catch {
      // it has ended meanwhile
    }
  }
  const below = (one: number): number[] =>
    (children.get(one) ?? []).flatMap((child) => [...below(child), child]);
  return below(pid);
}

/** Runs a command inside a vserver; both outputs go out as progress while it runs. `stdin` is base64. */
export async function exec(lxc: Lxc, args: Args<'host-agent.exec'>, call: Call): Promise<{ code: number }> {
  const child = start(lxc.attach(args.name, args.command), {
    ...(args.quiet ? { cwd: '/' } : {}), // a process of its own: one that waits in store has pipes for outputs
    stdio: [
      args.stdin === undefined ? 'ignore' : 'pipe',
      ...(args.quiet ? (['ignore', 'ignore'] as const) : (['pipe', 'pipe'] as const)),
    ],
  });
  const forward = (stream: 'stdout' | 'stderr', from: Readable | null) =>
    from?.on('data', (data: Buffer) => {
      for (let at = 0; at < data.length; at += CHUNK)
        call.progress({ stream, data: data.subarray(at, at + CHUNK).toString('base64') });
    });
  forward('stdout', child.stdout);
  forward('stderr', child.stderr);
  child.stdin?.on('error', () => undefined); // a command that does not read its input is no error
  child.stdin?.end(Buffer.from(args.stdin ?? '', 'base64'));
  let why: VsError | undefined;
  const kill = (error: VsError) => {
    why ??= error;
    // lxc-attach alone would leave the command behind: first all that it began, then itself
    for (const pid of child.pid === undefined ? [] : descendants(child.pid)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it has ended meanwhile
      }
    }
    child.kill('SIGKILL');
  };
  const timer =
    args.timeout === undefined
      ? undefined
      : setTimeout(
          () =>
            kill(
              new VsError('deadline', `the command did not end within ${args.timeout} ms in ${args.name}`),
            ),
          args.timeout,
        );
  const aborted = () => kill(new VsError('failed', `the command in ${args.name} was given up`));
  call.signal.addEventListener('abort', aborted, { once: true });
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', (error) =>
        reject(new VsError('failed', `lxc-attach could not be started: ${error.message}`, { cause: error })),
      );
      child.once('close', (code, signal) => {
        if (why) reject(why);
        else if (code === null)
          reject(new VsError('failed', `the command in ${args.name} was killed by ${signal}`));
        else resolve({ code });
      });
    });
  } finally {
    clearTimeout(timer);
    call.signal.removeEventListener('abort', aborted);
  }
}
