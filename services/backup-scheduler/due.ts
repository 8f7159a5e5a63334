import { type BackupLine, lineOf } from '../../config/backup.ts';
import type { BackupMode } from '../../shared/contract/backup.ts';
import type { Attempts } from './book.ts';
import { isInWindow, lastSlot } from './times.ts';

/** A vserver of the pool, where its owner is. */
export interface Place {
  name: string;
  host: string;
  online: boolean;
}
export interface Look {
  now: number;
  lines: BackupLine[];
  vservers: Place[];
  book: Readonly<Record<string, Attempts>>;
  /** Backups that run, whoever began them. */
  busy: { vserver: string; host: string }[];
  most: { all: number; perHost: number };
}
export interface Begin {
  name: string;
  mode: BackupMode;
  repository?: string;
  bandwidth?: number;
  /** What the schedule said; absent when a person asked. */
  slot?: number;
}

const MINUTE = 60_000;
/** So often one run of the schedule is tried; then the next one has its turn. */
export const MOST_TRIES = 6;
const FIRST_WAIT = 5 * MINUTE;
const LONGEST_WAIT = 180 * MINUTE;
/** How long (ms) is waited after so many failures in a row. */
export const waitAfter = (failures: number): number =>
  Math.min(FIRST_WAIT * 2 ** Math.min(Math.max(failures - 1, 0), 20), LONGEST_WAIT);

export const planOf = ({ schedule, timezone }: BackupLine): string => `${schedule ?? 'none'} ${timezone}`;

/** What is known of a vserver from now on; a schedule that changed counts from now. */
export function noted(entry: Attempts | undefined, line: BackupLine, now: number): Attempts {
  const plan = planOf(line);
  if (entry?.plan === plan) return entry;
  const { done: _, ...rest } = entry ?? { failures: 0, tries: 0 };
  return { ...rest, since: now, plan };
}

/** The run of the schedule that is to be done; only the last of those that were missed. */
export function dueSlot(line: BackupLine, name: string, entry: Attempts, now: number): number | undefined {
  const slot = lastSlot(line, name, now);
  if (slot === undefined || slot <= (entry.done ?? entry.since)) return undefined;
  return slot;
}

/** Decides which backups begin now, those that were due first at first, and why others that are due wait. */
export function due({ now, lines, vservers, book, busy, most }: Look): {
  begin: Begin[];
  waits: Map<string, string>;
} {
  const waits = new Map<string, string>();
  const wanted: (Begin & { host: string; since: number })[] = [];
  for (const { name, host, online } of vservers) {
    const line = lineOf(lines, name);
    const entry = book[name];
    if (!line || line.mode === 'none' || !entry || entry.running) continue;
    const slot = dueSlot(line, name, entry, now);
    if (entry.asked === undefined && slot === undefined) continue;
    const wait = (why: string) => void waits.set(name, why);
    if (busy.some((one) => one.vserver === name)) wait('another backup of it runs');
    else if (!online) wait(`${host} is offline`);
    else if (entry.asked === undefined && (entry.retryAt ?? 0) > now)
      wait('it failed, and is tried again later');
    else if (entry.asked === undefined && !isInWindow(line, now)) wait('its window is not open');
    else
      wanted.push({
        name,
        host,
        since: entry.asked ?? slot ?? now,
        mode: line.mode,
        ...(line.repository === undefined ? {} : { repository: line.repository }),
        ...(line.bandwidth === undefined ? {} : { bandwidth: line.bandwidth }),
        ...(slot === undefined ? {} : { slot }),
      });
  }
  const begin: Begin[] = [];
  const running = busy.map((one) => one.host);
  for (const { host, since: _, ...one } of wanted.toSorted(
    (a, b) => a.since - b.since || (a.name < b.name ? -1 : 1),
  )) {
    if (running.length >= most.all) waits.set(one.name, `${most.all} backups run already`);
    else if (running.filter((other) => other === host).length >= most.perHost)
      waits.set(one.name, `${most.perHost} of ${host} run already`);
    else {
      begin.push(one);
      running.push(host);
    }
  }
  return { begin, waits };
}

/** After a success: the run is done, whoever asked for it. */
export function succeeded(entry: Attempts, ended: number): Attempts {
  const { running, retryAt: _, failedSlot: __, error: ___, ...rest } = entry;
  const done = Math.max(rest.done ?? 0, running?.slot ?? 0);
  return { ...rest, ...(done > 0 ? { done } : {}), success: ended, failures: 0, tries: 0 };
}

/** After a failure: tried again later, each time with a longer wait; given up until the next run after MOST_TRIES, or at once (`final`). */
export function failed(entry: Attempts, error: string, ended: number, final = false): Attempts {
  const { running, ...rest } = entry;
  const slot = running?.slot;
  const failures = rest.failures + 1;
  const next = { ...rest, failures, retryAt: ended + waitAfter(failures), error: error.slice(0, 1000) };
  if (slot === undefined) return next;
  const tries = final ? MOST_TRIES : rest.failedSlot === slot ? rest.tries + 1 : 1;
  return tries < MOST_TRIES
    ? { ...next, failedSlot: slot, tries }
    : { ...next, failedSlot: slot, tries: 0, done: slot };
}
