import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const made: string[] = [];
afterAll(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** A directory of the test file that asks for it; it is gone when that file has ended. */
export function temporary(name: string): string {
  const directory = mkdtempSync(join(tmpdir(), `vslab-${name}-`));
  made.push(directory);
  return directory;
}
