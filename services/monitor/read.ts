import { closeSync, openSync, readSync } from 'node:fs';

const room = Buffer.allocUnsafe(131_072);

/**
 * The text of a file of the kernel (/proc, /sys); '' when it is not there. At once: such a file waits for no disk, and a
 * promise for each of a thousand of them would cost ten times as much.
 */
export function readKernel(path: string): string {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    let length = 0;
    for (;;) {
      const count = readSync(file, room, length, room.length - length, null);
      length += count;
      if (count === 0 || length === room.length) return room.toString('latin1', 0, length);
    }
  } catch {
    return '';
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** A whole number alone in a file; undefined for none, and for what stands for "no limit" (`max`, 2^63). */
export function wholeOf(text: string): number | undefined {
  const value = Number(text.trim() || Number.NaN);
  return Number.isSafeInteger(value) && value < 2 ** 52 ? value : undefined;
}

/** The number behind a word at the beginning of a line; undefined when there is no such line. */
export function fieldOf(text: string, key: string): number | undefined {
  const at = text.startsWith(key) && /[ \t]/.test(text[key.length] ?? '') ? 0 : text.indexOf(`\n${key} `) + 1;
  if (at === 0 && !text.startsWith(key)) return undefined;
  const value = Number.parseInt(text.slice(at + key.length), 10);
  return Number.isSafeInteger(value) ? value : undefined;
}

export const round = (value: number): number => Math.round(value * 100) / 100;
