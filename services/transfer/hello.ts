import type { Duplex } from 'node:stream';
import { VsError } from '../../shared/errors.ts';
import { same } from '../../shared/same.ts';

/** How long the other side may take to prove who it is (ms); a link that loses 5 % of its packets may take seconds. */
export const HELLO_MS = 10_000;

/** Reads one line (at most 4 kB) and pauses the stream; what came after the line is put back. */
export function readLine(wire: Duplex, timeoutMs?: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let all = Buffer.alloc(0);
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => gone(), timeoutMs);
    const settle = (outcome: () => void) => {
      clearTimeout(timer);
      wire.off('data', take).off('end', gone).off('error', gone).off('close', gone);
      outcome();
    };
    const gone = (cause?: unknown) =>
      settle(() =>
        reject(
          new VsError('failed', 'the other side closed the connection', {
            retryable: true,
            ...(cause instanceof Error ? { cause } : {}),
          }),
        ),
      );
    function take(chunk: Buffer): void {
      all = Buffer.concat([all, chunk]);
      const end = all.indexOf(10);
      if (end < 0 && all.length < 4096) return;
      wire.pause();
      settle(() => {
        if (end < 0)
          return reject(new VsError('failed', 'the other side does not speak the transfer protocol'));
        if (end + 1 < all.length) wire.unshift(all.subarray(end + 1));
        resolve(all.subarray(0, end).toString());
      });
    }
    wire.on('data', take).on('end', gone).on('error', gone).on('close', gone);
    if (wire.destroyed || wire.readableEnded) return gone(wire.errored); // nothing is said of that twice
    wire.resume();
  });
}

/** Target: the first line is the secret and what is sent; answers the words after the secret. */
export async function hearHello(wire: Duplex, secret: string): Promise<string[]> {
  const [given = '', ...words] = (await readLine(wire, HELLO_MS)).split(' ');
  if (!same(given, secret)) throw new VsError('refused', 'it came with a wrong secret');
  return words;
}

export const answer = (error?: string): string =>
  `${JSON.stringify(error === undefined ? { ok: true } : { ok: false, error: error.slice(0, 1000) })}\n`;

/** Source: what an answer of the target says was wrong; undefined when all is well. Throws when it is no answer. */
export function wrongIn(line: string): string | undefined {
  const word = JSON.parse(line) as { ok?: unknown; error?: unknown };
  if (word.ok === true) return undefined;
  if (typeof word.error !== 'string') throw new Error('no answer of a target');
  return word.error;
}
