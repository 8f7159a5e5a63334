/** A saga and the hosts at which it needs a place. */
export interface Wants {
  id: string;
  hosts: string[];
  /** It takes all places of its hosts. */
  alone?: boolean;
}

/**
 * Who of those that wait may begin now, when each host has so many places. A saga gets all of its places at once or
 * none, so sagas never wait for one another in a ring; one that waits keeps its place in the row at each of its hosts,
 * so a later one never passes it there.
 */
export function places(
  running: Wants[],
  waiting: Wants[],
  most: number,
): { free: string[]; waits: Map<string, string> } {
  const taken = new Map<string, number>();
  const take = (one: Wants) => {
    for (const host of new Set(one.hosts)) taken.set(host, (taken.get(host) ?? 0) + (one.alone ? most : 1));
  };
  running.forEach(take);
  const atWork = new Map(taken);
  const free: string[] = [];
  const waits = new Map<string, string>();
  for (const one of waiting) {
    const full = one.hosts.find((host) => (taken.get(host) ?? 0) >= (one.alone ? 1 : most));
    if (full === undefined) free.push(one.id);
    else {
      const here = atWork.get(full) ?? 0;
      const before = (taken.get(full) ?? 0) - here;
      waits.set(
        one.id,
        one.alone
          ? `waits until no other saga is at work on ${full}`
          : `waits for a free place on ${full} (${here} of ${most}${before > 0 ? `, ${before} before it` : ''})`,
      );
    }
    take(one);
  }
  return { free, waits };
}
