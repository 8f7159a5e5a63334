/** Without control and formatting characters, which could draw over, turn around or hide text; `keep`: line ends stay. */
export function plain(text: string, most: number, keep = false): string {
  const some = text.slice(0, most).toWellFormed().replaceAll('\r\n', '\n').replaceAll('\t', ' ');
  const shown = some.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (one) =>
    one === '\n' ? (keep ? one : ' ') : '?',
  );
  return text.length > most ? `${shown}...` : shown;
}

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
/** Text inside HTML, also inside an attribute in quotes. */
export const escapeHtml = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (one) => entities[one] ?? one);

/** Lines of at most `width` columns, each after `indent`; what has no blank is cut. */
export function wrap(text: string, width = 78, indent = ''): string {
  const room = width - indent.length;
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    let line = '';
    for (const word of paragraph.split(' ')) {
      let rest = word;
      if (line && line.length + 1 + rest.length > room) {
        lines.push(line);
        line = '';
      }
      while (rest.length > room) {
        lines.push(rest.slice(0, room));
        rest = rest.slice(room);
      }
      line = line ? `${line} ${rest}` : rest;
    }
    lines.push(line);
  }
  return lines.map((line) => `${indent}${line}`.trimEnd()).join('\n');
}

/** A text laid out so that no line ends within a command, which people copy. */
export function together(text: string, layOut: (text: string) => string): string {
  const kept = text.replaceAll(
    /\bvs [a-z][^,;:().\n]{0,60}/g,
    (command) =>
      command.trimEnd().replaceAll(' ', '\uE000') + ' '.repeat(command.length - command.trimEnd().length),
  );
  return layOut(kept).replaceAll('\uE000', ' ');
}

/** Lines as they are, columns and all, each after `lead`; what is wider than `width` goes on in the next one. */
export function fixed(text: string, width: number, lead: string): string {
  const cut = (line: string): string[] => {
    const room = width - lead.length;
    // a character beyond the first plane takes two
    const most = line.length <= room || !/[\u{10000}-\u{10ffff}]/u.test(line) ? room : Math.floor(room / 2);
    return line.match(new RegExp(`.{1,${most}}`, 'gu')) ?? [''];
  };
  return text
    .split('\n')
    .flatMap(cut)
    .map((line) => `${lead}${line}`.trimEnd())
    .join('\n');
}

const two = (value: number): string => String(value).padStart(2, '0');
/** Local date and time. */
export function momentOf(ms: number): string {
  const date = new Date(ms);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
