import type { HostInfo } from '../../../shared/contract/host.ts';
import type { LimitChanges } from '../../../shared/contract/limits.ts';
import { VsError } from '../../../shared/errors.ts';
import { limitTable } from '../../../shared/limits.ts';

/** Refuses limits that a host cannot set; those that nobody asked for (create.conf, a clone) only give an alert there. */
export function requireLimits(
  { host, limits }: Pick<HostInfo, 'host' | 'limits'>,
  wanted: LimitChanges,
): void {
  const faults = limitTable.flatMap(({ key, resource }) => {
    const why = typeof wanted[key] === 'number' ? limits?.missing[key] : undefined;
    return why ? [`${resource}: ${why}`] : [];
  });
  if (faults.length > 0) throw new VsError('refused', `${host} cannot limit ${faults.join('; ')}`);
}
