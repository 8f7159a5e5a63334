import { createReadStream } from 'node:fs';
import { open, readFile, stat, statfs } from 'node:fs/promises';
import { extname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import type { Settings } from '../../config/settings.ts';
import type { Template, TemplateImage } from '../../shared/contract/template.ts';
import type { Call } from '../../shared/dispatch.ts';
import { VsError } from '../../shared/errors.ts';
import { nameFrom } from './import.ts';
import { infoBeside, plainText } from './info.ts';
import { type Archive, openArchive } from './oci/archive.ts';
import { archiveOf, complete, layersTree } from './oci/flatten.ts';
import { type Image, readImage } from './oci/image.ts';
import { howItRuns, place as initPlace, runScript, stopSignal } from './oci/init.ts';
import { bounded, unpacked } from './oci/streams.ts';
import { find as findIn } from './oci/tree.ts';
import { discard, find, list, locked, place, publicOf, temporaryIn, writeStream } from './store.ts';

export const PREFIX = 'oci:';
/** The path in `oci:FILE`; undefined for other sources. */
export const imageFile = (source: string): string | undefined =>
  source.startsWith(PREFIX) ? source.slice(PREFIX.length) : undefined;

/** A stream that is to be written beside the templates: it leaves a tenth of what is free there. */
async function roomFor(settings: Settings, source: AsyncIterable<Buffer>): Promise<AsyncIterable<Buffer>> {
  const { bavail, bsize } = await statfs(settings.TEMPLATE_DIR);
  return bounded(
    source,
    bavail * bsize * 0.9,
    `there is not room enough in ${settings.TEMPLATE_DIR} on the master`,
  );
}

/** Throws VsError unless there is such a file on the master. */
async function requireFile(file: string): Promise<void> {
  if (!file.startsWith('/'))
    throw new VsError(
      'usage',
      `the path of an image archive is absolute, as in oci:/root/nginx.tar, not ${file}`,
    );
  const there = await stat(file).catch(() => undefined);
  if (!there?.isFile()) throw new VsError('not-found', `there is no file ${file} on the master`);
}

/** The archive and the image in it; one that was compressed as a whole is unpacked beside the templates, and gone after `work`. */
async function withImage<T>(
  settings: Settings,
  file: string,
  name: string,
  work: (archive: Archive, image: Image) => Promise<T>,
): Promise<T> {
  const handle = await open(file, 'r');
  const head = Buffer.alloc(4);
  try {
    await handle.read(head, 0, head.length, 0);
  } finally {
    await handle.close();
  }
  const magic = head.toString('hex');
  const isPacked = magic.startsWith('1f8b') || magic === '28b52ffd';
  const plain = isPacked ? temporaryIn(settings.TEMPLATE_DIR, name) : file;
  try {
    if (isPacked) {
      const whole = unpacked(createReadStream(file) as AsyncIterable<Buffer>, file);
      await writeStream(await roomFor(settings, whole), plain);
    }
    const archive = await openArchive(plain);
    return await work(archive, await readImage(archive));
  } catch (error) {
    if (!(error instanceof VsError)) throw error;
    throw new VsError(error.code, `${file} becomes no template: ${error.message.replaceAll(plain, file)}`, {
      cause: error,
    });
  } finally {
    if (isPacked) await discard(plain);
  }
}

const sayings: Record<TemplateImage['runs'], string> = {
  init: 'boots the init of the image',
  program:
    'the image has a program instead of an init: it runs under a small init of vs-tools, and the vserver halts when it ends',
  idle: 'the image has neither an init nor a program but a shell: it idles, to be entered',
};

/** What is shown of an image: of its words so many, and so long. */
function shown(image: Image, runs: TemplateImage['runs']): TemplateImage {
  const some = (all: string[]) => all.slice(0, 50).map((one) => plainText(one).slice(0, 500));
  return {
    id: image.id,
    runs,
    entrypoint: some(image.entrypoint),
    cmd: some(image.cmd),
    env: some(image.env),
    workdir: plainText(image.workdir),
    user: plainText(image.user),
    stopSignal: plainText(image.stopSignal),
    ports: some(image.ports),
    architecture: image.architecture,
  };
}

/** Files of ours for an image that does not boot by itself: the init, and the shell that runs it. */
async function ownFiles(
  image: Image,
  runs: TemplateImage['runs'],
): Promise<Record<string, { mode: number; data: Buffer }>> {
  if (runs === 'init') return {};
  const tool = (file: string, made: string) =>
    readFile(file).catch((error: unknown) => {
      throw new VsError(
        'failed',
        `an image that has no init of its own needs ${file} of the master: apt-get install ${made}`,
        { cause: error },
      );
    });
  const text = (mode: number, data: string) => ({ mode, data: Buffer.from(data) });
  return {
    tini: { mode: 0o755, data: await tool('/usr/bin/tini-static', 'tini') },
    busybox: { mode: 0o755, data: await tool('/bin/busybox', 'busybox-static') },
    run: text(0o755, runScript(image, runs)),
    'stop-signal': text(0o644, `${runs === 'idle' ? 'SIGTERM' : stopSignal(image)}\n`),
  };
}

/** Makes a template of an image archive, under the lock of its name: one tarball of all its layers, and an init where it has none. */
async function make(
  settings: Settings,
  { file, name, archive, image }: { file: string; name: string; archive: Archive; image: Image },
  call: Call,
): Promise<Template> {
  const directory = settings.TEMPLATE_DIR;
  const count = image.layers.length;
  const tree = await layersTree(archive, image, (done) => {
    if (call.signal.aborted) throw call.signal.reason;
    call.progress({ message: `reading layer ${done + 1} of ${count}`, percent: (50 * done) / count });
  });
  const init = findIn(tree, 'sbin/init');
  const runs = howItRuns(image, init?.inode.kind === 'file');
  complete(tree, initPlace, await ownFiles(image, runs));
  const info = [
    await infoBeside(file, extname(file)),
    `OCI image ${image.id}: ${sayings[runs]}`,
    tree.devices > 0
      ? `${tree.devices} device files were left out; the runtime makes those of a vserver`
      : undefined,
  ];
  const temporary = temporaryIn(directory, name);
  try {
    const packer = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 3 } });
    const out = await roomFor(settings, packer as AsyncIterable<Buffer>);
    const packed = pipeline(
      archiveOf(archive, image, tree, (done) => {
        if (call.signal.aborted) throw call.signal.reason;
        call.progress({
          message: `writing layer ${done + 1} of ${count}`,
          percent: 50 + (50 * done) / count,
        });
      }),
      packer,
    );
    const [written, read] = await Promise.allSettled([writeStream(out, temporary), packed]);
    // the one is ended by the fault of the other: that is the reason
    if (written.status === 'rejected' && (written.reason instanceof VsError || read.status === 'fulfilled'))
      throw written.reason;
    if (read.status === 'rejected') throw read.reason;
    if (written.status === 'rejected') throw written.reason;
    return await place(directory, temporary, {
      name,
      ...written.value,
      source: `${PREFIX}${file}`,
      info: info.filter((one) => one !== undefined).join('\n'),
      image: shown(image, runs),
      ts: Date.now(),
      file: `${name}.tar.zst`,
    });
  } finally {
    await discard(temporary);
  }
}

