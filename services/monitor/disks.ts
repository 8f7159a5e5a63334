import type { Context } from '../../shared/service.ts';

const AGAIN_MS = 300_000;
const SOONEST_MS = 10_000;
/** A count takes no more than this share of the time to the next one, of all trees together. */
const SHARE = 200;

/** What the trees of vservers take, counted in the background, and seldom: that takes seconds. */
export function openDisks({ bus, host, log }: Context) {
  const disk = new Map<string, { bytes?: number; at: number; took?: number }>();
  /** One count at a time: it reads whole trees. */
  let last: Promise<unknown> = Promise.resolve();
  async function count(name: string): Promise<void> {
    const begun = performance.now();
    const { bytes } = await bus.request(host, 'snapshot.usage', { name }, { timeoutMs: AGAIN_MS });
    const at = performance.now();
    if (disk.has(name)) disk.set(name, { bytes, at, took: at - begun });
  }
  /** How long a count of this one is good (ms): where a quota counts that is at hand at once. */
  const goodFor = (took = AGAIN_MS) => Math.min(AGAIN_MS, Math.max(SOONEST_MS, took * SHARE * disk.size));
  return {
    /** Bytes, as they were at most some minutes ago; undefined before the first count. */
    of(name: string): number | undefined {
      const known = disk.get(name);
      if (!known || performance.now() - known.at > goodFor(known.took)) {
        disk.set(name, { ...known, at: performance.now() });
        last = last
          .then(() => count(name))
          .catch((error: unknown) => log.debug({ vserver: name, error: String(error) }, 'disk usage'));
      }
      return known?.bytes;
    },
    /** Forgets those that do not run any more. */
    keep(names: Set<string>): void {
      for (const name of disk.keys()) if (!names.has(name)) disk.delete(name);
    },
  };
}
