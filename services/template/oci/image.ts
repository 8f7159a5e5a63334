import { createHash } from 'node:crypto';
import { z } from 'zod';
import { VsError } from '../../../shared/errors.ts';
import type { Archive } from './archive.ts';
import { digestPattern } from './streams.ts';

const digest = z.string().regex(digestPattern, 'a digest such as sha256:0123...');
const descriptor = z.looseObject({
  mediaType: z.string().optional(),
  digest,
  size: z.int().min(0),
  platform: z.looseObject({ os: z.string(), architecture: z.string() }).optional(),
});
type Descriptor = z.infer<typeof descriptor>;
const index = z.looseObject({ manifests: z.array(descriptor).max(1000) });
const layers = 500;
const manifest = z.looseObject({ config: descriptor, layers: z.array(descriptor).max(layers) });
const words = z
  .array(z.string().max(32_768))
  .max(1000)
  .nullish()
  .transform((all) => all ?? []);
const word = z
  .string()
  .max(4096)
  .nullish()
  .transform((text) => text ?? '');
/** What of the configuration of an image matters here (OCI image specification, config.md). */
const config = z.looseObject({
  architecture: word,
  os: word,
  config: z
    .looseObject({
      Entrypoint: words,
      Cmd: words,
      Env: words,
      WorkingDir: word,
      User: word,
      StopSignal: word,
      ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
    })
    .nullish(),
  rootfs: z.looseObject({ diff_ids: z.array(digest).max(layers) }),
});
const docker = z
  .array(z.looseObject({ Config: z.string(), Layers: z.array(z.string()).max(layers) }))
  .min(1)
  .max(1000);

/** An image of an archive, with its layers from the lowest on. */
export interface Image {
  /** The digest of its configuration. */
  id: string;
  architecture: string;
  entrypoint: string[];
  cmd: string[];
  env: string[];
  workdir: string;
  user: string;
  stopSignal: string;
  ports: string[];
  layers: { name: string; blob?: { digest: string; size: number }; diffId: string }[];
}
const blobName = ({ digest: of }: { digest: string }) => `blobs/${of.replace(':', '/')}`;
/** How images call the processors that Node knows by other names. */
const ownArchitecture = { x64: 'amd64', arm64: 'arm64' }[process.arch as string] ?? process.arch;

function imageOf(
  id: string,
  made: z.infer<typeof config>,
  found: Omit<Image['layers'][number], 'diffId'>[],
): Image {
  const { diff_ids: diffs } = made.rootfs;
  if (diffs.length !== found.length)
    throw new VsError(
      'failed',
      `the image is damaged: it has ${found.length} layers and ${diffs.length} digests of them`,
    );
  if (made.os && made.os !== 'linux')
    throw new VsError('refused', `the image is for ${made.os}, not for Linux`);
  if (made.architecture && made.architecture !== ownArchitecture)
    throw new VsError(
      'refused',
      `the image is for ${made.architecture}, and this machine is ${ownArchitecture}`,
    );
  const { Entrypoint, Cmd, Env, WorkingDir, User, StopSignal, ExposedPorts } = made.config ?? {};
  return {
    id,
    architecture: made.architecture || ownArchitecture,
    entrypoint: Entrypoint ?? [],
    cmd: Cmd ?? [],
    env: Env ?? [],
    workdir: WorkingDir ?? '',
    user: User ?? '',
    stopSignal: StopSignal ?? '',
    ports: Object.keys(ExposedPorts ?? {}).slice(0, 100),
    layers: found.map((layer, at) => ({ ...layer, diffId: diffs[at] ?? '' })),
  };
}

/** The one manifest of an index that fits this machine; an index in it is followed. Throws 'refused' when it is not one. */
async function manifestOf(archive: Archive, name: string, of?: string, depth = 0): Promise<Descriptor> {
  const { manifests } = await archive.json(name, index, of);
  const fits = manifests.filter(
    ({ platform }) => !platform || (platform.os === 'linux' && platform.architecture === ownArchitecture),
  );
  const different = [...new Map(fits.map((one) => [one.digest, one])).values()];
  const [one, ...others] = different;
  if (!one) throw new VsError('refused', `the archive has no image for Linux on ${ownArchitecture}`);
  if (others.length > 0)
    throw new VsError('refused', `the archive has ${different.length} images; make one of a single image`);
  if (!/image\.index|manifest\.list/.test(one.mediaType ?? '') || depth > 3) return one;
  return manifestOf(archive, blobName(one), one.digest, depth + 1);
}

/**
 * The image of an archive: an OCI layout (skopeo copy ... oci-archive:FILE) or that of docker save (docker-archive). All that
 * describes it is checked against its digests; the layers are when they are read. Throws VsError.
 */
export async function readImage(archive: Archive): Promise<Image> {
  if (archive.has('index.json')) {
    const one = await manifestOf(archive, 'index.json');
    const { config: about, layers: blobs } = await archive.json(blobName(one), manifest, one.digest);
    const made = await archive.json(blobName(about), config, about.digest);
    return imageOf(
      about.digest,
      made,
      blobs.map(({ digest: of, size }) => ({ name: blobName({ digest: of }), blob: { digest: of, size } })),
    );
  }
  if (archive.has('manifest.json')) {
    const all = await archive.json('manifest.json', docker);
    const [one] = all;
    if (!one || all.length > 1)
      throw new VsError('refused', `the archive has ${all.length} images; save a single one`);
    const hash = createHash('sha256');
    for await (const part of archive.open(one.Config)) hash.update(part);
    const id = `sha256:${hash.digest('hex')}`;
    const said = /([0-9a-f]{64})(?:\.json)?$/.exec(one.Config)?.[1];
    const made = await archive.json(one.Config, config, said ? `sha256:${said}` : id);
    return imageOf(
      id,
      made,
      one.Layers.map((name) => ({ name })),
    );
  }
  throw new VsError(
    'failed',
    'it is no archive of an image: neither index.json (OCI layout) nor manifest.json (docker save) is in it',
  );
}
