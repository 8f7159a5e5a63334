import { createHash } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { readTar } from '../../services/template/oci/tar-read.ts';
import { type Written, ending, header, padding } from '../../services/template/oci/tar-write.ts';
import { type Tree, applyEntry, names, newTree } from '../../services/template/oci/tree.ts';

/** One entry of a hand-made archive; a directory ends in a slash. */
export interface Put {
  path: string;
  data?: string | Buffer;
  link?: string;
  flag?: string;
  mode?: number;
  uid?: number;
  gid?: number;
  xattrs?: Record<string, string>;
}
/** A tar archive of these entries. */
export function tar(entries: Put[]): Buffer {
  const all = entries.flatMap(({ path, data = '', link = '', flag, mode, uid = 0, gid = 0, xattrs = {} }) => {
    const body = Buffer.from(data);
    const made: Written = {
      path,
      flag: (flag ?? (path.endsWith('/') ? '5' : link ? '2' : '0')) as Written['flag'],
      mode: mode ?? (path.endsWith('/') ? 0o755 : 0o644),
      uid,
      gid,
      mtime: 1_700_000_000,
      size: body.length,
      link,
      xattrs: new Map(Object.entries(xattrs).map(([key, value]) => [key, Buffer.from(value)])),
    };
    return [header(made), body, padding(body.length)];
  });
  return Buffer.concat([...all, ending]);
}
/** A buffer as a stream of odd pieces. */
export async function* pieces(bytes: Buffer, length = 1000): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}
/** Layers on top of each other. */
export async function applied(...layers: Put[][]): Promise<Tree> {
  const tree = newTree();
  for (const [layer, entries] of layers.entries()) {
    let index = 0;
    for await (const { entry } of readTar(pieces(tar(entries)))) applyEntry(tree, layer, index++, entry);
  }
  return tree;
}
/** The names of a tree. */
export const paths = (tree: Tree): string[] => [...names(tree)].map(([path]) => path);

const sha256 = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
export type Packing = 'plain' | 'gzip' | 'zstd';
const packed = (bytes: Buffer, how: Packing): Buffer =>
  how === 'gzip' ? gzipSync(bytes) : how === 'zstd' ? zstdCompressSync(bytes) : bytes;
const architecture = process.arch === 'x64' ? 'amd64' : process.arch;

export interface Made {
  layers: Put[][];
  packing?: Packing;
  config?: Record<string, unknown>;
  /** Changes the blobs after their digests were taken. */
  spoil?: (blobs: Map<string, Buffer>) => void;
  platform?: { os: string; architecture: string };
}
function parts({ layers, packing = 'gzip', config = {}, platform }: Made) {
  const plain = layers.map(tar);
  const blobs = plain.map((layer) => packed(layer, packing));
  const about = Buffer.from(
    JSON.stringify({
      architecture: platform?.architecture ?? architecture,
      os: platform?.os ?? 'linux',
      config,
      rootfs: { type: 'layers', diff_ids: plain.map(sha256) },
    }),
  );
  return { plain, blobs, about };
}
/** An archive as `skopeo copy ... oci-archive:FILE` makes it. */
export function ociArchive(made: Made): Buffer {
  const { blobs, about } = parts(made);
  const files = new Map<string, Buffer>();
  const add = (bytes: Buffer) => {
    files.set(`blobs/${sha256(bytes).replace(':', '/')}`, bytes);
    return { digest: sha256(bytes), size: bytes.length };
  };
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...add(about) },
      layers: blobs.map((blob) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...add(blob) })),
    }),
  );
  const index = { schemaVersion: 2, manifests: [{ ...add(manifest), mediaType: 'm' }] };
  made.spoil?.(files);
  return tar([
    { path: 'oci-layout', data: '{"imageLayoutVersion":"1.0.0"}' },
    { path: 'index.json', data: JSON.stringify(index) },
    ...[...files].map(([path, data]) => ({ path, data })),
  ]);
}
/** An archive as `docker save` made it before it took to the OCI layout: a layer twice is a link. */
export function dockerArchive(made: Made): Buffer {
  const { plain, about } = parts(made);
  const id = sha256(about).slice(7);
  const first = plain.map((layer) => plain.findIndex((one) => one.equals(layer)));
  return tar([
    ...plain.map((data, at) =>
      first[at] === at
        ? { path: `layer${at}/layer.tar`, data }
        : { path: `layer${at}/layer.tar`, link: `../layer${first[at]}/layer.tar` },
    ),
    { path: `${id}.json`, data: about },
    {
      path: 'manifest.json',
      data: JSON.stringify([
        { Config: `${id}.json`, RepoTags: ['x:1'], Layers: plain.map((_, at) => `layer${at}/layer.tar`) },
      ]),
    },
  ]);
}
