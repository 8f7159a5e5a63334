import type { Command } from 'commander';
import { lookVerbs } from '../lab/look.ts';
import { runVerbs } from '../lab/run.ts';

/** `vs lab`: a pool on one machine, for trying and testing. */
export function register(program: Command): void {
  const lab = program
    .command('lab')
    .description('a pool on this one machine, to try and to test (root)')
    .addHelpText('after', '\nExamples:\n  vs lab up\n  eval "$(vs lab env)"\n  vs lab down');
  runVerbs(lab);
  lookVerbs(lab);
}
