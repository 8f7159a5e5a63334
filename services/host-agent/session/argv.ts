import { fileURLToPath } from 'node:url';
import type { SessionWork } from '../../../shared/contract/session.ts';
import type { Lxc } from '../lxc.ts';
import { loginShell, pull, push } from './scripts.ts';
import type { GuestUser } from './user.ts';

const sessionProgram = fileURLToPath(new URL('session.pl', import.meta.url));
const insideProgram = fileURLToPath(new URL('inside.pl', import.meta.url));

type Run = Extract<SessionWork, { kind: 'run' }>;
type Files = Exclude<SessionWork, { kind: 'run' }>;

/** The command line that speaks the frames of a session and runs another one. */
export function withFrames(argv: string[], { terminal, timeout }: Partial<Run> = {}): string[] {
  const { rows, columns } = terminal ?? { rows: 0, columns: 0 };
  return ['perl', sessionProgram, ...[rows, columns, timeout ?? 0].map(String), ...argv];
}

/** A program, or a login shell, in a vserver that runs. */
export function runArgv(lxc: Lxc, name: string, work: Run, user: GuestUser | undefined): string[] {
  const { terminal } = work;
  const environment = {
    HOME: user?.home ?? '/root',
    USER: user?.name ?? 'root',
    ...(terminal ? { TERM: terminal.term } : {}),
    ...(terminal?.colours ? { COLORTERM: terminal.colours } : {}),
  };
  const command = work.command ?? ['/bin/sh', '-c', loginShell, 'sh', String(user?.uid ?? 0)];
  return lxc.attach(name, command, { environment, ...(user ? { uid: user.uid, gid: user.gid } : {}) });
}

const words = (work: Files, path: string): string[] =>
  work.kind === 'pull'
    ? [pull, 'sh', path, work.tree ? 'tree' : 'file']
    : [
        push,
        'sh',
        path,
        work.as,
        work.tree ? 'tree' : 'file',
        work.parents ? 'parents' : '',
        work.to.endsWith('/') ? 'into' : '',
      ];

/** As the scripts want it: no slash at the end, but for the root. */
const plain = (path: string): string => path.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');

/** Files of a vserver that runs: its own tar, in its own namespaces. */
export const filesArgv = (lxc: Lxc, name: string, work: Files): string[] =>
  lxc.attach(name, ['/bin/sh', '-c', ...words(work, plain(work.kind === 'pull' ? work.from : work.to))]);

/** Files of one that is stopped: tar of this host, which sees nothing but that directory of the tree. */
export function stoppedArgv(rootfs: string, place: string, work: Files): string[] {
  const [path, how] = work.kind === 'pull' ? [work.from, 'ro'] : [work.to, 'rw'];
  return ['perl', insideProgram, rootfs, place, plain(path), how, 'sh', '-c', ...words(work, '{}')];
}
