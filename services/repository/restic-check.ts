import { z } from 'zod';
import type { ResticRepository } from '../../config/repositories.ts';
import { VsError } from '../../shared/errors.ts';
import { parseOutput, restic } from './restic.ts';

const LONG_MS = 48 * 3_600_000;
const MOST_PACKS = 50;
/** Of a damaged pack so many pieces are read one by one; with more, all of it counts as damaged. */
const MOST_PIECES = 200;
const piece = z.object({
  id: z.string().regex(/^[0-9a-f]{64}$/),
  path: z.string().optional(),
  snapshot: z.string().optional(),
});
const found = z.array(piece).max(1_000_000).nullable();
const DAMAGED = /repository contains errors/;

/** The packs that `restic check` names as damaged or gone, and what else it says is wrong. */
export function damagedIn(text: string): { packs: string[]; other: string[] } {
  const packs = new Set<string>();
  const other: string[] = [];
  for (const line of text.split('\n')) {
    if (/^Load\(|retrying after/.test(line)) continue;
    const [, pack] = /\bpack(?: ID does not match, want| file)? ([0-9a-f]{64})/i.exec(line) ?? [];
    if (pack !== undefined) packs.add(pack);
    else if (/^(error|tree|.*(?:failed|damaged|not found in index|does not match))/.test(line))
      other.push(line);
  }
  return { packs: [...packs], other };
}

/** What `restic check` says; undefined: nothing is wrong. Throws when the repository could not be checked. */
async function check(repository: ResticRepository, ...more: string[]): Promise<string | undefined> {
  const { stdout, stderr, code } = await restic(repository, ['check', '--no-lock', ...more], {
    gently: true,
    timeoutMs: LONG_MS,
    okCodes: [0, 1],
  });
  if (code === 0) return undefined;
  const said = `${stdout}\n${stderr}`;
  if (DAMAGED.test(said)) return said;
  throw new VsError(
    'failed',
    `repository ${repository.name} could not be checked: ${stderr.trim().slice(-300)}`,
  );
}

/** Those pieces of a pack that cannot be read. */
async function unreadable(repository: ResticRepository, ids: string[]): Promise<Set<string>> {
  const bad = new Set<string>();
  for (const id of ids) {
    const asked = ['cat', '--no-lock', '--no-cache', 'blob', id];
    await restic(repository, asked, { gently: true, timeoutMs: LONG_MS, discard: true }).catch(() =>
      bad.add(id),
    );
  }
  return bad;
}

/** By snapshot, the faults that damaged packs make in it: each file once. */
async function concerned(repository: ResticRepository, packs: string[]): Promise<Map<string, string[]>> {
  const faults = new Map<string, Set<string>>();
  for (const pack of packs.slice(0, MOST_PACKS)) {
    const asked = ['find', '--no-lock', '--json', '--pack', pack];
    const { stdout } = await restic(repository, asked, { gently: true, timeoutMs: LONG_MS });
    const pieces = parseOutput(stdout, found, 'find') ?? [];
    const ids = [...new Set(pieces.map((one) => one.id))];
    const bad = ids.length > MOST_PIECES ? new Set(ids) : await unreadable(repository, ids);
    for (const { path, snapshot } of pieces.filter((one) => bad.has(one.id))) {
      if (snapshot === undefined) continue;
      const what = (path ?? '').replace(/^\/tree\/?/, '') || 'the list of its files';
      const own = faults.get(snapshot) ?? new Set<string>();
      if (own.size < 100)
        own.add(`${what.slice(0, 380)} is damaged: its data in pack ${pack.slice(0, 12)} is not what it was`);
      faults.set(snapshot, own);
    }
  }
  return new Map([...faults].map(([snapshot, some]) => [snapshot, [...some]]));
}

/** Reads all of a snapshot; what was in the way. */
async function readAll(repository: ResticRepository, snapshot: string): Promise<VsError | undefined> {
  const asked = ['dump', '--no-lock', '--no-cache', '--archive', 'tar', snapshot, '/'];
  try {
    await restic(repository, asked, { gently: true, timeoutMs: LONG_MS, discard: true });
    return undefined;
  } catch (error) {
    if (error instanceof VsError) return error;
    throw error;
  }
}

/**
 * Verifies one backup: the structure of the repository (`restic check`), then all of this snapshot is read, decrypted and compared
 * with its checksums, without the cache. Only when that fails, all packs are read, so that those that are damaged can be named, and
 * the files in them, of every backup. By snapshot: its faults; no entry: none is known.
 */
export async function checkRestic(
  repository: ResticRepository,
  snapshot: string,
  inTurn: <T>(work: () => Promise<T>) => Promise<T>,
): Promise<Map<string, string[]>> {
  // a check that sees a snapshot go takes that for damage: nothing else is done there meanwhile
  const structure = await inTurn(() => check(repository));
  const unread = await readAll(repository, snapshot);
  if (structure === undefined && !unread) return new Map();
  const said = await inTurn(() => check(repository, '--read-data'));
  if (said === undefined) {
    if (unread) throw unread; // it could not be read just now: that says nothing of the backup
    return new Map();
  }
  const { packs, other } = damagedIn(said);
  const faults = await concerned(repository, packs);
  if (faults.size === 0 && unread)
    faults.set(snapshot, [unread.message, ...other].map((one) => one.slice(0, 480)).slice(0, 20));
  return faults;
}
