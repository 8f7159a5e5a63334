import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { writeFileDurable } from '../store.ts';

const file = z.array(z.string().min(1).max(1024)).max(100_000);

/**
 * The alerts that the broker may hold of this process: on disk before one is published, and until the broker has taken
 * its end. So the next life knows what to clear. An error of the disk is told once.
 */
export function openRaised(options: { file: string; onError: (message: string) => void }) {
  const topics = new Set<string>();
  let failing = false;
  let writing: Promise<void> = Promise.resolve();
  let waiting: Promise<void> | undefined;

  function fail(error: unknown): void {
    if (!failing) options.onError((error as Error).message);
    failing = true;
  }
  try {
    for (const topic of file.parse(JSON.parse(readFileSync(options.file, 'utf8')))) topics.add(topic);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') setImmediate(fail, error);
  }
  /** What changes while one write runs goes into the next. */
  function save(): Promise<void> {
    return (waiting ??= writing =
      writing.then(async () => {
        waiting = undefined;
        try {
          await writeFileDurable(options.file, `${JSON.stringify([...topics])}\n`);
          failing = false;
        } catch (error) {
          fail(error);
        }
      }));
  }
  return {
    /** Of an earlier life. */
    left: [...topics],
    /** Resolves once it is on disk, or the disk failed. */
    async add(topic: string): Promise<void> {
      if (topics.has(topic)) return;
      topics.add(topic);
      await save();
    },
    remove(topic: string): void {
      if (topics.delete(topic)) void save();
    },
    flush: () => writing,
  };
}
export type Raised = ReturnType<typeof openRaised>;
