import type { Command } from 'commander';

/** Loaded when a lab verb runs, so that they cost the other verbs nothing. */
export const load = {
  clock: () => import('../../deploy/lab/clock.ts'),
  enter: () => import('../../deploy/lab/enter.ts'),
  full: () => import('../../deploy/lab/full.ts'),
  lab: () => import('../../deploy/lab/lab.ts'),
  model: () => import('../../deploy/lab/model.ts'),
  node: () => import('../../deploy/lab/node.ts'),
  slow: () => import('../../deploy/lab/slow.ts'),
  status: () => import('../../deploy/lab/status.ts'),
  wires: () => import('../../deploy/lab/wires.ts'),
};

export interface Named {
  name: string;
}

/** A verb of `vs lab`, which is about the lab of --name. */
export const verbOf = (lab: Command) => (name: string, summary: string, examples: string) =>
  lab
    .command(name)
    .description(summary)
    .option('--name <lab>', 'name of the lab', 'lab')
    .addHelpText('after', `\nExamples:\n${examples}`);
