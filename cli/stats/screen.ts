/** A screen that is painted anew in place; plain lines when the output is no terminal. */
export function openScreen(plain = false) {
  const out = process.stdout;
  const live = !plain && out.isTTY && process.env['TERM'] !== 'dumb';
  const keys = live && process.stdin.isTTY ? process.stdin : undefined;
  const ended = Promise.withResolvers<void>();
  const end = () => ended.resolve();
  function onKey(data: Buffer): void {
    if (['q', 'Q', '\u0003', '\u0004'].includes(data.toString())) end();
  }
  if (live) out.write('\u001b[?25l\u001b[H\u001b[2J');
  keys?.setRawMode(true).on('data', onKey).resume();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, end);
  return {
    live,
    /** A person pressed q or ctrl-C. */
    ended: ended.promise,
    paint(text: string): void {
      if (!live) return void out.write(`${text}\n`);
      const lines = text.split('\n').slice(0, Math.max(1, (out.rows || 24) - 1));
      out.write(
        `\u001b[H${lines.map((line) => `${line.slice(0, out.columns || 80)}\u001b[K`).join('\n')}\u001b[J`,
      );
    },
    close(): void {
      keys?.off('data', onKey).setRawMode(false).pause();
      if (live) out.write('\u001b[?25h\n');
    },
  };
}

/** Paints again and again until a person ends it or the connection is lost. */
export async function repeat(
  everyMs: number,
  lost: Promise<never>,
  text: () => Promise<string>,
  plain = false,
): Promise<void> {
  const screen = openScreen(plain);
  const over = screen.ended.then(() => 'over' as const);
  try {
    for (;;) {
      const now = await Promise.race([over, text(), lost]);
      if (now === 'over') return;
      screen.paint(now);
      const pause = new Promise((resolve) => setTimeout(resolve, everyMs));
      if ((await Promise.race([over, pause, lost])) === 'over') return;
    }
  } finally {
    screen.close();
  }
}
