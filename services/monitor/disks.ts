import type { Context } from '../../shared/service.ts';

const AGAIN_MS = 300_000;

/** What the trees of vservers take, counted in the background, and seldom: that takes seconds. */
export function openDisks({ bus, host, log }: Context) {
  const disk = new Map<string, { bytes?: number; at: number }>();
  /** One count at a time: it reads whole trees. */
  let last: Promise<unknown> = Promise.resolve();
  return {
    /** Bytes, as they were at most some minutes ago; undefined before the first count. */
    of(name: string): number | undefined {
      const known = disk.get(name);
      if (!known || performance.now() - known.at > AGAIN_MS) {
        disk.set(name, { ...known, at: performance.now() });
        last = last
          .then(() => bus.request(host, 'snapshot.usage', { name }, { timeoutMs: AGAIN_MS }))
          .then(({ bytes }) => disk.has(name) && disk.set(name, { bytes, at: performance.now() }))
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
