import { readFileSync, statSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { parseSshKeys } from '../../config/ssh-keys.ts';
import type { Args } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import { type Client, withClient } from '../client.ts';
import { summaryText } from '../follow.ts';
import { addLimitFlags, limitChangesOf } from '../limits.ts';
import { checkHost, checkName, parseAddress, quoted } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';

interface Options extends SagaOptions {
  host?: string;
  enable?: boolean;
  start?: boolean;
  also?: string[];
  domain?: string;
  nameserver?: string;
  sshKey?: string[];
  postInstall?: string;
  keep?: boolean;
  privileged?: boolean;
  yes?: boolean;
  assume_yes?: boolean;
}
type CreateArgs = Args<'orchestrator.create'>;

/** What one file may be long (bytes): the keys of a person, a script. */
const MOST_FILE = 65_536;

/** A file of this machine that a flag names. */
function fileOf(flag: string, file: string): string {
  const say = (why: string) => new VsError('usage', `--${flag}: ${quoted(file)} ${why}.`);
  const there = statSync(file, { throwIfNoEntry: false });
  if (!there?.isFile() && !there?.isFIFO()) throw say('is no file on this machine'); // a shell's <(...) is one
  if (there.size > MOST_FILE) throw say(`has more than ${MOST_FILE} bytes`);
  const text = readFileSync(file, 'utf8');
  if (Buffer.byteLength(text) > MOST_FILE) throw say(`has more than ${MOST_FILE} bytes`);
  if (text === '') throw say('is empty');
  return text;
}

/** The keys of all the files; `none`: not even those of create.conf. */
function keysOf(files: string[]): string[] {
  if (files.length === 1 && files[0] === 'none') return [];
  return files.flatMap((file) => {
    const text = fileOf('ssh-key', file);
    try {
      return parseSshKeys(text, file);
    } catch (error) {
      throw new VsError('usage', `--ssh-key: ${(error as Error).message}.`);
    }
  });
}
const scriptOf = (file: string): string => (file === 'none' ? '' : fileOf('post-install', file));

/** The arguments of the command; what was not given is left to the master. */
function argsOf(name: string, address: string, source: string | undefined, options: Options): CreateArgs {
  checkName(name);
  const where = parseAddress(address);
  if (options.host !== undefined) checkHost(options.host);
  if (source === '')
    throw new VsError('usage', 'The source is empty; give busybox, a template, a suite or a tarball.');
  const limits = limitChangesOf(options);
  return {
    name,
    ...where,
    ...(options.also ? { more: options.also.map(parseAddress) } : {}),
    ...(source === undefined ? {} : { source }),
    ...(Object.keys(limits).length > 0 ? { limits } : {}),
    ...(options.domain === undefined ? {} : { domain: options.domain }),
    ...(options.nameserver === undefined ? {} : { nameserver: options.nameserver }),
    ...(options.host ? { host: options.host } : {}),
    ...(options.enable ? { enable: true } : {}),
    ...(options.start ? { start: true } : {}),
    ...(options.sshKey ? { sshKeys: keysOf(options.sshKey) } : {}),
    ...(options.postInstall === undefined ? {} : { postInstall: scriptOf(options.postInstall) }),
    ...(options.keep ? { keep: true } : {}),
    ...(options.privileged ? { privileged: true } : {}),
  };
}

/** Shows what would be done and asks; answers what was agreed to: the host that was shown. */
async function agreed(client: Client, args: CreateArgs): Promise<CreateArgs> {
  const { state } = await client.request(
    'master',
    'orchestrator.create',
    { ...args, dryRun: true },
    { timeoutMs: 120_000 },
  );
  process.stdout.write(`${state.title}\n${summaryText(state)}`);
  const { confirm } = await import('../ask.ts');
  await confirm(`Create ${args.name}?`, 'vs create');
  const host = state.steps.find((step) => step.step === 'lock')?.host;
  return { ...args, ...(host ? { host } : {}) };
}

/** `vs create NAME ADDRESS SOURCE`. */
export function register(program: Command): void {
  const create = program
    .command('create')
    .description('create a vserver')
    .argument('<name>', 'its name')
    .argument('<address>', 'IPV4[/PREFIX][,IPV6] or IPV6; its network is found by the address')
    .argument(
      '[source]',
      "busybox, a template, a suite such as bookworm, a tarball or oci:FILE on the master, or clone:NAME (create.conf's TEMPLATE unless told)",
    )
    .option('--host <host>', 'on this host (the one with most room unless told)')
    .option(
      '--also <address>',
      'one more address, also of another network; may be given more than once',
      (address: string, before: string[] | undefined) => [...(before ?? []), address],
    )
    .option('--domain <domain>', "its domain (the network's unless told)")
    .option('--nameserver <addresses>', "its resolvers (the network's unless told)")
    .option('--enable', 'start it at boot')
    .option('--start', 'start it now')
    .option(
      '--ssh-key <file>',
      'public keys for its root, from a file of this machine; may be given more than once; none: no keys',
      (file: string, before: string[] | undefined) => [...(before ?? []), file],
    )
    .option('--post-install <file>', 'run this script of this machine in it, once, after its first start')
    .option('--keep', 'keep it when that script fails (it is undone unless told)')
    .option('--privileged', 'its user ids are those of the host: its root can harm the host')
    .option('--yes', 'do not ask')
    .addOption(new Option('--assume_yes', 'the same, as it was called').hideHelp())
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs');
  addLimitFlags(create)
    .addHelpText(
      'after',
      `
What it will do is shown first; in a terminal it asks before it does that.

Examples:
  vs create web1 10.60.10.5 bookworm
  vs create web2 10.60.10.6/24,fd60:10::6 busybox --host host1 --enable --start
  vs create db1 10.60.10.10 bookworm --also 10.60.20.10 --also fd60:10::11
  vs create web3 10.60.10.7 clone:web1 --memory 512M --cpu 0.5
  vs create web4 10.60.10.8 bookworm --start --ssh-key ~/.ssh/id_ed25519.pub --post-install setup.sh
  vs create web5 10.60.10.9 oci:/root/nginx.tar --start`,
    )
    .action(async (name: string, address: string, source: string | undefined, options: Options) => {
      const args = argsOf(name, address, source, options);
      await withClient(async (client) => {
        const asks = process.stdin.isTTY && process.stdout.isTTY && !options.json && !options.dryRun;
        const told = asks && !options.yes && !options.assume_yes;
        const wanted = told ? await agreed(client, args) : args;
        const started = await client.request(
          'master',
          'orchestrator.create',
          { ...wanted, ...(options.dryRun ? { dryRun: true } : {}) },
          { timeoutMs: 120_000 },
        );
        const last = await present(client, started, { ...options, told });
        const script = last.steps.find((step) => step.step === 'post-install');
        if (script?.message === 'failed, and kept') process.exitCode = 1;
      });
    });
}
