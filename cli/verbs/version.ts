import { readFileSync } from 'node:fs';
import type { Command } from 'commander';

/** `vs version`. */
export function register(program: Command): void {
  program
    .command('version')
    .description('the version of vs-tools')
    .action(() => {
      const file = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
      console.log(`vs-tools ${(JSON.parse(file) as { version: string }).version}`);
    });
}
