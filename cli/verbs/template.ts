import { resolve } from 'node:path';
import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { quoted } from '../names.ts';
import { moment, size, table } from '../table.ts';

const HOUR = 3_600_000;

function checkTemplate(text: string): string {
  if (/^[a-z0-9][a-z0-9.-]{0,31}$/.test(text)) return text;
  throw new VsError(
    'usage',
    `${quoted(text)} is no template name: lower-case letters, digits, dots and dashes, such as bookworm.`,
  );
}
const say = (progress: Record<string, unknown>) => {
  if (typeof progress['message'] === 'string') process.stderr.write(`  ${progress['message']}\n`);
};

/** `vs template list|build|import|remove`. */
export function register(program: Command): void {
  const template = program
    .command('template')
    .description('what vservers are created from')
    .addHelpText('after', '\nExamples:\n  vs template list\n  vs template build bookworm');
  template
    .command('list')
    .description('the templates on the master')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs template list')
    .action(async (options: { json?: boolean }) => {
      const { templates } = await withClient((client) => client.request('master', 'template.list', {}));
      if (options.json) return console.log(JSON.stringify(templates, null, 2));
      const rows = templates.map((one) => [one.name, size(one.bytes), moment(one.ts), one.source]);
      console.log(table(['NAME', 'SIZE', 'MADE', 'SOURCE'], rows));
    });
  template
    .command('build')
    .description('build a suite of Debian or Ubuntu with mmdebstrap')
    .argument('<suite>', 'bookworm, trixie, noble, ...')
    .option('--name <name>', 'another name than the suite')
    .option('--force', 'build again')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs template build bookworm')
    .action(
      async (suite: string, { json, ...options }: { name?: string; force?: boolean; json?: boolean }) => {
        checkTemplate(suite);
        if (options.name !== undefined) checkTemplate(options.name);
        const made = await withClient((client) =>
          client.request(
            'master',
            'template.build',
            { suite, ...options },
            { timeoutMs: HOUR, onProgress: say },
          ),
        );
        if (json) console.log(JSON.stringify(made, null, 2));
        else console.log(`Template ${made.name}: ${size(made.bytes)}, sha256 ${made.sha256}`);
      },
    );
  template
    .command('import')
    .description('take over a tarball that lies on the master (.tar, .tar.gz, .tar.zst, .tar.xz)')
    .argument('<file>', 'path of the tarball')
    .option('--name <name>', 'name of the template (from the file unless told)')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs template import /root/alpine.tar.gz --name alpine')
    .action(async (file: string, { json, ...options }: { name?: string; json?: boolean }) => {
      if (options.name !== undefined) checkTemplate(options.name);
      const made = await withClient((client) =>
        client.request(
          'master',
          'template.import',
          { file: resolve(file), ...options },
          { timeoutMs: HOUR, onProgress: say },
        ),
      );
      if (json) console.log(JSON.stringify(made, null, 2));
      else console.log(`Template ${made.name}: ${size(made.bytes)}, sha256 ${made.sha256}`);
    });
  template
    .command('remove')
    .description('remove a template; vservers made from it stay')
    .argument('<name>', 'name of the template')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs template remove bookworm')
    .action(async (name: string, options: { json?: boolean }) => {
      checkTemplate(name);
      await withClient((client) => client.request('master', 'template.remove', { name }));
      console.log(options.json ? JSON.stringify({ removed: name }) : `Template ${name} was removed.`);
    });
}
