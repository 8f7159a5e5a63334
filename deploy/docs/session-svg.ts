/** A line of a terminal, and when it came (ms after the start). */
export interface Shown {
  at: number;
  text: string;
  /** A person typed it. */
  typed?: true;
}

const CHARACTER = 8.4; // the width that textLength gives each, so that columns hold with any font
const LINE = 18;
const EDGE = 14;
/** So long the last picture stays before it begins anew. */
const REST_MS = 8000;

const escaped = (text: string): string =>
  text
    .replaceAll(/[^\u0020-\u{10FFFF}]/gu, '?')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');

/** A line that is too long goes on in the next one, as on a terminal. */
function broken(line: Shown, columns: number): Shown[] {
  const parts = Math.max(1, Math.ceil(line.text.length / columns));
  return Array.from({ length: parts }, (_, at) => ({
    ...line,
    text: line.text.slice(at * columns, (at + 1) * columns),
  }));
}

/** A terminal session as an SVG, in which each line appears when it came; without animations all of it is there at once. */
export function sessionSvg(session: Shown[], columns = 84): string {
  const lines = session.flatMap((one) => broken(one, columns));
  const height = lines.length * LINE + 2 * EDGE;
  const width = Math.round(columns * CHARACTER + 2 * EDGE);
  const total = (lines.at(-1)?.at ?? 0) + REST_MS;
  const frames = new Set<number>();
  const rows = lines.map(({ at, text, typed }, index) => {
    const share = Math.round((at * 10_000) / total) / 100;
    frames.add(share);
    if (text.trim() === '') return '';
    const kind = typed ? 'l t' : 'l';
    const name = `a${String(share).replace('.', '_')}`;
    return `<text class="${kind}" x="${EDGE}" y="${EDGE + (index + 0.75) * LINE}" textLength="${(text.length * CHARACTER).toFixed(1)}" style="animation-name:${name}" xml:space="preserve">${escaped(text)}</text>`;
  });
  const keys = [...frames].map(
    (share) =>
      `@keyframes a${String(share).replace('.', '_')}{0%,${Math.max(0, share - 0.01).toFixed(2)}%{opacity:0}${share.toFixed(2)}%,100%{opacity:1}}`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="a terminal session">`,
    `<style>.l{font:14px ui-monospace,Menlo,Consolas,monospace;fill:#d8dee9;animation:${(total / 1000).toFixed(2)}s step-end infinite}.t{fill:#a3be8c}${keys.join('')}@media(prefers-reduced-motion:reduce){.l{animation:none!important}}</style>`,
    `<rect width="100%" height="100%" rx="8" fill="#1e222a"/>`,
    ...rows.filter(Boolean),
    '</svg>',
    '',
  ].join('\n');
}
