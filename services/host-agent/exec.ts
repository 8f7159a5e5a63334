import type { Call } from '../../shared/service.ts';
import { start } from '../../shared/run.ts';

const CHUNK = 64 * 1024;

/** Runs a command and sends what it prints as it comes: progress {stream, data} with base64 of at most 64 kB. */
export async function stream(
  argv: string[],
  options: { stdin?: string; timeout?: number },
  call: Call,
): Promise<{ code: number }> {
  const child = start(argv, {
    stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    signal: call.signal,
  });
  const timer =
    options.timeout === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), options.timeout);
  child.stdin?.on('error', () => undefined); // a command that does not read
  child.stdin?.end(Buffer.from(options.stdin ?? '', 'base64'));
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.on('data', (data: Buffer) => {
      for (let at = 0; at < data.length; at += CHUNK)
        call.progress({ stream: name, data: data.subarray(at, at + CHUNK).toString('base64') });
    });
  }
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status, signal) => resolve(status ?? (signal === 'SIGKILL' ? 137 : 143)));
    });
    return { code };
  } finally {
    clearTimeout(timer);
  }
}
