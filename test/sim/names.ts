import type { Directory, Inode } from './inode.ts';
import type { Random } from './loop.ts';

export interface Change {
  directory: Directory;
  name: string;
  before: Inode | undefined;
  after: Inode | undefined;
}
/** One change of names that a file system makes at once: a rename is two changes. */
interface Operation {
  at: number;
  changes: Change[];
}

/**
 * The history of names on a disk: what no fsync has made sure of. What a power cut takes of it is its end (the order
 * holds, as on ext4 and btrfs), but for what an fsync of a directory has made sure of.
 */
export function openNames() {
  let pending: Operation[] = [];

  /** Makes sure of operations, and of all that they stand on. */
  function commit(first: (operation: Operation) => boolean): void {
    if (pending.length === 0) return;
    const sure = new Set<Operation>();
    const add = (wanted: (operation: Operation, index: number) => boolean) => {
      for (const [index, operation] of pending.entries())
        if (!sure.has(operation) && wanted(operation, index)) sure.add(operation);
    };
    add(first);
    for (let size = -1; size !== sure.size;) {
      size = sure.size;
      for (const one of Array.from(sure)) {
        const until = pending.indexOf(one);
        add(
          (other, index) =>
            index < until &&
            other.changes.some(
              (older) =>
                one.changes.some(
                  (newer) => newer.directory === older.directory && newer.name === older.name,
                ) || one.changes.some((newer) => older.after === newer.directory),
            ),
        );
      }
    }
    pending = pending.filter((operation) => !sure.has(operation));
  }
  return {
    add: (at: number, changes: Change[]): void => void pending.push({ at, changes }),
    commit,
    /** All of them are made sure of. */
    commitAll(): void {
      pending = [];
    },
    /** The power is cut: of what is younger than `old` the end may be lost. */
    cut(random: Random, old: number): void {
      pending = pending.filter((operation) => operation.at >= old);
      const kept = random.between(0, pending.length);
      for (const { changes } of pending.slice(kept).toReversed())
        for (const { directory: where, name, before } of changes.toReversed())
          if (before) where.entries.set(name, before);
          else where.entries.delete(name);
      pending = [];
    },
  };
}
