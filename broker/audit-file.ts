import { appendFile, rename, rm, stat } from 'node:fs/promises';

/** The lines that wait while the disk takes none; what is more is lost, and counted. */
const WAITING = 4 * 1024 * 1024;
const RETRY_MS = 1000;

/**
 * Lines to a file that is put aside at `full` bytes, of which `keep` are kept as FILE.1 (the newest) and so on. Writing is
 * done behind the caller's back; `onFault` hears once that it cannot be done, and once that it can again.
 */
export function openAuditFile(options: {
  file: string;
  full: number;
  keep: number;
  onFault: (message: string) => void;
}) {
  const { file, full, keep, onFault } = options;
  let waiting: string[] = [];
  let length = 0;
  let lost = 0;
  let failing = false;
  let torn = false;
  let ending = false;
  let running: Promise<void> | undefined;

  async function rotate(): Promise<void> {
    await rm(`${file}.${keep}`, { force: true });
    for (let number = keep - 1; number >= 0; number--)
      await rename(number === 0 ? file : `${file}.${number}`, `${file}.${number + 1}`).catch(ifMissing);
  }
  async function write(): Promise<void> {
    const { size } = await stat(file).catch(() => ({ size: 0 }));
    if (size >= full) await rotate();
    const lines = [...waiting];
    const text = `${torn ? '\n' : ''}${lines.join('')}`;
    try {
      await appendFile(file, text, { mode: 0o600 });
    } catch (error) {
      torn = true; // part of a line may stand there
      throw error;
    }
    torn = false;
    waiting = waiting.slice(lines.length);
    length -= lines.reduce((sum, line) => sum + line.length, 0);
  }
  async function run(): Promise<void> {
    while (waiting.length > 0) {
      try {
        await write();
        if (failing)
          onFault(`${file} is written again${lost > 0 ? `; ${lost} commands are missing in it` : ''}`);
        failing = false;
        lost = 0;
      } catch (error) {
        if (!failing) onFault(`${file} cannot be written (${(error as Error).message}); the broker goes on`);
        failing = true;
        if (ending) return;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
      }
    }
  }

  return {
    /** To memory; the disk follows. */
    add(line: string): void {
      if (length + line.length > WAITING) {
        lost++;
        return;
      }
      waiting.push(line);
      length += line.length;
      running ??= run().finally(() => (running = undefined));
    },
    /** Writes what waits, if that can be done. */
    async close(): Promise<void> {
      ending = true;
      if (!failing) await running;
    },
  };
}

function ifMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
