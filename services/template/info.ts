import { open } from 'node:fs/promises';

const MOST = 4096;

/** A text of a stranger as people may see it: no control characters but line ends and tabs, at most 4 kB. */
export const plainText = (text: string): string =>
  text
    .replace(/\r\n?/g, '\n')
    .replace(/[^\P{Cc}\n\t]/gu, ' ')
    .slice(0, MOST)
    .trimEnd();

/** The text of NAME.info, or NAME.EXTENSION.info, beside an archive; undefined when there is none. */
export async function infoBeside(file: string, extension: string): Promise<string | undefined> {
  for (const beside of [`${file.slice(0, file.length - extension.length)}.info`, `${file}.info`]) {
    const handle = await open(beside, 'r').catch(() => undefined);
    if (!handle) continue;
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(MOST), 0, MOST, 0);
      return plainText(buffer.subarray(0, bytesRead).toString()) || undefined;
    } catch {
      continue; // a directory
    } finally {
      await handle.close();
    }
  }
  return undefined;
}
