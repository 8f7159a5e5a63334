import { readFileSync } from 'node:fs';

/** The commands of docs/getting-started.md as they are printed: those of each block, by the number of the section. */
export function guide(
  text = readFileSync(new URL('../../docs/getting-started.md', import.meta.url), 'utf8'),
) {
  const sections = new Map<number, string[][]>();
  let section = 0;
  let block: string[] | undefined;
  for (const line of text.split('\n')) {
    const heading = /^## (\d+)\./.exec(line);
    if (heading) section = Number(heading[1]);
    else if (line === '```') {
      if (block) sections.set(section, [...(sections.get(section) ?? []), block]);
      block = block ? undefined : [];
    } else {
      const command = line.replace(/ {2,}#.*| # .*/, '').trim();
      if (command) block?.push(command);
    }
  }
  return (number: number, nth = 0): string[] => {
    const found = sections.get(number)?.[nth];
    if (!found) throw new Error(`docs/getting-started.md has no block ${nth + 1} in section ${number}`);
    return found;
  };
}
