import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from '../../config/settings.ts';
import { VsError } from '../../shared/errors.ts';
import { readText } from '../../shared/store.ts';
import { parseFirewall } from './parse.ts';
import type { Firewall } from './rule.ts';

/** A bigger file is no rule file; it is not even read by the parser. */
const MOST_CHARACTERS = 400_000;
export const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** A firewall.conf with what it may name: sets, groups, services. */
export interface Sources {
  file: string;
  text: string;
  /** Of the firewall.conf alone. */
  hash: string;
  /** Throws VsError 'usage' that names every fault by file, line and column. */
  parse(): Firewall;
  /** Of everything that was read for it; known after `parse`. */
  mark(): string;
}

function textNow(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The firewall.conf at a path, or `candidate` in its place; one that does not exist is empty. */
export async function readSources(
  settings: Pick<Settings, 'CONFIG_DIR'>,
  file: string,
  candidate?: string,
): Promise<Sources> {
  const text = candidate ?? (await readText(file)) ?? '';
  const setsFile = join(settings.CONFIG_DIR, 'sets.conf');
  const sets = await readText(setsFile);
  const services = await readText('/etc/services');
  const read = [text, sets ?? ''];
  return {
    file,
    text,
    hash: hashOf(text),
    parse() {
      read.length = 2;
      if (text.length > MOST_CHARACTERS)
        throw new VsError(
          'usage',
          `${file}:1:1: found ${text.length} characters, expected at most ${MOST_CHARACTERS} in a firewall.conf; what many share can be a group or a set`,
        );
      return parseFirewall(text, file, {
        ...(sets === undefined ? {} : { sets: { text: sets, file: setsFile } }),
        group(name) {
          if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(name)) return undefined;
          const path = join(settings.CONFIG_DIR, 'groups', `${name}.conf`);
          const found = textNow(path);
          read.push(name, found ?? '');
          return found === undefined ? undefined : { text: found, file: path };
        },
        ...(services === undefined ? {} : { services }),
      });
    },
    mark: () => hashOf(JSON.stringify(read)),
  };
}

const isEnable = (line: string) => line.replace(/#.*$/, '').trim() === 'enable';

/** The text with its `enable` line or, for `on` false, without one: it becomes a comment, and comes back in its place. */
export function withEnable(text: string, on: boolean): string {
  const lines = text.split('\n');
  if (!on) return lines.map((line) => (isEnable(line) ? `# ${line.trim()}` : line)).join('\n');
  if (lines.some(isEnable)) return text;
  const at = lines.findIndex((line) => /^\s*#\s*enable\s*(#.*)?$/.test(line));
  if (at < 0) return `enable\n${text}`;
  return lines.with(at, (lines[at] ?? '').replace(/^\s*#\s*/, '')).join('\n');
}
