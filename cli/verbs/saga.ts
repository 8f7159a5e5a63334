import type { Command } from 'commander';
import type { SagaState } from '../../shared/contract/saga.ts';
import { withClient } from '../client.ts';
import { closing, follow, painter, sagaExit, stepLine } from '../follow.ts';
import { checkId } from '../names.ts';
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
  verb('list', 'the sagas, newest first', 'vs saga list').action(async (options: Options) => {
    const { sagas } = await withClient((client) => client.request('master', 'orchestrator.sagas', {}));
    if (options.json) return console.log(JSON.stringify(sagas, null, 2));
    const rows = sagas.map((one) => [
      one.id,
      one.kind,
      one.vserver,
      one.result,
      moment(one.started),
      one.ended ? span(one.ended - one.started) : '-',
      one.downtimeMs === undefined ? '-' : span(one.downtimeMs),
    ]);
    console.log(table(['SAGA', 'KIND', 'VSERVER', 'RESULT', 'BEGUN', 'TOOK', 'DOWN'], rows));
  });
  verb('show', 'one saga: its steps, with --json also its journal', 'vs saga show ID')
    .argument('<id>', 'id of the saga')
    .action(async (id: string, options: Options) => {
      checkId(id);
      const found = await withClient((client) => client.request('master', 'orchestrator.saga', { id }));
      if (options.json) console.log(JSON.stringify(found, null, 2));
      else print(found.saga, options);
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
