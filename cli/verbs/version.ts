import { readFileSync } from 'node:fs';
import type { Command } from 'commander';

/** `vs version`. */
export function register(program: Command): void {
  program
    .command('version')
    .description('the version of vs-tools')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs version\n  vs version --json')
    .action((options: { json?: boolean }) => {
      const file = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
      const { version } = JSON.parse(file) as { version: string };
      console.log(options.json ? JSON.stringify({ version, node: process.version }) : `vs-tools ${version}`);
    });
}
