import { VsError } from '../../shared/errors.ts';

type Terminal = NonNullable<
  Extract<import('../../shared/contract/session.ts').SessionWork, { kind: 'run' }>['terminal']
>;

/** What a full-screen program may have left: its screen, colours, mouse, keys, a hidden cursor (xterm control sequences). */
const RESET =
  '\u001b[?1049l\u001b[?1l\u001b>\u001b[?1000l\u001b[?1002l\u001b[?1003l\u001b[?1006l\u001b[?2004l\u001b[?25h\u001b[0m\r\n';

/** The terminal of this process as a session is told of it. */
export function terminalHere(): Terminal {
  const { TERM, COLORTERM, NO_COLOR } = process.env;
  const term = TERM && /^[A-Za-z0-9][A-Za-z0-9+._-]{0,63}$/.test(TERM) ? TERM : 'xterm';
  const colours =
    NO_COLOR === undefined && (COLORTERM === 'truecolor' || COLORTERM === '24bit') ? COLORTERM : undefined;
  const { rows, columns } = process.stdout;
  return { term, rows: rows || 24, columns: columns || 80, ...(colours ? { colours } : {}) };
}

/** Throws VsError 'usage' where there is no terminal at both ends of this process. */
export function needTerminal(verb: string): void {
  if (process.stdin.isTTY && process.stdout.isTTY) return;
  throw new VsError(
    'usage',
    `${verb} needs a terminal, and here is none; to run a program: vs exec NAME -- CMD`,
  );
}

/** Every key goes to the vserver while `work` runs; after it, and at any end of this process, the terminal is as it was. */
export async function withRawTerminal<T>(
  onResize: (rows: number, columns: number) => void,
  work: () => Promise<T>,
): Promise<T> {
  const { stdin, stdout } = process;
  const isTerminal = stdin.isTTY;
  const resized = () => onResize(stdout.rows, stdout.columns);
  const restore = () => {
    if (isTerminal) stdin.setRawMode(false);
  };
  const leave = (code: number) => () => {
    restore();
    process.exit(code);
  };
  const signals = [
    ['SIGTERM', leave(143)],
    ['SIGHUP', leave(129)],
  ] as const;
  if (isTerminal) stdin.setRawMode(true);
  process.on('exit', restore);
  for (const [name, handler] of signals) process.on(name, handler);
  stdout.on('resize', resized);
  try {
    return await work();
  } catch (error) {
    if (stdout.isTTY) stdout.write(RESET); // the program inside could not clear up itself
    throw error;
  } finally {
    restore();
    process.off('exit', restore);
    for (const [name, handler] of signals) process.off(name, handler);
    stdout.off('resize', resized);
    letGo();
  }
}

/** Lets go of the standard input, so that this process can end. */
export function letGo(): void {
  process.stdin.pause();
  process.stdin.destroy();
}
