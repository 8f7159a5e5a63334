import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Agents } from '../../services/orchestrator/agent.ts';
import { type Plan, buildSaga } from '../../services/orchestrator/build.ts';
import type { Children } from '../../services/orchestrator/children.ts';
import type { Step } from '../../services/orchestrator/executor.ts';
import type { SagaState } from '../../shared/contract/saga.ts';

/** Nobody is asked: steps are only looked at. */
const nobody = { deciding: {}, clock: {} } as unknown as Children;

/** The steps of the saga that a journal is of. */
function stepsOf(journal: string): { state: SagaState; steps: Step[] } {
  const { plan, state } = JSON.parse(journal.slice(0, journal.indexOf('\n'))) as {
    plan: Plan;
    state: SagaState;
  };
  const { steps } = buildSaga(plan, { ...state, steps: [] }, {} as Agents, nobody);
  return { state, steps };
}

const label = (step: Step): string => `"${step.name}<br/><small>${step.host}</small>"`;

/** A flow chart of steps: those with an undo are dashed, the point of no return has six corners, what is down stands in a frame. */
export function diagram(steps: Pick<Step, 'name' | 'host' | 'pnr' | 'downtime' | 'undo'>[]): string {
  const lines = ['flowchart LR'];
  let down = false;
  for (const [at, step] of steps.entries()) {
    if (step.downtime && !down) lines.push('  subgraph down [not running]', '    direction LR');
    if (!step.downtime && down) lines.push('  end');
    down = step.downtime === true;
    const name = label(step as Step);
    lines.push(
      `  ${down ? '  ' : ''}s${at}${step.pnr ? `{{${name}}}` : `[${name}]`}${step.undo ? ':::back' : ''}`,
    );
  }
  if (down) lines.push('  end');
  if (steps.length > 1) lines.push(`  ${steps.map((_, at) => `s${at}`).join(' --> ')}`);
  if (steps.some((step) => step.undo)) lines.push('  classDef back stroke-dasharray: 4 3');
  return lines.join('\n');
}

/** docs/saga-diagrams.md: one diagram for each kind of saga, from plans that real sagas had. `folder`: their journals. */
export function sagasMarkdown(folder: string): string {
  const journals = readdirSync(folder)
    .filter((file) => file.endsWith('.jsonl'))
    .toSorted();
  return [
    '# Sagas as diagrams',
    '',
    'Made by `node deploy/docs.ts` from the steps themselves, each with the plan of a real saga between host1 and host2; changes here are lost. What the steps do stands in [sagas.md](sagas.md).',
    '',
    'A dashed step has an undo: when one fails, or a person aborts, those that were begun are undone in reverse order. **A step with six corners is the point of no return**: from there on a saga goes forward, or is `stuck` until a person says. In the frame the vserver does not run.',
    'Which steps there are depends on the plan: a vserver that does not run is moved without stop and start, a copy on plain directories has other steps than one by btrfs.',
    '',
    ...journals.flatMap((file) => {
      const { state, steps } = stepsOf(readFileSync(join(folder, file), 'utf8'));
      return [`## ${state.kind}`, '', state.title, '', '```mermaid', diagram(steps), '```', ''];
    }),
  ].join('\n');
}
