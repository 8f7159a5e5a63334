import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Settings } from '../../config/settings.ts';
import type { Template } from '../../shared/contract/template.ts';
import type { Call } from '../../shared/dispatch.ts';
import { VsError } from '../../shared/errors.ts';
import { start } from '../../shared/run.ts';
import {
  discard,
  extensionOf,
  extensions,
  find,
  hashOf,
  list,
  locked,
  place,
  publicOf,
  writeStream,
} from './store.ts';

/** What every template has; no ping, whose file capability cannot be executed without net_raw. */
const include = 'systemd-sysv,iproute2,procps';

/** The argument vector of mmdebstrap, in the network namespace that reaches the mirror. */
export function buildCommand(settings: Settings, suite: string): string[] {
  const space = settings.TEMPLATE_NETNS ? ['nsenter', `--net=${settings.TEMPLATE_NETNS}`, '--'] : [];
  const words = ['mmdebstrap', '--variant=minbase', `--include=${include}`, '--format=tar', suite, '-'];
  return [...space, ...words, ...(settings.TEMPLATE_MIRROR ? [settings.TEMPLATE_MIRROR] : [])];
}

/** One sentence from what mmdebstrap said. */
export function buildFailure(suite: string, mirror: string, lines: string[]): VsError {
  const all = lines.join('\n');
  const where = mirror ? `the mirror ${mirror}` : 'the default mirror';
  if (
    /Could not (resolve|connect)|Temporary failure|Connection (refused|timed out|failed)|Unable to connect|Network is unreachable/i.test(
      all,
    )
  )
    return new VsError(
      'failed',
      `${suite} could not be built: ${where} does not answer; set TEMPLATE_MIRROR to one that does, or import a tarball (vs template import)`,
      { retryable: true },
    );
  if (/404|does not have a Release file|unknown suite/i.test(all))
    return new VsError('failed', `${suite} could not be built: ${where} has no suite ${suite}`);
  const last = lines.filter((line) => /^[EW]:/.test(line)).slice(0, 2);
  return new VsError(
    'failed',
    `${suite} could not be built: ${(last.length > 0 ? last : lines.slice(-2)).join('; ') || 'mmdebstrap failed without a word'}`,
  );
}

const ended = async (child: ReturnType<typeof start>): Promise<number> => {
  const [code] = (await once(child, 'close')) as [number | null];
  return code ?? 1;
};

async function bootstrap(
  settings: Settings,
  suite: string,
  path: string,
  call: Call,
): Promise<{ bytes: number; sha256: string }> {
  const maker = start(buildCommand(settings, suite), {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: call.signal,
  });
  const packer = start(['zstd', '-q', '-T0', '-3'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    signal: call.signal,
  });
  const lines: string[] = [];
  createInterface({ input: maker.stderr as Readable }).on('line', (line) => {
    lines.push(line);
    if (lines.length > 200) lines.shift();
    const said = /^I: (.{1,200})/.exec(line)?.[1];
    if (said) call.progress({ message: said });
  });
  packer.stdin?.on('error', () => undefined);
  maker.stdout?.pipe(packer.stdin as NodeJS.WritableStream);
  const [made, packed, written] = await Promise.allSettled([
    ended(maker),
    ended(packer),
    writeStream(packer.stdout as AsyncIterable<Buffer>, path),
  ]);
  if (made.status === 'rejected')
    throw new VsError('failed', `mmdebstrap cannot be run: ${String(made.reason)}`, { cause: made.reason });
  if (made.value !== 0) throw buildFailure(suite, settings.TEMPLATE_MIRROR, lines);
  if (packed.status === 'rejected' || packed.value !== 0)
    throw new VsError('failed', `${suite} could not be packed: zstd failed`);
  if (written.status === 'rejected')
    throw new VsError(
      'failed',
      `${suite} could not be written to ${settings.TEMPLATE_DIR}: ${String(written.reason)}`,
      { cause: written.reason },
    );
  return written.value;
}

const temporaryIn = (directory: string, name: string) =>
  join(directory, `.${name}.${randomBytes(6).toString('hex')}.tmp`);

/** Builds a suite; with a template of the name there, only by force. */
export function build(
  settings: Settings,
  args: { suite: string; name?: string; force?: boolean },
  call: Call,
): Promise<Template> {
  const directory = settings.TEMPLATE_DIR;
  const name = args.name ?? args.suite;
  return locked(directory, name, async () => {
    const known = await find(directory, name);
    if (known && !args.force) {
      call.progress({ message: `template ${name} is there already` });
      return publicOf(known);
    }
    const temporary = temporaryIn(directory, name);
    try {
      const { bytes, sha256 } = await bootstrap(settings, args.suite, temporary, call);
      const info = `mmdebstrap minbase with ${include}`;
      const file = `${name}.tar.zst`;
      return await place(directory, temporary, {
        name,
        sha256,
        bytes,
        source: args.suite,
        info,
        ts: Date.now(),
        file,
      });
    } finally {
      await discard(temporary);
    }
  });
}

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

async function tarball(file: string): Promise<{ extension: string; size: number }> {
  if (!file.startsWith('/')) throw new VsError('usage', `the path of a tarball is absolute, not ${file}`);
  const extension = extensionOf(file);
  if (!extension) throw new VsError('usage', `${file} is none of ${extensions.join(', ')}`);
  const there = await stat(file).catch(() => undefined);
  if (!there?.isFile()) throw new VsError('not-found', `there is no file ${file} on the master`);
  await checkKind(file, extension);
  return { extension, size: there.size };
}

/** Takes a tarball over as it is, under its own extension. */
export async function importFile(
  settings: Settings,
  args: { file: string; name?: string },
  call: Call,
): Promise<Template> {
  const directory = settings.TEMPLATE_DIR;
  const { extension } = await tarball(args.file);
  const own = basename(args.file)
    .slice(0, -extension.length)
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-');
  const name = args.name ?? own.replace(/^[.-]+/, '').slice(0, 32);
  if (!name) throw new VsError('usage', `give the template a name; none can be made of ${args.file}`);
  if (name === 'busybox') throw new VsError('conflict', 'busybox is built in; import under another name');
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
  const sha256 = await hashOf(file);
  const known = (await list(settings.TEMPLATE_DIR)).find((one) => one.sha256 === sha256);
  return known ? publicOf(known) : importFile(settings, { file, name: `file-${sha256.slice(0, 12)}` }, call);
}
