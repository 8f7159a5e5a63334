import { readFile } from 'node:fs/promises';
import { type AuditEntry, auditEntry } from '../../shared/contract/audit.ts';
import type { Args } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';

/** What a reply may hold, below the broker's limit of 1 MB. */
const MOST_BYTES = 600_000;

/** The lines of a file, the newest first; none when it is not there. */
async function linesOf(file: string): Promise<string[]> {
  try {
    return (await readFile(file, 'utf8')).split('\n').reverse();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new VsError('failed', `${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}
function entryOf(line: string): AuditEntry | undefined {
  try {
    return auditEntry.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined; // torn by a power cut or a full disk
  }
}

/** What the broker has written to STATE_DIR/audit.jsonl and the files before it: the newest that match, the oldest first. */
export async function readAudit(
  stateDir: string,
  { limit = 50, user, target, command }: Args<'orchestrator.audit'>,
): Promise<AuditEntry[]> {
  const found: { n: number; shown: AuditEntry }[] = [];
  const seen = new Set<unknown>();
  let bytes = 0;
  for (const suffix of ['', '.1', '.2', '.3', '.4', '.5']) {
    for (const line of await linesOf(`${stateDir}/audit.jsonl${suffix}`)) {
      const entry = line ? entryOf(line) : undefined;
      if (!entry) continue;
      const { n, ...shown } = entry;
      if (n !== undefined && seen.has(n)) continue; // how it ended stands later in the file
      seen.add(n);
      if (user !== undefined && entry.user !== user) continue;
      if (target !== undefined && entry.target !== target) continue;
      if (command !== undefined && ![entry.command, ...entry.command.split('.')].includes(command)) continue;
      bytes += Buffer.byteLength(line);
      if (bytes > MOST_BYTES || found.length >= limit) return inOrder(found);
      found.push({ n: Number(String(n).split('-').at(-1)) || 0, shown });
    }
  }
  return inOrder(found);
}
/** As they were sent; of two in one millisecond the broker's numbers tell, else their place in the file. */
const inOrder = (found: { n: number; shown: AuditEntry }[]): AuditEntry[] =>
  found
    .toReversed()
    .sort((a, b) => a.shown.ts - b.shown.ts || a.n - b.n)
    .map(({ shown }) => shown);
