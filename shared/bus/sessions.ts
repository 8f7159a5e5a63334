interface Life {
  state?: 'online' | 'offline';
  session?: string;
  ts?: number;
}

/** Follows the lives of the hosts by their status messages. */
export function openSessions() {
  const known = new Map<string, { session: string; ts: number }>();
  return {
    /**
     * - `late`: the will of an earlier life, which came after the birth of this one; nothing changed.
     * - `over`: the life that was asked so far has ended, or another one began: it will not answer any more.
     * - `same`: it goes on, or is the first one that is seen.
     *
     * `ts` of a will is the birth of its session, so one that is newer than the life we know is no late one: we were away
     * when that life began. What the broker kept (retained) is what holds now, never late.
     */
    take(host: string, payload: unknown, retained: boolean): 'late' | 'over' | 'same' {
      const { state, session, ts = 0 } = (payload ?? {}) as Life;
      const before = known.get(host);
      const other = before !== undefined && session !== before.session;
      if (state === 'offline' && other && !retained && ts <= before.ts) return 'late';
      if (session !== undefined) known.set(host, { session, ts });
      return state === 'online' && !other ? 'same' : 'over';
    },
  };
}
