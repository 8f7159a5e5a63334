import { VsError } from '../../shared/errors.ts';
import type { Client } from '../client.ts';

/** What one command may carry (packets stay under 1 MB, and base64 is a third longer). */
const MOST_INPUT = 600_000;

/** The standard input as base64. */
async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin) {
    length += (chunk as Buffer).length;
    if (length <= MOST_INPUT) chunks.push(chunk as Buffer);
    else if (length > 64e6) break; // read on before that: who writes to us need not see a broken pipe
  }
  if (length > MOST_INPUT)
    throw new VsError(
      'usage',
      `The standard input is longer than the ${MOST_INPUT} bytes that -i can give by the bus, and the host cannot be reached from here for more: run it on the master, or set STREAM_VIA.`,
    );
  return Buffer.concat(chunks).toString('base64');
}

/** A command by the bus, for hosts that are not reached from here: its input is bounded, its output slower. */
export async function busExec(
  client: Client,
  host: string,
  name: string,
  what: { command: string[]; timeout?: number; stdin: boolean },
  signal: AbortSignal,
): Promise<void> {
  const { command, timeout = 3_600_000 } = what;
  const stdin = what.stdin ? await readInput() : undefined;
  const { code } = await client.request(
    host,
    'host-agent.exec',
    { name, command, timeout, ...(stdin === undefined ? {} : { stdin }) },
    {
      timeoutMs: timeout + 10_000,
      signal,
      onProgress: ({ stream, data }) => {
        if (typeof data !== 'string') return;
        (stream === 'stderr' ? process.stderr : process.stdout).write(Buffer.from(data, 'base64'));
      },
    },
  );
  process.exitCode = code;
}
