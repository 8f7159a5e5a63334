import { VsError } from '../../../shared/errors.ts';
import type { Archive } from './archive.ts';
import type { Image } from './image.ts';
import { readTar } from './tar-read.ts';
import { type Written, ending, header, padding } from './tar-write.ts';
import { type Inode, type Tree, applyEntry, find, names, newTree, plainDirectory } from './tree.ts';

/** What every root file system needs, also one with a single program in it, and the modes of these directories. */
const needed: [string, number][] = [
  ['dev', 0o755],
  ['etc', 0o755],
  ['proc', 0o555],
  ['root', 0o700],
  ['run', 0o755],
  ['sys', 0o555],
  ['tmp', 0o1777],
];

/** The files of an image: all of its layers, applied in their order. `each` hears how many are done. */
export async function layersTree(
  archive: Archive,
  image: Image,
  each: (done: number) => void,
): Promise<Tree> {
  const tree = newTree();
  for (const [layer, { name, blob, diffId }] of image.layers.entries()) {
    each(layer);
    let index = 0;
    for await (const { entry } of readTar(archive.layer(name, blob, diffId)))
      try {
        applyEntry(tree, layer, index++, entry);
      } catch (error) {
        if (!(error instanceof VsError)) throw error;
        const where = `the image is refused: in layer ${layer + 1} of ${image.layers.length}`;
        throw new VsError(error.code, `${where} ${error.message}`, { cause: error });
      }
  }
  return tree;
}

/** Adds the directories that the runtime needs, and files of ours in a directory of their own in the place of what the image had there. */
export function complete(
  tree: Tree,
  place: string,
  files: Record<string, { mode: number; data: Buffer }>,
): void {
  for (const [name, mode] of needed)
    if (!find(tree, name)) tree.root.children?.set(name, plainDirectory(-1, mode));
  if (Object.keys(files).length === 0) return;
  const directory = plainDirectory(-1);
  for (const [name, { mode, data }] of Object.entries(files)) {
    const inode: Inode = { ...directory.inode, kind: 'file', mode, size: data.length, data };
    directory.children?.set(name, { inode, layer: -1 });
  }
  tree.root.children?.set(place, directory);
}

const flags = { file: '0', symlink: '2', fifo: '6', directory: '5' } as const;
const written = (path: string, inode: Inode): Written => ({
  ...inode,
  path: inode.kind === 'directory' ? `${path}/` : path,
  flag: flags[inode.kind],
  size: inode.kind === 'file' ? inode.size : 0,
  link: inode.kind === 'symlink' ? inode.link : '',
});

/** One archive of a tree: its data is read from the layers once more, and checked again. */
export async function* archiveOf(
  archive: Archive,
  image: Image,
  tree: Tree,
  each: (done: number) => void,
): AsyncGenerator<Buffer> {
  /** The names of what the layers bring, by the place of its entry; of several names the first. */
  const places = image.layers.map(() => new Map<number, [string, Inode]>());
  const first = new Map<Inode, string>();
  const links: [string, Inode][] = [];
  for (const [path, inode] of names(tree)) {
    if (inode.kind === 'directory') yield header(written(path, inode));
    else if (first.has(inode)) links.push([path, inode]);
    else {
      first.set(inode, path);
      if (inode.data) yield* [header(written(path, inode)), inode.data, padding(inode.size)];
      else places[inode.layer]?.set(inode.index, [path, inode]);
    }
  }
  for (const [layer, { name, blob, diffId }] of image.layers.entries()) {
    each(layer);
    const wanted = places[layer];
    if (!wanted || wanted.size === 0) continue;
    let index = 0;
    for await (const { data } of readTar(archive.layer(name, blob, diffId))) {
      const found = wanted.get(index++);
      if (!found) continue;
      const [path, inode] = found;
      yield header(written(path, inode));
      if (inode.kind !== 'file') continue;
      yield* data;
      yield padding(inode.size);
    }
  }
  for (const [path, inode] of links)
    yield header({
      ...written(path, inode),
      flag: '1',
      size: 0,
      link: first.get(inode) ?? '',
      xattrs: new Map(),
    });
  yield ending;
}
