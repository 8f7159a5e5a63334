/** A vserver that runs, and how much memory (bytes) it uses now. */
export interface Candidate {
  name: string;
  pid: number;
  /** Its boot order: lower ones are more important, those without one are the least. */
  order?: number | undefined;
  memory: number;
}
/** What is held back: its init, what it used when that began, and above which it is slowed down now (bytes). */
export interface Pressed {
  pid: number;
  from: number;
  bytes: number;
}
export type AllPressed = Record<string, Pressed>;

/** Of one that uses less (bytes) there is nothing to be had. */
const LEAST = 64 * 1024 * 1024;
/** What is taken at a time, and what is left in any case, of what it used at first. */
const STEP = 0.8;
const FLOOR = 0.5;
/** So many are named to the master, which moves one of them. */
const MOST_WISHES = 20;

const importance = ({ order }: Candidate) => order ?? Number.POSITIVE_INFINITY;
/** The least important first, of those the biggest. */
const byImportance = (one: Candidate, other: Candidate): number =>
  (importance(one) === importance(other) ? 0 : importance(other) - importance(one)) ||
  other.memory - one.memory ||
  one.name.localeCompare(other.name);
const isSpared = (one: Candidate, spare: number | undefined) =>
  spare !== undefined && importance(one) <= spare;

/** What is held back still: who was started anew, or is gone, has a cgroup without that. */
export function stillPressed(pressed: AllPressed, running: readonly Candidate[]): AllPressed {
  const pids = new Map(running.map(({ name, pid }) => [name, pid]));
  return Object.fromEntries(Object.entries(pressed).filter(([name, { pid }]) => pids.get(name) === pid));
}

/**
 * Who is held back next, while the host has too little memory: the least important first, of those the biggest; each once
 * before any for a second time, and none below half of what it used. `spare`: orders up to this one are left alone.
 */
export function nextToPress(
  running: readonly Candidate[],
  pressed: AllPressed,
  spare: number | undefined,
): (Pressed & { name: string }) | undefined {
  const roundOf = ({ name }: Candidate) => pressed[name]?.bytes ?? Number.POSITIVE_INFINITY;
  const able = running.filter((one) => {
    const known = pressed[one.name];
    if (isSpared(one, spare)) return false;
    return known ? known.bytes > known.from * FLOOR : one.memory >= LEAST;
  });
  const rest = able.filter((one) => roundOf(one) === Number.POSITIVE_INFINITY);
  const [first] = (rest.length > 0 ? rest : able).toSorted(byImportance);
  if (!first) return undefined;
  const { from, bytes } = pressed[first.name] ?? { from: first.memory, bytes: first.memory };
  const next = Math.max(Math.ceil(from * FLOOR), Math.floor(bytes * STEP));
  return { name: first.name, pid: first.pid, from, bytes: next };
}

/** Whom the host would be rid of, the first first, and what it would get back (bytes). */
export function wishesOf(
  running: readonly Candidate[],
  spare: number | undefined,
): { name: string; memory: number }[] {
  return running
    .filter((one) => one.memory >= LEAST && !isSpared(one, spare))
    .toSorted(byImportance)
    .slice(0, MOST_WISHES)
    .map(({ name, memory }) => ({ name, memory }));
}
