import { isPeer } from './move-names.ts';
import { type About, type Medians, titleOf } from './report.ts';

const colours: Record<string, string> = {
  floor: '#9aa0a6',
  vs: '#1a73e8',
  'vs in the clear': '#7baaf7',
  'vs crash-consistent': '#12a150',
};
const escape = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const [LEFT, WIDTH, BAR, GAP] = [250, 420, 14, 4];

/** Downtime by storage, set and way as bars on a scale of decades (ms), as one SVG file without any dependency. */
export function plotOf(about: About, medians: Medians): string {
  const all = Object.values(medians).flatMap((ways) => Object.values(ways).map((one) => one.downtimeMs));
  const [low, high] = [100, 10 ** Math.ceil(Math.log10(Math.max(1000, ...all)))];
  const x = (ms: number) => (WIDTH * Math.log(Math.max(ms, low) / low)) / Math.log(high / low);
  const parts: string[] = [];
  let y = 44;
  for (const [where, ways] of Object.entries(medians)) {
    parts.push(`<text x="8" y="${y + 11}" font-weight="bold">${escape(where)}</text>`);
    y += BAR + GAP;
    for (const [way, { downtimeMs }] of Object.entries(ways)) {
      const width = x(downtimeMs).toFixed(1);
      parts.push(
        `<text x="${LEFT - 8}" y="${y + 11}" text-anchor="end">${escape(way)}</text>`,
        `<rect x="${LEFT}" y="${y}" width="${width}" height="${BAR}" fill="${colours[way] ?? (isPeer(way) ? '#a142f4' : '#e8710a')}"/>`,
        `<text x="${(LEFT + Number(width) + 5).toFixed(1)}" y="${y + 11}">${(downtimeMs / 1000).toFixed(2)} s</text>`,
      );
      y += BAR + GAP;
    }
    y += 8;
  }
  const lines: string[] = [];
  for (let mark = low; mark <= high; mark *= 10)
    lines.push(
      `<line x1="${(LEFT + x(mark)).toFixed(1)}" y1="36" x2="${(LEFT + x(mark)).toFixed(1)}" y2="${y}" stroke="#ddd"/>`,
      `<text x="${(LEFT + x(mark)).toFixed(1)}" y="32" text-anchor="middle" fill="#666">${mark / 1000} s</text>`,
    );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${LEFT + WIDTH + 70}" height="${y + 8}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#fff"/>
<text x="8" y="16" font-size="13">Downtime of a move: ${escape(titleOf(about))} (logarithmic)</text>
${[...lines, ...parts].join('\n')}
</svg>
`;
}
