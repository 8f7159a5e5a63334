import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const cli = fileURLToPath(new URL('../main.ts', import.meta.url));

/** A verb of today ended with another code than 0; what it said stands on standard error already. */
export class VerbFailed extends Error {
  readonly code: number;
  constructor(code: number) {
    super('');
    this.code = code;
  }
}

/** Runs a verb of `vs` at this terminal. Throws VerbFailed. */
export function show(argv: string[]): void {
  const { status } = spawnSync(process.execPath, [cli, ...argv], { stdio: 'inherit' });
  if (status !== 0) throw new VerbFailed(status ?? 1);
}

/** As `ask`, also of a verb that ends with 1 and has told what failed; `code` is how it ended. */
export function askAll(argv: string[]): { code: number; data: unknown } {
  const { status, stdout } = spawnSync(process.execPath, [cli, ...argv, '--json'], {
    stdio: ['inherit', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  });
  if ((status !== 0 && status !== 1) || stdout.trim() === '') throw new VerbFailed(status ?? 1);
  return { code: status, data: JSON.parse(stdout) as unknown };
}

/** Runs a verb of `vs` and answers its `--json`. Throws VerbFailed. */
export function ask(argv: string[]): unknown {
  const { status, stdout } = spawnSync(process.execPath, [cli, ...argv, '--json'], {
    stdio: ['inherit', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  });
  if (status !== 0) throw new VerbFailed(status ?? 1);
  return JSON.parse(stdout) as unknown;
}
