import { readFileSync } from 'node:fs';
import { open, stat, truncate } from 'node:fs/promises';
import { z } from 'zod';
import { writeFileDurable } from '../store.ts';

/** One line of the file; lines are only ever added, until all of it is written anew. */
const line = z.union([
  z.object({ number: z.int().min(1), topic: z.string().max(1024), text: z.string().max(1_000_000) }),
  z.object({ done: z.int() }),
  z.object({ dropped: z.int().min(0) }),
]);
interface Kept {
  topic: string;
  text: string;
}
/** After an error the disk is asked again so much later. */
const RETRY_MS = 5000;
/** What is acknowledged within that time need not be written. */
const GROUP_MS = 50;

function parse(content: string) {
  const kept = new Map<number, Kept>();
  let dropped = 0;
  let damaged = content !== '' && !content.endsWith('\n');
  for (const text of content.split('\n').filter(Boolean)) {
    try {
      const one = line.parse(JSON.parse(text));
      if ('number' in one) kept.set(one.number, { topic: one.topic, text: one.text });
      else if ('done' in one) kept.delete(one.done);
      else dropped = one.dropped;
    } catch {
      damaged = true; // torn by a power cut or a full disk: the others are good
    }
  }
  return { kept: new Map([...kept].sort(([a], [b]) => a - b)), dropped, damaged };
}

/**
 * Messages that wait for the broker, on disk: what was added is there 50 ms later (fsync, many at once) unless it was
 * removed before, which is the rule while the broker answers. A removal is not fsynced: after a power cut something may
 * be sent twice. An error of the disk is told once, and nothing else ends.
 */
export function openSpool(options: { file: string; bytes: number; onError: (message: string) => void }) {
  const { file, bytes, onError } = options;
  let content = '';
  let found: ReturnType<typeof parse> | undefined;
  try {
    content = readFileSync(file, 'utf8');
    found = parse(content);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') setImmediate(fail, error);
  }
  const kept = found?.kept ?? new Map<number, Kept>();
  const fresh = new Set<number>();
  let gone: number[] = [];
  let dropped = found?.dropped ?? 0;
  let tell = false;
  /** What is there cannot be added to: no file, or a torn one. */
  let anew = found === undefined || found.damaged;
  let failing = false;
  let timer: { at: number; handle: NodeJS.Timeout } | undefined;
  let writing: Promise<void> = Promise.resolve();

  function fail(error: unknown): void {
    if (!failing) onError((error as Error).message);
    failing = true;
  }
  const lines = (objects: object[]) => objects.map((one) => `${JSON.stringify(one)}\n`).join('');
  const messages = (numbers: Iterable<number>) =>
    [...numbers].flatMap((number) => {
      const one = kept.get(number);
      return one ? [{ number, ...one }] : [];
    });

  async function add(text: string, sync: boolean): Promise<void> {
    const handle = await open(file, 'a', 0o600);
    try {
      await handle.appendFile(text);
      if (sync) await handle.datasync();
    } finally {
      await handle.close();
    }
  }
  async function commit(): Promise<void> {
    if (fresh.size === 0 && gone.length === 0 && !tell) return;
    const text = lines([
      ...gone.map((done) => ({ done })),
      ...messages(fresh),
      ...(tell ? [{ dropped }] : []),
    ]);
    const sync = fresh.size > 0 || tell;
    const whole = () => lines([...(dropped ? [{ dropped }] : []), ...messages(kept.keys())]);
    fresh.clear();
    gone = [];
    tell = false;
    try {
      const { size } = anew ? { size: 0 } : await stat(file);
      if (!anew && kept.size === 0 && dropped === 0) await truncate(file, 0);
      else if (anew || size + text.length > 2 * bytes + 65_536) await writeFileDurable(file, whole());
      else await add(text, sync);
      anew = false;
      failing = false;
    } catch (error) {
      anew = true;
      tell = true; // so that there is something to do
      fail(error);
      soon(RETRY_MS);
    }
  }
  function flush(): Promise<void> {
    clearTimeout(timer?.handle);
    timer = undefined;
    return (writing = writing.then(commit));
  }
  function soon(after = GROUP_MS): void {
    const wait = failing ? RETRY_MS : after;
    const at = Date.now() + wait;
    if (timer && timer.at <= at) return;
    clearTimeout(timer?.handle);
    timer = { at, handle: setTimeout(() => void flush(), wait) };
    if (failing) timer.handle.unref();
  }

  return {
    /** What an earlier life left, the oldest first. */
    left: [...kept].map(([number, one]) => ({ number, ...one })),
    dropped,
    add(number: number, one: Kept, after?: number): void {
      kept.set(number, { topic: one.topic, text: one.text });
      fresh.add(number);
      soon(after);
    },
    remove(number: number): void {
      if (!kept.delete(number) || fresh.delete(number)) return;
      gone.push(number);
      soon();
    },
    /** How many messages were dropped and not told of yet. */
    setDropped(number: number): void {
      dropped = number;
      tell = true;
      soon();
    },
    soon,
    flush,
  };
}
export type Spool = ReturnType<typeof openSpool>;
