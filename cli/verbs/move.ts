import { type Command, Option } from 'commander';
import type { Args } from '../../shared/contract/commands.ts';
import type { Transport } from '../../shared/contract/transfer.ts';
import type { KeptInfo } from '../../shared/contract/kept.ts';
import { namesText, snapshotsText } from '../../shared/kept.ts';
import { confirm } from '../ask.ts';
import { type Client, withClient } from '../client.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';

const transports = ['rsync', 'rsyncd-tls', 'rsyncd', 'ssh', 'btrfs-send'] satisfies Transport[];

/** What a person is asked before snapshots stay behind; undefined: those that the schedule made ask nobody. */
export function questionOf(name: string, host: string, kept: KeptInfo[]): string | undefined {
  const own = kept.filter((one) => one.protected || one.kind !== 'automatic').map((one) => one.snapshot);
  if (own.length === 0) return undefined;
  return `${name} leaves ${snapshotsText(own.length)} on ${host}: ${namesText(own)}. They go with the old copy in its trash, for good when its grace time is over (what they hold can be kept before: vs snapshot clone, vs backup run). Move it?`;
}

/** Asks a person at a terminal; a program is not asked, and reads it in the title. */
async function askForSnapshots(client: Client, asked: Args<'orchestrator.move'>): Promise<void> {
  const { name } = asked;
  const host = await hostOf(client, name).catch(() => undefined); // the move itself says what is wrong
  const found = host && (await client.request(host, 'snapshot.kept', { name }).catch(() => undefined));
  const question = host && found && questionOf(name, host, found.snapshots);
  if (!question) return;
  const { state } = await client.request('master', 'orchestrator.move', { ...asked, dryRun: true });
  if (!state.steps.some(({ step }) => step === 'snapshots')) await confirm(question, 'vs move');
}

/** `vs move NAME HOST`. */
export function register(program: Command): void {
  program
    .command('move')
    .description('move a vserver to another host')
    .argument('<name>', 'name of the vserver')
    .argument('<host>', 'the host it shall run on')
    .addOption(new Option('--transport <way>', 'how to copy (chosen unless told)').choices(transports))
    .option(
      '--crash-consistent',
      'freeze it instead of stopping it: down for less, but its programs see a power cut',
    )
    .option('--full', 'with rsync: compare all files in every pass, not only what changed (longer down)')
    .option('--no-snapshots', 'its snapshots stay, also where they could go along (btrfs-send)')
    .option('--yes', 'do not ask when snapshots of people stay behind')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--follow', 'show it until it ends (as it is unless told)')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs move web1 host2\n  vs move web1 host2 --dry-run\n  vs move web1 host2 --no-follow --json\n  vs move web1 host2 --transport rsync --full\n  vs move web1 host2 --crash-consistent\n\nWith --crash-consistent it is frozen where it is, the rest is copied, and it boots on the other host as after a power cut:\nfiles are as they were at that moment, what programs had only in memory is lost. The frozen one can never run again.',
    )
    .action(
      async (
        name: string,
        host: string,
        options: SagaOptions & {
          transport?: Transport;
          full?: boolean;
          snapshots: boolean;
          crashConsistent?: boolean;
          yes?: boolean;
        },
      ) => {
        checkName(name);
        checkHost(host);
        await withClient(async (client) => {
          const asked = {
            name,
            host,
            ...(options.transport ? { transport: options.transport } : {}),
            ...(options.crashConsistent ? { crashConsistent: true } : {}),
            ...(options.full ? { full: true } : {}),
            ...(options.snapshots ? {} : { withoutSnapshots: true }),
            ...(options.dryRun ? { dryRun: true } : {}),
          };
          if (process.stdin.isTTY && !options.yes && !options.dryRun) await askForSnapshots(client, asked);
          const started = await client.request('master', 'orchestrator.move', asked);
          await present(client, started, options);
        });
      },
    );
}
