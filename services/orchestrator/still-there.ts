import type { VserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Deciding } from './plans/planned.ts';

/** A host that does not answer by then is believed as it was heard (ms). */
const WAIT_MS = 10_000;

/**
 * Of what the pool shows of a vserver, what is on that host still: what it cleared while the master heard nothing goes from
 * the pool only when all else was said again, and must not be in the way of anybody until then. The host itself knows.
 */
export async function stillThere(
  { context, pool }: Deciding,
  { name, host }: { name: string; host: string },
): Promise<VserverState | undefined> {
  const shown = pool.of(name).find((one) => one.host === host);
  if (!shown || !pool.isOnline(host)) return shown;
  try {
    return (await context.bus.request(host, 'host-agent.show', { name }, { timeoutMs: WAIT_MS })).state;
  } catch (error) {
    return error instanceof VsError && error.code === 'not-found' ? undefined : shown;
  }
}
