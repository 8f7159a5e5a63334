import type { Drawing } from './draw.ts';

const escape = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
const short = (value: number) => String(Math.round(value * 10) / 10);

/** A drawing as an SVG file. */
export function svgOf({ width, height, shapes }: Drawing): string {
  const parts = shapes.map((shape) => {
    if (shape.kind === 'text') {
      const { x, y, anchor, colour, text } = shape;
      return `<text x="${short(x)}" y="${short(y)}" text-anchor="${anchor}" fill="${colour}">${escape(text)}</text>`;
    }
    const points = shape.points.map(([x, y]) => `${short(x)},${short(y)}`).join(' ');
    return `<polyline points="${points}" fill="none" stroke="${shape.colour}" stroke-width="${shape.width}"/>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#ffffff"/>
${parts.join('\n')}
</svg>
`;
}
