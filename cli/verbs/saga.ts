import type { Command } from 'commander';
import type { SagaState } from '../../shared/contract/saga.ts';
import { withClient } from '../client.ts';
import { closing, follow, painter, sagaExit, stepLine } from '../follow.ts';
import { VsError } from '../../shared/errors.ts';
import { checkId, checkName, quoted } from '../names.ts';
import { moment, span, table } from '../table.ts';

interface Options {
  json?: boolean;
}

function print(state: SagaState, options: Options): void {
  if (options.json) return console.log(JSON.stringify(state, null, 2));
  console.log(state.title);
  for (const step of state.steps) console.log(stepLine(step));
  if (state.result === 'running') console.log(`Still running; see it with: vs saga follow ${state.id}`);
  else console.log(closing(state));
}

interface ListOptions extends Options {
  vserver?: string;
  running?: boolean;
  limit?: string;
}
async function list(options: ListOptions): Promise<void> {
  const { vserver, running } = options;
  if (vserver !== undefined) checkName(vserver);
  const limit = options.limit === undefined ? undefined : Number(options.limit);
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 1 && limit <= 1000))
    throw new VsError('usage', `${quoted(options.limit ?? '')} is no number from 1 to 1000.`);
  const { sagas, damaged = [] } = await withClient((client) =>
    client.request('master', 'orchestrator.sagas', {
      ...(vserver === undefined ? {} : { vserver }),
      ...(running ? { running } : {}),
      ...(limit === undefined ? {} : { limit }),
    }),
  );
  for (const { message, known } of damaged)
    process.stderr.write(`${message}.${known ? '' : ' As long as it lies there no saga begins.'}\n`);
  if (options.json) return console.log(JSON.stringify(sagas, null, 2));
  const rows = sagas.map((one) => [
    one.id,
    one.vserver,
    one.waits ? 'waiting' : one.result,
    moment(one.started).slice(0, -3),
    one.ended ? span(one.ended - one.started) : '-',
    one.downtimeMs === undefined ? '-' : span(one.downtimeMs),
  ]);
  console.log(table(['SAGA', 'VSERVER', 'RESULT', 'BEGUN', 'TOOK', 'DOWN'], rows));
}

/** `vs saga list|show|follow|abort|resume`. */
export function register(program: Command): void {
  const saga = program
    .command('saga')
    .description('moves and other long work')
    .addHelpText('after', '\nExamples:\n  vs saga list\n  vs saga follow ID');
  const verb = (name: string, summary: string, example: string) =>
    saga
      .command(name)
      .description(summary)
      .option('--json', 'for programs')
      .addHelpText('after', `\nExamples:\n  ${example}`);
  verb('list', 'the sagas, newest first', 'vs saga list --vserver web1\n  vs saga list --running')
    .option('--vserver <name>', 'of this vserver (or host) only')
    .option('--running', 'only those that have not ended: running, waiting, stuck')
    .option('--limit <number>', 'at most so many, 1 to 1000 (50 unless told)')
    .action(list);
  verb('show', 'what happened in a saga and when; with --json also its journal', 'vs saga show ID')
    .argument('<id>', 'id of the saga')
    .action(async (id: string, options: Options) => {
      checkId(id);
      const found = await withClient((client) => client.request('master', 'orchestrator.saga', { id }));
      if (options.json) return console.log(JSON.stringify(found, null, 2));
      const { story } = await import('../story.ts');
      console.log(story(found.saga, found.journal as unknown as Parameters<typeof story>[1]).join('\n'));
    });
  verb('follow', 'a saga until it ends', 'vs saga follow ID')
    .argument('<id>', 'id of the saga')
    .action(async (id: string, options: Options) => {
      checkId(id);
      const last = await withClient((client) => follow(client, id, options.json ? undefined : painter()));
      if (options.json) print(last, options);
      process.exitCode = sagaExit(last);
    });
  verb('abort', 'undo a saga before its point of no return', 'vs saga abort ID')
    .argument('<id>', 'id of the saga')
    .action(async (id: string, options: Options) => {
      checkId(id);
      const state = await withClient((client) =>
        client.request('master', 'orchestrator.abort', { id }, { timeoutMs: 600_000 }),
      );
      print(state, options);
    });
  verb('resume', 'try a stuck saga again', 'vs saga resume ID')
    .argument('<id>', 'id of the saga')
    .action(async (id: string, options: Options) => {
      checkId(id);
      const state = await withClient((client) =>
        client.request('master', 'orchestrator.resume', { id }, { timeoutMs: 600_000 }),
      );
      print(state, options);
      if (state.result === 'stuck') process.exitCode = 3;
    });
}
