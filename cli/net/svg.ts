import { type Mapped, networkText, plain, vserversOn } from './map.ts';

const escape = (text: string): string =>
  plain(text)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');

const COLOURS = ['#2b6cb0', '#2f855a', '#b7791f', '#9b2c2c', '#6b46c1', '#2c7a7b', '#c05621', '#4a5568'];
const HOST = { width: 220, gap: 30, head: 26, row: 17, left: 20 };
const LINE = 26;

const text = (x: number, y: number, words: string, more = '') =>
  `<text x="${x}" y="${y}"${more}>${escape(words)}</text>`;

/** The pool as a drawing: networks as lines from left to right, hosts as boxes below them, each with its vservers. */
export function mapSvg({ networks, hosts }: Mapped): string {
  const names = hosts.map((one) => one.host).toSorted();
  const on = (host: string) =>
    networks.flatMap((one, index) => vserversOn(one, host).map((other) => ({ ...other, index })));
  const rows = Math.max(1, ...names.map((host) => on(host).length));
  const top = 40 + networks.length * LINE;
  const height = top + HOST.head + rows * HOST.row + 40;
  const width = Math.max(560, HOST.left * 2 + names.length * (HOST.width + HOST.gap));
  const parts: string[] = [];
  for (const [index, { network }] of networks.entries()) {
    const y = 40 + index * LINE;
    const colour = COLOURS[index % COLOURS.length] ?? '#000000';
    parts.push(
      `<line x1="${HOST.left}" y1="${y}" x2="${width - HOST.left}" y2="${y}" stroke="${colour}" stroke-width="3"/>`,
    );
    parts.push(text(HOST.left, y - 5, networkText(network), ` fill="${colour}"`));
  }
  for (const [column, host] of names.entries()) {
    const x = HOST.left + column * (HOST.width + HOST.gap);
    const mine = on(host);
    const state = hosts.find((one) => one.host === host)?.state ?? 'offline';
    const bottom = HOST.head + Math.max(1, mine.length) * HOST.row + 8;
    parts.push(
      `<rect x="${x}" y="${top}" width="${HOST.width}" height="${bottom}" rx="4" fill="#f7fafc" stroke="#4a5568"/>`,
    );
    parts.push(
      text(x + 8, top + 18, state === 'online' ? host : `${host} (${state})`, ' font-weight="bold"'),
    );
    for (const [index, { hosts: having }] of networks.entries()) {
      const here = having.find((one) => one.host === host);
      if (!here) continue;
      const at = x + HOST.width - 14 - (networks.length - 1 - index) * 12;
      const colour = COLOURS[index % COLOURS.length] ?? '#000000';
      const dash = here.up ? '' : ' stroke-dasharray="3 3"';
      parts.push(
        `<line x1="${at}" y1="${40 + index * LINE}" x2="${at}" y2="${top}" stroke="${colour}" stroke-width="2"${dash}/>`,
      );
    }
    for (const [row, { name, address, further, state: runs, index }] of mine.entries()) {
      const y = top + HOST.head + row * HOST.row + 10;
      parts.push(
        `<circle cx="${x + 13}" cy="${y - 4}" r="4" fill="${runs === 'running' ? (COLOURS[index % COLOURS.length] ?? '#000000') : '#ffffff'}" stroke="${COLOURS[index % COLOURS.length] ?? '#000000'}"/>`,
      );
      parts.push(
        text(
          x + 24,
          y,
          `${name}  ${address}${further > 0 ? ` +${further}` : ''}${runs === 'running' ? '' : `  ${runs}`}`,
        ),
      );
    }
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#ffffff"/>
${parts.join('\n')}
</svg>
`;
}
