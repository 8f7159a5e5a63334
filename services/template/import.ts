import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Settings } from '../../config/settings.ts';
import type { Template } from '../../shared/contract/template.ts';
import type { Call } from '../../shared/dispatch.ts';
import { sha256Of } from '../../shared/checksum.ts';
import { VsError } from '../../shared/errors.ts';
import { start } from '../../shared/run.ts';
import { infoBeside } from './info.ts';
import {
  discard,
  extensionOf,
  extensions,
  find,
  list,
  locked,
  place,
  publicOf,
  temporaryIn,
  writeStream,
} from './store.ts';

/** The first bytes of each kind of tarball; a plain tar has its mark at 257. */
async function checkKind(file: string, extension: string): Promise<void> {
  const handle = await open(file, 'r');
  const head = Buffer.alloc(262);
  try {
    await handle.read(head, 0, head.length, 0);
  } finally {
    await handle.close();
  }
  const begins: Record<string, string> = {
    '.tar.zst': '28b52ffd',
    '.tar.gz': '1f8b',
    '.tgz': '1f8b',
    '.tar.xz': 'fd377a585a00',
  };
  const begin = begins[extension];
  const right = begin ? head.toString('hex').startsWith(begin) : head.subarray(257).toString() === 'ustar';
  if (!right) throw new VsError('failed', `${file} is no ${extension.slice(1)} file, whatever its name says`);
}

export async function tarball(file: string): Promise<{ extension: string; size: number }> {
  if (!file.startsWith('/')) throw new VsError('usage', `the path of a tarball is absolute, not ${file}`);
  const extension = extensionOf(file);
  if (!extension) throw new VsError('usage', `${file} is none of ${extensions.join(', ')}`);
  const there = await stat(file).catch(() => undefined);
  if (!there?.isFile()) throw new VsError('not-found', `there is no file ${file} on the master`);
  await checkKind(file, extension);
  return { extension, size: there.size };
}

/** A template's name from that of a file. Throws VsError 'usage'. */
export function nameFrom(file: string, extension: string): string {
  const own = basename(file)
    .slice(0, extension ? -extension.length : undefined)
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-');
  const name = own.replace(/^[.-]+/, '').slice(0, 32);
  if (!name) throw new VsError('usage', `give the template a name; none can be made of ${file}`);
  return name;
}

/** Takes a tarball over as it is, under its own extension. */
export async function importFile(
  settings: Settings,
  args: { file: string; name?: string | undefined },
  call: Call,
): Promise<Template> {
  const directory = settings.TEMPLATE_DIR;
  const { extension } = await tarball(args.file);
  const name = args.name ?? nameFrom(args.file, extension);
  if (name === 'busybox') throw new VsError('conflict', 'busybox is built in; import under another name');
  const info = await infoBeside(args.file, extension);
  return locked(directory, name, async () => {
    const temporary = temporaryIn(directory, name);
    call.progress({ message: `copying ${args.file}` });
    try {
      const { bytes, sha256 } = await writeStream(createReadStream(args.file), temporary);
      const known = await find(directory, name);
      if (known?.sha256 === sha256) return publicOf(known);
      call.progress({ message: 'checking' });
      await requireWhole(temporary, args.file);
      if (known)
        throw new VsError(
          'conflict',
          `there is another template ${name}; remove it first (vs template remove ${name}) or give another name`,
        );
      return await place(directory, temporary, {
        name,
        sha256,
        bytes,
        source: args.file,
        ...(info === undefined ? {} : { info }),
        ts: Date.now(),
        file: `${name}${extension}`,
      });
    } finally {
      await discard(temporary);
    }
  });
}

/** Reads an archive to its end: a damaged one is refused before it becomes a template. */
async function requireWhole(archive: string, file: string): Promise<void> {
  const child = start(['tar', '--force-local', '-t', '-f', archive], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2000)));
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve(status ?? 1));
  });
  if (code === 0) return;
  const reason = said.trim().split('\n')[0] ?? '';
  throw new VsError('failed', `${file} is damaged, so it becomes no template: ${reason.slice(0, 200)}`);
}

/** Imports the tarball of a path under a name from its sha256; one that is here already is used. */
export async function ensureFile(settings: Settings, file: string, call: Call): Promise<Template> {
  await tarball(file);
  const sha256 = await sha256Of(file);
  const known = (await list(settings.TEMPLATE_DIR)).find((one) => one.sha256 === sha256);
  return known ? publicOf(known) : importFile(settings, { file, name: `file-${sha256.slice(0, 12)}` }, call);
}
