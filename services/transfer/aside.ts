import { mkdir, readdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { removeTrees } from '../../shared/remove.ts';
import { exists } from '../../shared/store.ts';

/**
 * Where files of a tree belong to older backups, too, rsync must never change one in its place, not even its mode. What came before
 * is put aside into `.begun` inside the tree, out of which rsync takes what is the same by further hard links (--link-dest).
 */
export const ASIDE = '.begun';
/** What the source tells rsync for such a tree. */
export const besideOptions = [`--exclude=/${ASIDE}`, `--link-dest=${ASIDE}`, `--link-dest=${ASIDE}/${ASIDE}`];

/** Before a pass that compares all: an empty tree with what came before in ASIDE. Can be cut off anywhere and done again. */
export async function setAside(tree: string): Promise<void> {
  const next = join(dirname(tree), 'tree.next');
  if (!(await exists(tree))) {
    await rename(next, tree); // a former try was cut off between the two renames
    return;
  }
  await removeTrees([next]);
  const names = await readdir(tree);
  if (names.length === 0 || (names.length === 1 && names[0] === ASIDE)) return;
  await removeTrees([join(tree, ASIDE, ASIDE)]); // of two tries before
  await mkdir(next, { mode: 0o700 });
  await rename(tree, join(next, ASIDE));
  await rename(next, tree);
}

/** After a pass has brought all: what was put aside goes. */
export const dropAside = (tree: string): Promise<void> => removeTrees([join(tree, ASIDE)]);
