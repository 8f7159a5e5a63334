import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Template } from '../../shared/contract/template.ts';
import { VsError } from '../../shared/errors.ts';
import { type Client, withClient } from '../client.ts';
import { printJson } from '../json.ts';
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
const long = { timeoutMs: HOUR, onProgress: say };
const made = (one: Template) => `Template ${one.name}: ${size(one.bytes)}, sha256 ${one.sha256}`;
interface Json {
  json?: boolean;
}

/** A template with all that is known of it, and the vservers that came from it. */
async function factsOf(client: Client, name: string) {
  const one = await client.request('master', 'template.show', { name });
  const { vservers } = await client.request('master', 'orchestrator.origins', { template: name });
  return { ...one, vservers };
}
type Facts = Awaited<ReturnType<typeof factsOf>>;

function factLines({ name, vservers, image, info, ...one }: Facts): string {
  const of = ({ host, name: vserver, sha256 }: Facts['vservers'][number]) =>
    `${vserver} on ${host}${sha256 === one.sha256 ? '' : ', from an older one of this name'}`;
  const rows: [string, string][] = [
    ['name', name],
    ['source', one.source],
    ['suite', one.suite ? `${one.suite} of ${one.distribution === 'ubuntu' ? 'Ubuntu' : 'Debian'}` : ''],
    ['made', moment(one.ts)],
    ['size', `${size(one.bytes)} (${one.bytes} bytes)`],
    ['sha256', one.sha256],
    ['image', image ? `${image.id}, ${image.architecture}` : ''],
    ['runs', image ? { init: 'its own init', program: 'its program', idle: 'idle' }[image.runs] : ''],
    [
      'program',
      image ? [...image.entrypoint, ...image.cmd].map((word) => JSON.stringify(word)).join(' ') : '',
    ],
    ['user', image?.user ?? ''],
    ['directory', image?.workdir ?? ''],
    ['environment', image?.env.join('\n') ?? ''],
    ['ports', image?.ports.join(', ') ?? ''],
    ['vservers', vservers.map(of).join('\n') || 'none'],
    ['info', info ?? ''],
  ];
  return rows
    .filter(([, text]) => text !== '')
    .flatMap(([what, text]) =>
      text.split('\n').map((line, at) => `${(at === 0 ? what : '').padEnd(12)} ${line}`.trimEnd()),
    )
    .join('\n');
}

/** `vs template list|show|build|update|import|remove`. */
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
    .action(async (options: Json) => {
      const { templates } = await withClient((client) => client.request('master', 'template.list', {}));
      if (options.json) return printJson(templates);
      const rows = templates.map((one) => [one.name, size(one.bytes), moment(one.ts), one.source]);
      console.log(table(['NAME', 'SIZE', 'MADE', 'SOURCE'], rows));
    });
  template
    .command('show')
    .description('one template: what it is, its .info text, and the vservers that came from it')
    .argument('<name>', 'name of the template')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs template show bookworm')
    .action(async (name: string, options: Json) => {
      checkTemplate(name);
      const facts = await withClient((client) => factsOf(client, name));
      if (options.json) printJson(facts);
      else console.log(factLines(facts));
    });
  template
    .command('build')
    .description('build a suite of Debian or Ubuntu with mmdebstrap')
    .argument('<suite>', 'bookworm, trixie, noble, ...')
    .option('--name <name>', 'another name than the suite')
    .option('--ubuntu', 'the suite is one of Ubuntu (known by its name: those up to 26.04)')
    .option('--force', 'build again')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs template build bookworm\n  vs template build noble --name ubuntu',
    )
    .action(
      async (
        suite: string,
        { json, ubuntu, ...options }: { name?: string; ubuntu?: boolean; force?: boolean } & Json,
      ) => {
        checkTemplate(suite);
        if (options.name !== undefined) checkTemplate(options.name);
        const args = { suite, ...options, ...(ubuntu ? { distribution: 'ubuntu' as const } : {}) };
        const one = await withClient((client) => client.request('master', 'template.build', args, long));
        if (json) printJson(one);
        else console.log(made(one));
      },
    );
  template
    .command('update')
    .description('build suites anew, with the newest packages; vservers are not touched')
    .argument('[names...]', 'names of templates')
    .option('--all', 'every template that was built from a suite')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs template update bookworm\n  vs template update --all')
    .action(async (names: string[], { all, json }: { all?: boolean } & Json) => {
      if (names.length > 0 === (all === true))
        throw new VsError('usage', 'Give names of templates, or --all, not both.');
      names.forEach(checkTemplate);
      const done: Template[] = [];
      await withClient(async (client) => {
        const { templates } = all ? await client.request('master', 'template.list', {}) : { templates: [] };
        const wanted = all
          ? templates
              .filter(({ suite, info }) => suite !== undefined || info?.startsWith('mmdebstrap '))
              .map(({ name }) => name)
          : names;
        for (const name of wanted) {
          const one = await client.request('master', 'template.update', { name }, long);
          done.push(one);
          if (!json) console.log(made(one));
        }
      });
      if (json) printJson(done);
      else if (done.length === 0) console.log('There is no template that was built from a suite.');
    });
  template
    .command('import')
    .description(
      'take over a tarball (.tar, .tar.gz, .tar.zst, .tar.xz) or an OCI image archive (oci:FILE) that lies on the master',
    )
    .argument('<file>', 'path of the tarball, or oci:PATH')
    .option('--name <name>', 'name of the template (from the file unless told)')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      `
A text in FILE.info, or beside alpine.tar.gz in alpine.info, is shown wherever the template is.

Examples:
  vs template import /root/alpine.tar.gz --name alpine
  skopeo copy docker://docker.io/library/nginx oci-archive:/root/nginx.tar
  vs template import oci:/root/nginx.tar --name nginx`,
    )
    .action(async (file: string, { json, ...options }: { name?: string } & Json) => {
      if (options.name !== undefined) checkTemplate(options.name);
      const path = file.startsWith('oci:') ? `oci:${resolve(file.slice('oci:'.length))}` : resolve(file);
      const one = await withClient((client) =>
        client.request('master', 'template.import', { file: path, ...options }, long),
      );
      if (json) return printJson(one);
      console.log(made(one));
      if (one.info) console.log(one.info);
    });
  template
    .command('remove')
    .description('remove a template; vservers made from it stay')
    .argument('<name>', 'name of the template')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs template remove bookworm')
    .action(async (name: string, options: Json) => {
      checkTemplate(name);
      await withClient((client) => client.request('master', 'template.remove', { name }));
      console.log(options.json ? JSON.stringify({ removed: name }) : `Template ${name} was removed.`);
    });
}
