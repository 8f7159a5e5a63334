import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

export interface Licence {
  /** Where it lies, such as node_modules/zod. */
  path: string;
  name: string;
  version: string;
  licence: string;
  /** The text that comes with it; empty when none does. */
  text: string;
}

interface PackageJson {
  name: string;
  version: string;
  license?: string | { type?: string };
  licenses?: { type?: string }[];
}

/** Longer texts (Node's, with those of all its parts) are not said again. */
const LONG = 30_000;
const textFile = /^(licen[cs]e|copying|notice)(\.(md|txt|markdown))?$/i;

/** A text that every Debian has already is named, with the lines that say whose it is. */
function known(text: string): string {
  if (!/Apache License\s+Version 2\.0/.test(text)) return text;
  const whose = text.split('\n').filter((line) => /^\s*Copyright (\(c\) )?\d/i.test(line));
  return [...whose, 'The Apache License, Version 2.0, is in /usr/share/common-licenses/Apache-2.0.'].join(
    '\n',
  );
}

/** The licence of each of these packages, by what it says itself. Throws when one says nothing. */
export async function licencesOf(root: string, paths: string[]): Promise<Licence[]> {
  const found = await Promise.all(
    paths.map(async (path) => {
      const at = join(root, path);
      const own = JSON.parse(await readFile(join(at, 'package.json'), 'utf8')) as PackageJson;
      const said = typeof own.license === 'string' ? own.license : own.license?.type;
      const licence = said ?? own.licenses?.map(({ type }) => type).join(' OR ');
      if (!licence) throw new Error(`${path} does not say under which licence it is`);
      const file = (await readdir(at)).find((name) => textFile.test(name));
      const whole = file ? (await readFile(join(at, file), 'utf8')).trim() : '';
      const text = whole.length > LONG ? `Its text is in /usr/lib/vs-tools/${path}/${file}.` : known(whole);
      return { path, name: own.name, version: own.version, licence, text };
    }),
  );
  return found.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/** One line for each package. */
export const licenceList = (all: Licence[]): string =>
  all.map(({ name, version, licence }) => `${name} ${version}: ${licence}\n`).join('');

/** /usr/share/doc/vs-tools/copyright: of vs-tools itself, and of all that comes with it, each text once. */
export function copyrightFile(all: Licence[]): string {
  const byText = Map.groupBy(
    all,
    ({ licence, text }) => text || `(its package.json says ${licence}, and it comes without a text)`,
  );
  const texts = [...byText].map(
    ([text, those]) =>
      `${'-'.repeat(78)}\n${those.map(({ name, version, licence }) => `${name} ${version}: ${licence}`).join('\n')}\n\n${text}\n`,
  );
  return `vs-tools, which manages a pool of hosts and their vservers.

Copyright: its authors
License: GPL-3.0-or-later. On Debian systems the text of the GNU General Public License, version 3, is in
/usr/share/common-licenses/GPL-3.

The package holds these others, in /usr/lib/vs-tools/node_modules:

${licenceList(all)}
Their licences:

${texts.join('\n')}`;
}
