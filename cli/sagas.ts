import type { SagaState } from '../shared/contract/saga.ts';
import type { Client } from './client.ts';
import { follow, painter, sagaExit, stepLine, summaryText } from './follow.ts';
import { span } from './table.ts';

export interface SagaOptions {
  dryRun?: boolean;
  follow?: boolean;
  json?: boolean;
  /** The title and what it will do were shown already. */
  told?: boolean;
}

/** A guess is no figure with two digits behind the dot. */
const rough = (ms: number) => (ms < 100_000 ? `${Math.max(1, Math.round(ms / 1000))} s` : span(ms));

const print = (one: SagaState) => console.log(JSON.stringify(one, null, 2));

/** What was asked for has begun (or, with --dry-run, would): show the plan, follow it, or name it. */
export async function present(
  client: Client,
  started: { saga: string; state: SagaState },
  options: SagaOptions,
): Promise<SagaState> {
  const { saga, state } = started;
  if (options.dryRun) {
    if (options.json) print(state);
    else {
      const about =
        state.estimateMs === undefined ? '' : `It should take about ${rough(state.estimateMs)}.\n`;
      console.log(
        `${state.title}\n${summaryText(state)}${about}Nothing was changed (--dry-run). The steps would be:`,
      );
      for (const step of state.steps)
        console.log(stepLine({ ...step, state: 'done', message: step.message ?? step.host ?? '' }));
    }
    return state;
  }
  if (options.follow === false) {
    if (options.json) print(state);
    else console.log(`${state.title}\nBegun as saga ${saga}; see it with: vs saga follow ${saga}`);
    return state;
  }
  const last = await follow(
    client,
    saga,
    options.json ? undefined : painter(process.stdout, options.told),
    state,
  );
  if (options.json) print(last);
  process.exitCode = sagaExit(last);
  return last;
}
