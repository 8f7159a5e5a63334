export { age, figureText } from '../../shared/figure-text.ts';

const bars = '▁▂▃▄▅▆▇█';

/** Points as a line of `width` letters, from zero to the highest; each is the highest of its points, a blank: nothing was heard. */
export function sparkline(points: (number | null)[], width: number): string {
  const highest = points.reduce<number>((most, value) => Math.max(most, value ?? 0), 0);
  const letters = Math.min(width, points.length);
  return Array.from({ length: letters }, (_, at) => {
    const from = Math.floor((at * points.length) / letters);
    const to = Math.max(from + 1, Math.floor(((at + 1) * points.length) / letters));
    const some = points.slice(from, to).filter((value) => value !== null);
    if (some.length === 0) return ' ';
    const share = highest > 0 ? Math.max(...some) / highest : 0;
    return bars[Math.min(bars.length - 1, Math.floor(share * bars.length))] ?? ' ';
  })
    .join('')
    .trimEnd();
}
