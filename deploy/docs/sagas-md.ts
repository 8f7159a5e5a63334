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

const section = (kind: string, title: string, steps: Step[]): string[] => [
  `## ${kind}`,
  '',
  title,
  '',
  '```mermaid',
  diagram(steps),
  '```',
  '',
];
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

/** Kinds of which there is no journal of a release yet, by a plan as it would be. */
const planned: { title: string; plan: Plan }[] = (() => {
  const info = (version: string) => ({
    file: `vs-tools_${version}_amd64.deb`,
    version,
    bytes: 30_000_000,
    sha256: '0'.repeat(64),
  });
  const [from, to] = ['0.1.0', '0.2.0'];
  const hosts = ['host1', 'host2'].map((name) => ({ name, from }));
  return [
    {
      title: `vs-tools ${to} for 2 hosts, one after the other`,
      plan: { kind: 'update-hosts', plan: { to, oneWay: false, hosts, others: [], current: 0 } },
    },
    {
      title: `host1: vs-tools ${from} -> ${to}`,
      plan: {
        kind: 'update-host',
        plan: {
          host: 'host1',
          from,
          to,
          sourceAddress: '10.98.0.1',
          package: info(to),
          back: info(from),
          sendBack: false,
        },
      },
    },
  ];
})();

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
      return section(state.kind, state.title, steps);
    }),
    ...planned.flatMap(({ title, plan }) => {
      const { steps } = buildSaga(plan, { steps: [] } as unknown as SagaState, {} as Agents, nobody);
      return section(plan.kind, title, steps);
    }),
  ].join('\n');
}
