import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { copyFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { z } from 'zod';
import type { Settings } from '../../config/settings.ts';
import { type VserverConfig, type installSource, vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { pathsFor } from '../../shared/paths.ts';
import { run } from '../../shared/run.ts';
import type { Call } from '../../shared/service.ts';
import { writeJson } from '../../shared/store.ts';
import { fillBusybox } from './busybox.ts';
import { writeGuestFiles } from './guest-files.ts';

type Source = z.infer<typeof installSource>;

/** Fetches a template into the cache of this host, checked by its sum; one that is there already is not fetched. */
async function fetchTemplate(
  settings: Settings,
  source: Extract<Source, { kind: 'template' }>,
  call: Call,
): Promise<string> {
  const cache = join(settings.STATE_DIR, 'template-cache');
  const file = join(cache, source.sha256);
  if (await stat(file).catch(() => undefined)) return file;
  await mkdir(cache, { recursive: true, mode: 0o700 });
  const temporary = `${file}.${process.pid}.tmp`;
  const answer = await fetch(source.url, {
    headers: { authorization: `Bearer ${source.secret}` },
    signal: call.signal,
  }).catch((error: unknown) => {
    throw new VsError(
      'failed',
      `template ${source.name} could not be fetched from the master: ${String((error as Error).cause ?? error)}`,
      { cause: error },
    );
  });
  if (!answer.ok || !answer.body)
    throw new VsError('failed', `the master refused template ${source.name} (HTTP ${answer.status})`);
  const sum = createHash('sha256');
  let bytes = 0;
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sum.update(chunk);
      bytes += chunk.length;
      done(bytes > source.bytes ? new Error('it is longer than announced') : null, chunk);
    },
  });
  try {
    await pipeline(
      Readable.fromWeb(answer.body as never),
      count,
      createWriteStream(temporary, { flags: 'wx', mode: 0o600 }),
    );
    if (sum.digest('hex') !== source.sha256)
      throw new VsError('failed', `template ${source.name} arrived damaged (its sha256 is wrong); try again`);
    await rename(temporary, file);
  } finally {
    await rm(temporary, { force: true });
  }
  for (const other of await readdir(cache))
    if (other !== source.sha256 && !other.endsWith('.tmp')) await rm(join(cache, other), { force: true });
  return file;
}

/** Fills the staging tree of a saga; a repeat begins anew. */
export async function install(
  settings: Settings,
  want: { name: string; saga: string; source: Source; config: VserverConfig },
  call: Call,
): Promise<{ bytes: number; files: number }> {
  const paths = pathsFor(settings);
  const tree = paths.stagingTree(want.name, want.saga);
  const rootfs = join(tree, 'rootfs');
  await rm(rootfs, { recursive: true, force: true });
  await mkdir(rootfs, { mode: 0o755 });
  if (want.source.kind === 'busybox') await fillBusybox(rootfs);
  else if (want.source.kind === 'clone')
    await run(['cp', '-a', '--reflink=auto', `${paths.rootfs(want.source.of)}/.`, rootfs], {
      timeoutMs: 3_600_000,
      signal: call.signal,
    });
  else {
    const file = await fetchTemplate(settings, want.source, call);
    call.progress({ message: `unpacking ${want.source.name}` });
    await run(
      [
        'tar',
        '--extract',
        '--file',
        file,
        '--directory',
        rootfs,
        '--numeric-owner',
        '--preserve-permissions',
        '--same-owner',
        '--xattrs',
        '--xattrs-include=*',
        '--acls',
        '--exclude=./dev/*',
      ],
      { timeoutMs: 3_600_000, signal: call.signal },
    );
  }
  for (const key of await readdir(join(rootfs, 'etc/ssh')).catch(() => []))
    if (key.startsWith('ssh_host_')) await rm(join(rootfs, 'etc/ssh', key), { force: true });
  await writeGuestFiles(rootfs, want.config);
  await writeJson(join(tree, 'vserver.json'), vserverConfig, want.config);
  for (const file of ['firewall.conf', 'monitor.conf'])
    await copyFile(join(settings.CONFIG_DIR, file), join(tree, file)).catch(() => undefined);
  const { stdout } = await run(['du', '--summarize', '--block-size=1', tree], { timeoutMs: 600_000 });
  const inodes = await run(['du', '--summarize', '--inodes', tree], { timeoutMs: 600_000 });
  return { bytes: Number.parseInt(stdout, 10), files: Number.parseInt(inodes.stdout, 10) };
}
