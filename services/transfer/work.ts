/** What runs for a saga (receivers, senders), so that a close can end it and wait until it has ended. */
export function openWork() {
  const running = new Map<string, Set<{ abort: AbortController; ended: Promise<void> }>>();
  return {
    /** Runs something for a saga; it gets a signal that `end` raises. */
    async run<T>(saga: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
      const abort = new AbortController();
      const result = work(abort.signal);
      const one = { abort, ended: result.then(() => undefined).catch(() => undefined) };
      const all = running.get(saga) ?? new Set();
      running.set(saga, all.add(one));
      try {
        return await result;
      } finally {
        all.delete(one);
        if (all.size === 0 && running.get(saga) === all) running.delete(saga);
      }
    },
    /** Ends what runs for a saga and waits for it: after that nothing of it writes any more. */
    async end(saga: string): Promise<void> {
      const all = [...(running.get(saga) ?? [])];
      for (const one of all) one.abort.abort();
      await Promise.all(all.map((one) => one.ended));
    },
    /** Waits for what runs for a saga; how it ends is for whoever began it. */
    async settled(saga: string): Promise<void> {
      await Promise.all([...(running.get(saga) ?? [])].map((one) => one.ended));
    },
    async endAll(): Promise<void> {
      await Promise.all([...running.keys()].map((saga) => this.end(saga)));
    },
  };
}
