/** So long (ms) a vserver that was made ready counts as one that is on its way: a saga may copy for long before it starts it. */
const ARRIVES_MS = 3_600_000;

/**
 * Who has been made ready to be on a network and has no port there yet; and since when a network is without use. A bridge that
 * is taken down between the two would let a start fail.
 */
export function openArriving(now: () => number = () => performance.now()) {
  const arriving = new Map<string, { networks: Set<string>; until: number }>();
  const used = new Map<string, number>();
  const kept = new Set<string>();

  return {
    /** It will come to these networks. */
    add(name: string, networks: string[]): void {
      arriving.set(name, { networks: new Set(networks), until: now() + ARRIVES_MS });
    },
    /** It has come to this one; it may still come to the others. */
    came: (name: string, network: string): void => void arriving.get(name)?.networks.delete(network),
    /** It has come everywhere, or will not. */
    drop: (name: string): void => void arriving.delete(name),
    /** Who is on the way to a network. */
    to(network: string): string[] {
      for (const [name, { until }] of arriving) if (until < now()) arriving.delete(name);
      return [...arriving].flatMap(([name, one]) => (one.networks.has(network) ? [name] : []));
    },
    /** Somebody works with it just now. */
    touch: (network: string): void => void used.set(network, now()),
    /** A person wants it to be up, or does not any more. */
    keep: (network: string, wanted: boolean): void =>
      void (wanted ? kept.add(network) : kept.delete(network)),
    /** Has nobody wanted or used it for so long (ms)? One that was never seen counts from now on. */
    isIdle(network: string, ms: number): boolean {
      if (kept.has(network)) return false;
      const last = used.get(network);
      if (last === undefined) used.set(network, now());
      return last !== undefined && now() - last >= ms;
    },
  };
}
export type Arriving = ReturnType<typeof openArriving>;
