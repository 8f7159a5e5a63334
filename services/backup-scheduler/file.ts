import { readFile } from 'node:fs/promises';
import { type BackupLine, MASTER_LINE, backupFile, parseBackups } from '../../config/backup.ts';
import type { Settings } from '../../config/settings.ts';
import { fileMark, readText, writeFileIfChanged } from '../../shared/store.ts';

/**
 * The lines of backup.conf in force: those of the last file without a fault, also after a restart (a copy of it lies in
 * STATE_DIR). `look` reads the file again when it has changed; one that is not there has no lines.
 */
export function openFile(settings: Pick<Settings, 'CONFIG_DIR' | 'STATE_DIR'>) {
  const file = backupFile(settings);
  const good = `${settings.STATE_DIR}/backup.conf.good`;
  let mark: string | undefined;
  let lines: BackupLine[] | undefined;
  let fault: string | undefined;

  async function read(): Promise<void> {
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    lines = parseBackups(text, file);
    fault = undefined;
    await writeFileIfChanged(good, text);
  }
  return {
    file,
    get lines(): BackupLine[] {
      return (lines ?? []).filter((one) => one.name !== MASTER_LINE);
    },
    /** The line of the master's own state. */
    get master(): BackupLine | undefined {
      return lines?.find((one) => one.name === MASTER_LINE);
    },
    /** What is wrong with the file as it is now. */
    get fault(): string | undefined {
      return fault;
    },
    async look(): Promise<void> {
      const now = fileMark(file);
      if (now === mark) return;
      try {
        await read();
        mark = now;
      } catch (error) {
        fault = (error as Error).message;
        // a fault in its lines stays until it changes; what could not be read may be read at the next look
        mark = (error as { code?: string }).code === 'usage' ? now : undefined;
      }
      if (lines === undefined)
        try {
          lines = parseBackups((await readText(good)) ?? '', good);
        } catch {
          lines = [];
        }
    },
  };
}
export type BackupFile = ReturnType<typeof openFile>;
