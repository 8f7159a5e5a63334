import { stepLine } from '../follow.ts';
import { size, span } from '../table.ts';

/** Shorter work needs no bar (ms), and it is drawn so often. */
const QUIET_MS = 700;
const DRAW_MS = 200;

/** Counts bytes, and shows a bar with rate and time left on standard error, where that is a terminal and it takes long. */
export function openMeter(label: string, total?: number) {
  const out = process.stderr;
  const began = performance.now();
  let bytes = 0;
  let files = 0;
  let drawn = false;
  const draw = () => {
    const ms = performance.now() - began;
    if (ms < QUIET_MS) return;
    const rate = (bytes * 1000) / ms;
    const eta = total !== undefined && rate > 0 ? ((total - bytes) / rate) * 1000 : undefined;
    const step = { step: label.slice(0, 10), state: 'running' as const };
    const progress = {
      id: '',
      step: step.step,
      bytes,
      rate,
      ...(total ? { total } : {}),
      ...(eta === undefined ? {} : { eta }),
    };
    out.write(`\r${stepLine(step, progress, Math.min(out.columns ?? 80, 80) - 1)}\u001b[K`);
    drawn = true;
  };
  const timer = out.isTTY && process.env['TERM'] !== 'dumb' ? setInterval(draw, DRAW_MS) : undefined;
  timer?.unref();
  return {
    bytes: (more: number) => void (bytes += more),
    file: () => void files++,
    /** Takes the bar away. */
    stop(): void {
      clearInterval(timer);
      if (drawn) out.write('\r\u001b[K');
      drawn = false;
    },
    /** What was done, for people. */
    summary: (count = files): string =>
      `${count === 1 ? '1 file' : `${count} files`}, ${size(bytes)} in ${span(performance.now() - began)}`,
  };
}
