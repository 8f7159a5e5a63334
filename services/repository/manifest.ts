import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { run } from '../../shared/run.ts';

const program = new URL('manifest.pl', import.meta.url).pathname;
const written = z.object({ files: z.int(), bytes: z.int(), added: z.int(), read: z.int() });
const compared = z.object({ files: z.int(), bytes: z.int(), faults: z.array(z.string()) });
/** It reads whole trees: what else the machine does goes first (nice(1), ionice(1)). */
const gently = ['nice', '-n', '10', 'ionice', '-c', '3', 'perl', program];
const LONG_MS = 48 * 3_600_000;

/** Writes the manifest of a tree; what `basis` shares with it is not read again. Sizes in bytes on the disk. */
export async function writeManifest(
  tree: string,
  to: string,
  basis?: { tree: string; manifest: string },
): Promise<z.infer<typeof written>> {
  const more = basis ? [basis.tree, basis.manifest] : [];
  const { stdout } = await run([...gently, 'write', tree, to, ...more], { timeoutMs: LONG_MS });
  return written.parse(JSON.parse(stdout));
}

/** Compares a tree with its manifest, all of its content. */
export async function compareManifest(tree: string, manifest: string): Promise<z.infer<typeof compared>> {
  const { stdout } = await run([...gently, 'verify', tree, manifest], { timeoutMs: LONG_MS });
  return compared.parse(JSON.parse(stdout));
}

/** The sha256 of a file. */
export async function sumOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
