import { parseLines, readOptional } from './lines.ts';
import type { Settings } from './settings.ts';

/** What `create` takes when it is not told otherwise: the KEY=value lines of create.conf. */
export type CreateDefaults = Record<string, string>;

function parsePair(line: string, before: [string, string][]): [string, string] {
  const match = /^([A-Z][A-Z0-9_]*)\s*=\s*(.*)$/.exec(line);
  if (!match?.[1]) throw new Error(`expected KEY=value, found "${line.slice(0, 60)}"`);
  if (before.some(([key]) => key === match[1])) throw new Error(`${match[1]} is set already`);
  return [match[1], (match[2] ?? '').replace(/^(["'])(.*)\1$/, '$2')];
}

/** Parses the text of create.conf. */
export const parseCreate = (text: string, file: string): CreateDefaults =>
  Object.fromEntries(parseLines(text, file, parsePair));

/** The defaults of CONFIG_DIR/create.conf; none when there is no such file. */
export async function loadCreate(settings: Pick<Settings, 'CONFIG_DIR'>): Promise<CreateDefaults> {
  const file = `${settings.CONFIG_DIR}/create.conf`;
  return parseCreate(await readOptional(file), file);
}
