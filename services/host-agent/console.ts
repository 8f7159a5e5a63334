import { open, rename, rm, stat } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { Args, Data } from '../../shared/contract/commands.ts';
import type { ConsolePlace } from '../../shared/contract/control.ts';
import type { Call } from '../../shared/service.ts';

/** LXC puts a console aside at this size (bytes) as .1, and the one before it goes (lxc.container.conf(5): a power of 2). */
export const CONSOLE_SIZE = 524_288;

/** As much of one file is shown at most (bytes); one that an earlier version let grow may be larger than CONSOLE_SIZE. */
const MOST_SHOWN = 1024 * 1024;
/** What comes between two looks and is more than this (bytes) is left out: a guest that writes for ever floods nobody. */
const MOST_NEWS = 256 * 1024;
const LOOK_MS = 250;
const CHUNK = 64 * 1024;
const LINES = 100;

/** The files of a console, the oldest first: what it wrote before its last start, and since. */
export const consoleFiles = (file: string) => ({
  before: [`${file}.before.1`, `${file}.before`],
  since: [`${file}.1`, file],
});
const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';
const unlessMissing = (error: unknown): void => {
  if (!isMissing(error)) throw error;
};

/** Puts aside what it wrote so far: nothing of it runs, and it is about to be started. */
export async function beginConsole(file: string): Promise<void> {
  if (!(await stat(file).catch(() => undefined))) return;
  await rm(`${file}.before.1`, { force: true });
  await rename(`${file}.1`, `${file}.before.1`).catch(unlessMissing);
  await rename(file, `${file}.before`).catch(unlessMissing);
}

/** Removes it with the vserver. */
export async function forgetConsole(file: string): Promise<void> {
  const { before, since } = consoleFiles(file);
  for (const one of [...before, ...since]) await rm(one, { force: true });
}

/** The end of text: so many lines, the last one also without its newline. */
export function lastLines(text: Buffer, lines: number): Buffer {
  if (lines === 0) return text.subarray(text.length);
  let at = text.length - 1; // a newline at the very end ends the last line
  for (let left = lines; at > 0; at--) if (text[at - 1] === 10 && --left === 0) break;
  return text.subarray(Math.max(0, at));
}

/** Bytes of a file from a place on, at most `most` of the newest; what lies before them was left out. */
async function readFrom(
  path: string,
  most: number,
  startOf: (found: { file: number; size: number }) => number,
): Promise<{ bytes: Buffer; left: number; place: ConsolePlace } | undefined> {
  const handle = await open(path, 'r').catch((error: unknown) => unlessMissing(error));
  if (!handle) return undefined;
  try {
    const { ino: file, size } = await handle.stat();
    const start = startOf({ file, size });
    const from = Math.max(start, size - most);
    const bytes = Buffer.alloc(Math.max(0, size - from));
    const { bytesRead } =
      bytes.length > 0 ? await handle.read(bytes, 0, bytes.length, from) : { bytesRead: 0 };
    return { bytes: bytes.subarray(0, bytesRead), left: from - start, place: { file, at: from + bytesRead } };
  } finally {
    await handle.close();
  }
}

/** What was written since a place, also when the file was put aside meanwhile, and the place after it. */
async function newsSince(
  file: string,
  from: ConsolePlace,
  say: (bytes: Buffer, left: number) => void,
): Promise<ConsolePlace> {
  const rest = (path: string) =>
    readFrom(path, MOST_NEWS, (found) =>
      found.file === from.file ? Math.min(from.at, found.size) : found.size,
    );
  const now = await readFrom(file, MOST_NEWS, (found) =>
    found.file === from.file && found.size >= from.at ? from.at : 0,
  );
  if (!now) return from; // it was never started, or is about to be
  if (now.place.file !== from.file && from.file !== 0)
    for (const path of [`${file}.1`, `${file}.before`]) {
      const old = await rest(path);
      if (old?.place.file === from.file) say(old.bytes, old.left);
    }
  say(now.bytes, now.left);
  return now.place;
}

/** Tells what a console says, for as long as the caller wants to wait; answers the place to go on from. */
export async function showConsole(
  file: string,
  { lines = LINES, boot, from, wait = 0 }: Omit<Args<'host-agent.logs'>, 'name'>,
  call: Call,
  isThere: () => Promise<unknown>,
): Promise<Data<'host-agent.logs'>> {
  const say = (bytes: Buffer, left = 0) => {
    if (left > 0) call.progress({ left });
    for (let at = 0; at < bytes.length; at += CHUNK)
      call.progress({ data: bytes.subarray(at, at + CHUNK).toString('base64') });
  };
  const end = performance.now() + wait;
  let next = from ?? { file: 0, at: 0 };
  if (!from) {
    const { before, since } = consoleFiles(file);
    const texts: Buffer[] = [];
    for (const path of boot ? since : [...before, ...since]) {
      const read = await readFrom(path, MOST_SHOWN, () => 0);
      if (read) texts.push(read.bytes);
      if (read && path === file) next = read.place;
    }
    say(lastLines(Buffer.concat(texts), lines));
  }
  for (;;) {
    if (from || wait > 0) next = await newsSince(file, next, say);
    if (performance.now() >= end || call.signal.aborted) return { next };
    await isThere();
    await pause(LOOK_MS, undefined, { signal: call.signal }).catch(() => undefined);
  }
}
