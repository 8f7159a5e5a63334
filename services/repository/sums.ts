import { createHash, hash } from 'node:crypto';
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { argv, stdout } from 'node:process';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

/**
 * A program: `node sums.ts LIST` reads the files of LIST (paths below the current directory, each ended by NUL) and writes for each its
 * sha256, two spaces, its path and a NUL, in any order; what cannot be read is left out. By the processor's own instructions for SHA and on
 * more than one core: sha256sum of coreutils takes two and a half times the processor time (measured).
 */
const READ = 256 * 1024;
/** So many threads at most, each of which takes so many files at a time. */
const MOST = 4;
const BATCH = 100;
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;

function sumOf(path: Buffer, room: Buffer): string | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    let count = readSync(fd, room);
    if (count < room.length / 2) {
      const more = readSync(fd, room, count, room.length - count, null);
      if (more === 0) return hash('sha256', room.subarray(0, count), 'hex');
      count += more;
    }
    const sum = createHash('sha256');
    for (; count > 0; count = readSync(fd, room)) sum.update(room.subarray(0, count));
    return sum.digest('hex');
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** By the stream and not by writeSync: threads make the pipe one that does not wait, and what it has no room for must not be lost. */
const say = (text: Uint8Array): void => void stdout.write(text);

/** Takes batches of the list until none is left. `turn`: the number of the next one, shared by all threads. */
function work(list: Buffer, turn: Int32Array, tell: (text: Uint8Array) => void): void {
  const room = Buffer.allocUnsafeSlow(READ);
  let [at, number] = [0, 0];
  for (let mine = Atomics.add(turn, 0, 1); at < list.length; mine = Atomics.add(turn, 0, 1)) {
    const said: Buffer[] = [];
    for (; number < (mine + 1) * BATCH && at < list.length; number++) {
      const end = list.indexOf(0, at);
      if (number >= mine * BATCH) {
        const path = list.subarray(at, end);
        const sum = sumOf(path, room);
        if (sum !== undefined) said.push(Buffer.from(`${sum}  `), list.subarray(at, end + 1));
      }
      at = end + 1;
    }
    if (said.length > 0) tell(Buffer.concat(said));
  }
}

if (isMainThread) {
  const list = readFileSync(argv[2] ?? '');
  const shared = new SharedArrayBuffer(list.length);
  list.copy(Buffer.from(shared));
  const turn = new SharedArrayBuffer(4);
  const threads = list.length > 20_000 ? Math.min(MOST, availableParallelism()) : 1;
  for (let count = 1; count < threads; count++)
    new Worker(new URL(import.meta.url), { workerData: { shared, turn } }).on('message', say);
  work(Buffer.from(shared), new Int32Array(turn), say);
} else {
  const { shared, turn } = workerData as { shared: SharedArrayBuffer; turn: SharedArrayBuffer };
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, no window
  work(Buffer.from(shared), new Int32Array(turn), (text) => parentPort?.postMessage(text));
}
