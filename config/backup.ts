import { type BackupMode, backupMode } from '../shared/contract/backup.ts';
import { name as nameSchema } from '../shared/contract/names.ts';
import { VsError } from '../shared/errors.ts';
import { type BackupOptions, Misplaced, parseOptions } from './backup-options.ts';
import { readOptional } from './lines.ts';
import type { Settings } from './settings.ts';

/** The line of the master’s own state. */
export const MASTER_LINE = '@master';

/** One line of backup.conf: `vserver:hot|cold|none[:options]`; `*`: every vserver that has no line. */
export interface BackupLine extends BackupOptions {
  name: string;
  /** none: not backed up, and nobody is told of it. */
  mode: BackupMode | 'none';
  timezone: string;
  line: number;
}

/** The time zone of this machine. */
export const ownTimezone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone;

const MOST_LINES = 20_000;
const LONGEST = 2000;

const quoted = (text: string) => JSON.stringify(text.slice(0, 60));

/** A line up to its comment: # at the beginning of a word and outside of double quotes. */
const withoutComment = (line: string): string => /^(?:"[^"]*"|(?<!\s|^)#|[^#])*/.exec(line)?.[0] ?? '';

function parseLine(
  raw: string,
  number: number,
  before: ReadonlyMap<string, BackupLine>,
): BackupLine | undefined {
  if (raw.length > LONGEST) throw new Misplaced(LONGEST, `a line has at most ${LONGEST} characters`);
  const line = withoutComment(raw).trimEnd();
  if (!line) return undefined;
  const from = line.length - line.trimStart().length;
  const colon = line.indexOf(':');
  if (colon < 0) throw new Misplaced(from, 'expected vserver:hot|cold|none[:options]');
  const name = line.slice(from, colon).trimEnd();
  if (name !== '*' && name !== MASTER_LINE && !nameSchema.safeParse(name).success)
    throw new Misplaced(
      from,
      `${quoted(name)} is no vserver; expected a name such as web1, or *, or ${MASTER_LINE}`,
    );
  const twice = before.get(name);
  if (twice) throw new Misplaced(from, `${name} stands in line ${twice.line} already`);
  const second = line.indexOf(':', colon + 1);
  const end = second < 0 ? line.length : second;
  const word = line.slice(colon + 1, end).trim();
  const mode = word === 'none' ? word : backupMode.safeParse(word).data;
  if (mode === undefined) {
    const blanks = /^\s*/.exec(line.slice(colon + 1, end))?.[0].length ?? 0;
    throw new Misplaced(
      colon + 1 + (word === '' ? 0 : blanks),
      `${quoted(word)} is no way to back up; expected hot, cold or none`,
    );
  }
  if (name === MASTER_LINE && mode === 'cold')
    throw new Misplaced(colon + 1, 'the master is not stopped for it; expected hot or none');
  if (second >= 0 && mode === 'none') throw new Misplaced(second, 'none has no options');
  const options = parseOptions(line, end + 1);
  if (name === MASTER_LINE && options.bandwidth !== undefined)
    throw new Misplaced(end + 1, `${MASTER_LINE} has no bandwidth: its archive is made on this machine`);
  return { ...options, name, mode, timezone: options.timezone ?? ownTimezone(), line: number };
}

/** Parses the text of backup.conf. Throws VsError 'usage' with every fault, by file, line and column. */
export function parseBackups(text: string, file: string): BackupLine[] {
  const found = new Map<string, BackupLine>();
  const faults: string[] = [];
  const lines = text.split(/\r?\n/);
  if (lines.length > MOST_LINES)
    faults.push(`${file}:${MOST_LINES + 1}:1: expected at most ${MOST_LINES} lines`);
  for (const [index, raw] of lines.slice(0, MOST_LINES).entries())
    try {
      const line = parseLine(raw, index + 1, found);
      if (line) found.set(line.name, line);
    } catch (error) {
      if (!(error instanceof Misplaced)) throw error;
      faults.push(`${file}:${index + 1}:${error.at + 1}: ${error.message}`);
    }
  if (faults.length > 0) throw new VsError('usage', faults.slice(0, 20).join('\n'));
  return [...found.values()];
}

/** The line that a vserver is backed up by: its own, else that of `*`. */
export const lineOf = (lines: BackupLine[], vserver: string): BackupLine | undefined =>
  lines.find((one) => one.name === vserver) ?? lines.find((one) => one.name === '*');

export const backupFile = (settings: Pick<Settings, 'CONFIG_DIR'>): string =>
  `${settings.CONFIG_DIR}/backup.conf`;

/** The lines of CONFIG_DIR/backup.conf; none when there is no such file. */
export async function loadBackups(settings: Pick<Settings, 'CONFIG_DIR'>): Promise<BackupLine[]> {
  const file = backupFile(settings);
  return parseBackups(await readOptional(file), file);
}
