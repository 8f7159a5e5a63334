/** Work on the same thing runs one after the other, in the order in which it came; on different things side by side. */
export function createTurns() {
  const queues = new Map<string, Promise<unknown>>();
  return function inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const next = (queues.get(key) ?? Promise.resolve()).then(work, work);
    const settled = next.catch(() => undefined);
    queues.set(key, settled);
    void settled.then(() => queues.get(key) === settled && queues.delete(key));
    return next;
  };
}
export type Turns = ReturnType<typeof createTurns>;
