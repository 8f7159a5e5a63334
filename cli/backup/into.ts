import { lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Writable } from 'node:stream';
import { VsError } from '../../shared/errors.ts';
import { syncDirectory } from '../../shared/store.ts';
import { confirm } from '../ask.ts';
import type { Client } from '../client.ts';
import { hostOf } from '../locate.ts';
import { type FilesOptions, interruptible, pullTar, pushOne } from '../session/files.ts';
import { openMeter } from '../session/meter.ts';
import { measure } from '../tar/write.ts';

/** What goes back: where it lies here, and its path in the vserver. */
export interface Piece {
  from: string;
  path: string;
}

const stamp = () => `${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;

/** What a vserver has at these places now, as tar files here, with its owners by number; what is not there is nothing. */
async function keepAside(
  name: string,
  pieces: Piece[],
  directory: string,
  options: FilesOptions,
): Promise<string[]> {
  const kept: string[] = [];
  const own = join(directory, `${name}-${stamp()}`);
  await mkdir(own, { recursive: true, mode: 0o700 });
  for (const [index, { path }] of pieces.entries()) {
    const file = join(own, `${index + 1}-${basename(path)}.tar`);
    const out = await open(`${file}.part`, 'wx', 0o600);
    try {
      const stream = new Writable({
        write: (chunk: Buffer, _encoding, done) => void out.appendFile(chunk).then(() => done(), done),
      });
      await pullTar({ name, path }, stream, options);
      await out.sync();
      await rename(`${file}.part`, file);
      kept.push(file);
    } catch (error) {
      if (!(error instanceof VsError) || error.code !== 'not-found') throw error;
    } finally {
      await out.close();
      await rm(`${file}.part`, { force: true });
    }
  }
  await syncDirectory(own);
  return kept;
}

/**
 * Puts files of a backup back into the vserver, running or stopped, as a push does: what is there is taken in by its own tar, or by one
 * that sees nothing but its tree, so no link of it leads out of it. Before that all of it is a snapshot, or lies aside as tar files.
 */
export async function restoreInto(
  client: Client,
  { name, id, pieces }: { name: string; id: string; pieces: Piece[] },
  options: { yes: boolean; aside: string; json: boolean; host?: string | undefined },
): Promise<void> {
  const host = await hostOf(client, name, options.host);
  const { capabilities } = await client.request(host, 'snapshot.info', {});
  const what = pieces.map(({ path }) => path).join(', ');
  if (!options.yes)
    await confirm(
      `Put ${what} of backup ${id} into ${name} on ${host}, over what is there? ${capabilities.snapshot ? 'A snapshot of it is made before.' : `What is there is kept in ${options.aside} before.`}`,
      'vs backup restore --into',
    );
  await interruptible(async (signal) => {
    const files: FilesOptions = { host, signal };
    let snapshot: string | undefined;
    let kept: string[] = [];
    if (capabilities.snapshot) {
      const before = `before-restore-${stamp()}`;
      const note = `before files of backup ${id}`;
      const made = await client.request(
        host,
        'snapshot.take',
        { name, snapshot: before, note },
        { timeoutMs: 1_500_000 },
      );
      snapshot = made.snapshot?.snapshot ?? before;
    } else kept = await keepAside(name, pieces, options.aside, files);
    for (const { from, path } of pieces) {
      const { bytes } = await measure(from);
      const meter = openMeter(name, bytes);
      const tree = (await lstat(from)).isDirectory();
      const place = { name, path: `${dirname(path).replace(/\/$/, '')}/` };
      try {
        await pushOne(from, place, { as: basename(path), tree, parents: true }, files, meter);
      } finally {
        meter.stop();
      }
    }
    const paths = pieces.map(({ path }) => path);
    if (options.json)
      return console.log(
        JSON.stringify({ backup: id, paths, into: name, host, kept, ...(snapshot ? { snapshot } : {}) }),
      );
    const before = snapshot
      ? `What it was before: vs snapshot diff ${name} ${snapshot}`
      : kept.length > 0
        ? `What was there before: ${kept.join(', ')}`
        : 'There was nothing of it before.';
    console.log(`${what} of ${name} as of ${id} is in it again, on ${host}. ${before}`);
  });
}
