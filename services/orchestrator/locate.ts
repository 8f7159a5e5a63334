import type { VserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';

/**
 * Where a vserver is, by the classic rules: where it runs, else the only host where it is enabled, else the only one that has it.
 * A copy with a lower epoch than another one of the same uuid is none: its host was away when that one took over. A host that
 * slaves.conf marks `noselect` counts only when no other has it. Throws VsError: two candidates, or none.
 */
export function locate(name: string, known: VserverState[], noselect: ReadonlySet<string>): VserverState {
  const named = known.filter((one) => one.name === name);
  const current = named.filter(
    (one) => !named.some((other) => other.uuid === one.uuid && other.epoch > one.epoch),
  );
  const selected = current.filter((one) => !noselect.has(one.host));
  const have = selected.length > 0 ? selected : current;
  const owned = have.filter((one) => one.epoch > 0);
  for (const some of [
    have.filter((one) => one.state === 'running' || one.state === 'frozen'),
    owned.filter((one) => one.enabled),
    owned,
    have,
  ]) {
    if (some.length === 1 && some[0]) return some[0];
    if (some.length > 1)
      throw new VsError(
        'conflict',
        `${name} is on ${some
          .map((one) => one.host)
          .sort()
          .join(' and ')}; name the host`,
      );
  }
  throw new VsError('not-found', `there is no vserver ${name} in the pool`);
}
