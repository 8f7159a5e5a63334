import { firstOf } from '../../../shared/addresses.ts';
import type { CreatePlan } from '../plans/create-plan.ts';

/** The sentences at the end of a copy, whose steps are those of a create. */
export const copyTexts = ({ name, host, config, start, clone }: CreatePlan) => ({
  closing: (): string =>
    `${name}, a copy of ${clone?.of ?? '?'}, ${start ? 'runs' : 'is'} on ${host} with ${firstOf(config)} in network ${config.network}.${start ? '' : ` Start it with: vs start ${name}`}`,
  failed: (reason: string): string =>
    `${name} was not made: ${reason}. Nothing of it is left on ${host}; ${clone?.of ?? 'the original'} is as it was.`,
});