/** Takes over an OCI image archive that lies on the master. */
export async function importImage(
  settings: Settings,
  args: { file: string; name?: string | undefined },
  call: Call,
): Promise<Template> {
  const { file } = args;
  await requireFile(file);
  const name = args.name ?? nameFrom(file, extname(file));
  if (name === 'busybox') throw new VsError('conflict', 'busybox is built in; import under another name');
  return locked(settings.TEMPLATE_DIR, name, () =>
    withImage(settings, file, name, async (archive, image) => {
      const known = await find(settings.TEMPLATE_DIR, name);
      if (known?.image?.id === image.id) return publicOf(known);
      if (known)
        throw new VsError(
          'conflict',
          `there is another template ${name}; remove it first (vs template remove ${name}) or give another name`,
        );
      return make(settings, { file, name, archive, image }, call);
    }),
  );
}

/** The template of an image archive: one that was made of the same image, else a new one with a name from the image's id. */
export async function ensureImage(settings: Settings, file: string, call: Call): Promise<Template> {
  await requireFile(file);
  const id = await locked(settings.TEMPLATE_DIR, 'oci', () =>
    withImage(settings, file, 'oci', async (_archive, image) => image.id),
  );
  const known = (await list(settings.TEMPLATE_DIR)).find((one) => one.image?.id === id);
  return known
    ? publicOf(known)
    : importImage(settings, { file, name: `oci-${id.split(':')[1]?.slice(0, 12)}` }, call);
}
