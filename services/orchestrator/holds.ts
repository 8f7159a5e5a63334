import type { SagaState } from '../../shared/contract/saga.ts';
import { VsError } from '../../shared/errors.ts';

interface Holder {
  vserver: string;
  host?: string | undefined;
  also?: string[] | undefined;
}

/** The names that nobody else may have while a saga runs or is stuck: of vservers, or of a host. */
export const namesOf = ({ vserver, host, also }: Holder): string[] => [
  ...new Set([host === undefined ? vserver : `host ${host}`, ...(also ?? [])]),
];

/** Which saga has which name. */
export function openHolds(states: Map<string, SagaState>) {
  const held = new Map<string, string>();
  return {
    take(of: Holder, id: string): void {
      for (const name of namesOf(of)) held.set(name, id);
    },
    /** Lets go what this saga has. */
    free(id: string): void {
      for (const [name, saga] of held) if (saga === id) held.delete(name);
    },
    /** Throws VsError 'conflict' when another saga has one of the names, or is just giving the address. */
    refuse(of: Holder & { over?: string }, args: Record<string, unknown>): void {
      const taken = namesOf(of).find((name) => held.has(name) && held.get(name) !== of.over);
      if (taken !== undefined) {
        const other = held.get(taken) ?? '';
        throw new VsError(
          'conflict',
          `a saga has ${taken} already (${states.get(other)?.kind} ${other}); see it with: vs saga show ${other}`,
          { retryable: true },
        );
      }
      const given = (asked: Record<string, unknown>) =>
        [asked['address'], asked['address6']].filter((one) => typeof one === 'string');
      const wanted = new Set(given(args));
      const rival = [...states.values()].find(
        (one) => one.result === 'running' && given(one.args).some((address) => wanted.has(address)),
      );
      const address = given(rival?.args ?? {}).find((one) => wanted.has(one));
      if (rival)
        throw new VsError(
          'conflict',
          `saga ${rival.id} is just giving ${String(address)} to ${rival.vserver}`,
          {
            retryable: true,
          },
        );
    },
  };
}
export type Holds = ReturnType<typeof openHolds>;
