import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { sha256Of } from '../../shared/checksum.ts';
import { run } from '../../shared/run.ts';

const program = new URL('manifest.pl', import.meta.url).pathname;
const nextProgram = new URL('manifest-next.pl', import.meta.url).pathname;
const written = z.object({ files: z.int(), bytes: z.int(), added: z.int(), read: z.int() });
const next = z.object({ files: z.int(), more: z.int(), added: z.int(), read: z.int() });
const compared = z.object({ files: z.int(), bytes: z.int(), faults: z.array(z.string()) });
/** It reads whole trees: what else the machine does goes first (nice(1), ionice(1)). */
const gently = ['nice', '-n', '10', 'ionice', '-c', '3', 'perl'];
/** The program that reads files, a word a line. */
const env = { VS_SUMS: `${process.execPath}\n${new URL('sums.ts', import.meta.url).pathname}` };
const LONG_MS = 48 * 3_600_000;

/** Writes the manifest of a tree; what `basis` shares with it is not read again. Sizes in bytes on the disk. */
export async function writeManifest(
  tree: string,
  to: string,
  basis?: { tree: string; manifest: string },
): Promise<z.infer<typeof written>> {
  const more = basis ? [basis.tree, basis.manifest] : [];
  const { stdout } = await run([...gently, program, 'write', tree, to, ...more], { timeoutMs: LONG_MS, env });
  return written.parse(JSON.parse(stdout));
}

/**
 * Writes the manifest of a tree that began as `basis` by the lists of what changed in it since; nothing else is looked at but the names. `bytes`:
 * what the basis takes on the disk. Throws where the lists do not say all that is different.
 */
export async function writeNextManifest(
  tree: string,
  to: string,
  { basis, changes }: { basis: { tree: string; manifest: string; bytes: number }; changes: string },
): Promise<z.infer<typeof written>> {
  const argv = [...gently, nextProgram, tree, to, basis.tree, basis.manifest, changes];
  const { stdout } = await run(argv, { timeoutMs: LONG_MS, env });
  const { more, ...found } = next.parse(JSON.parse(stdout));
  return { ...found, bytes: Math.max(0, basis.bytes + more) };
}

/** Has it all that this version writes, so that a next one can be made of it? */
export async function isCurrent(manifest: string): Promise<boolean> {
  const head = '# vs-manifest 2\n';
  const file = await open(manifest);
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(head.length), position: 0 });
    return buffer.toString('latin1', 0, bytesRead) === head;
  } finally {
    await file.close();
  }
}

/** How many entries a tree has by its manifest, itself included, with how many bytes in files and symlinks. */
export async function countManifest(manifest: string): Promise<{ files: number; bytes: number }> {
  let [files, bytes] = [1, 0];
  for await (const line of createInterface({ input: createReadStream(manifest, 'latin1') })) {
    const [type = '', , , size] = line.split(' ', 4);
    if (!'fdlpsbc'.includes(type)) continue; // what is said beyond the entries
    files++;
    if (type === 'f' || type === 'l') bytes += Number(size);
  }
  return { files, bytes };
}

/** Compares a tree with its manifest, all of its content. */
export async function compareManifest(tree: string, manifest: string): Promise<z.infer<typeof compared>> {
  const { stdout } = await run([...gently, program, 'verify', tree, manifest], { timeoutMs: LONG_MS, env });
  const found = compared.parse(JSON.parse(stdout));
  // each byte of a name that is no text became four: a record takes 500 characters (shared/contract/backup.ts)
  return { ...found, faults: found.faults.map((fault) => fault.slice(0, 480)) };
}

/** The sha256 of a manifest. */
export const sumOf = (manifest: string): Promise<string> => sha256Of(manifest);
