import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { fileMark, readJson, writeJson } from './store.ts';

const DAY = 86_400_000;

/** Certificates that count no more before their end: written by the authority, read by the broker at each login. */
const revokedFile = z.strictObject({
  revoked: z.array(
    z.strictObject({
      serial: z.string().regex(/^[0-9A-F]{2,40}$/), // hexadecimal, as node:crypto tells it
      name: z.string(),
      reason: z.string(),
      at: z.int(), // epoch ms
      ends: z.int(), // of the certificate, epoch ms: the entry goes a day after it
    }),
  ),
});
type Revoked = z.infer<typeof revokedFile>['revoked'][number];

/** Adds certificates to the list; one that is there already stays as it is. */
export async function revokeIn(file: string, more: Revoked[]): Promise<void> {
  const before = (await readJson(file, revokedFile))?.revoked ?? [];
  const known = new Set(before.map((one) => one.serial));
  const fresh = more.filter((one) => !known.has(one.serial));
  if (fresh.length === 0) return;
  const kept = before.filter((one) => one.ends > Date.now() - DAY);
  await writeJson(file, revokedFile, { revoked: [...kept, ...fresh] });
}

/** The list, read now and again by `reload` when the file has changed. A damaged one: `fault` says so, and no certificate counts. */
export function openRevoked(file: string) {
  let mark: string | undefined;
  let serials = new Set<string>();
  let fault: string | undefined;
  function reload(): void {
    const now = fileMark(file);
    if (now === mark) return;
    mark = now;
    try {
      const list = now !== 'none' ? revokedFile.parse(JSON.parse(readFileSync(file, 'utf8'))).revoked : [];
      serials = new Set(list.map((one) => one.serial));
      fault = undefined;
    } catch (error) {
      const why = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
      fault = `the list of revoked certificates ${file} cannot be used (${why}); until it can, no certificate counts`;
    }
  }
  reload();
  return {
    /** Looks whether the file changed. */
    reload,
    /** Why a certificate with this serial does not count; undefined when it does. */
    why(serial: string): string | undefined {
      return fault ?? (serials.has(serial.toUpperCase()) ? 'it was revoked' : undefined);
    },
  };
}
export type RevokedList = ReturnType<typeof openRevoked>;
