import { setTimeout as sleep } from 'node:timers/promises';
import { matches } from '../contract/topics.ts';
import type { Log } from '../log.ts';
import { backoffMs } from './backoff.ts';
import type { Connection } from './connection.ts';

export type OnMessage = (topic: string, payload: unknown, packet: { retain: boolean }) => void;

/**
 * What this process hears. After each connect all of it is asked for again. What a broker refuses (a cluster that looks
 * for its leader refuses for up to 17 s; measured.md) is asked for until it is granted, and logged once.
 * A cluster is asked filter by filter, the own ones first: NATS takes 0.5 s for each, and up to 5 s while a node is lost
 * (measured). All in one packet would be answered after the connection was given up for its silence, again and again.
 */
export function openSubscriptions(connection: Connection, own: string[], log: Log) {
  const listeners = new Map<string, Set<OnMessage>>();
  /** Which connection it is: what was begun on an earlier one ends. */
  let life = 0;

  /** Resolves with what was refused, or not answered. */
  async function attempt(filters: string[]): Promise<string[]> {
    if (!connection.cluster || filters.length === 1) return ask(filters);
    const of = life;
    const refused: string[] = [];
    for (const filter of filters) {
      if (of !== life || !connection.connected) refused.push(filter);
      else refused.push(...(await ask([filter])));
    }
    return refused;
  }
  async function ask(filters: string[]): Promise<string[]> {
    if (filters.length === 0) return [];
    return connection.subscribe(filters).catch((error: unknown) => {
      log.debug({ filters, error: String(error) }, 'a subscription was not answered');
      return filters;
    });
  }
  /** Asks for what was refused until it is granted: true; false when the connection is another one by then. */
  async function insist(refused: string[], of: number): Promise<boolean> {
    if (refused.length > 0 && of === life && connection.connected)
      log.warn(
        { filters: refused },
        'the broker refuses a subscription; it is asked for until it is granted',
      );
    let left = refused;
    for (let tries = 0; left.length > 0; tries++) {
      await sleep(backoffMs(tries), undefined, { ref: false });
      if (of !== life || !connection.connected) return false;
      left = await attempt(left.filter((filter) => own.includes(filter) || listeners.has(filter)));
    }
    if (refused.length > 0) log.info({ filters: refused }, 'the subscription was granted');
    return of === life;
  }

  return {
    /** After a connect. True once the own filters are granted; the others are then asked for in the background. */
    async renew(): Promise<boolean> {
      const mine = ++life;
      const others = [...listeners.keys()].filter((filter) => !own.includes(filter));
      const [first, later] = connection.cluster ? [own, others] : [[...own, ...others], []];
      const refused = await attempt(first);
      const isOwn = (filter: string) => own.includes(filter);
      const granted = insist(refused.filter(isOwn), mine);
      void attempt(later).then((left) =>
        insist([...refused.filter((filter) => !isOwn(filter)), ...left], mine),
      );
      return granted;
    },
    lost: () => void life++,
    /** Resolves after the first try, or at once while the broker is away. */
    async add(filter: string, listener: OnMessage): Promise<() => Promise<void>> {
      listeners.set(filter, (listeners.get(filter) ?? new Set()).add(listener));
      const mine = life;
      if (connection.connected) void insist(await attempt([filter]), mine);
      return async () => {
        const left = listeners.get(filter);
        left?.delete(listener);
        if (left?.size !== 0) return;
        listeners.delete(filter);
        if (connection.connected) await connection.unsubscribe(filter).catch(() => undefined);
      };
    },
    deliver(topic: string, payload: unknown, retain: boolean): void {
      for (const [filter, some] of listeners)
        if (matches(filter, topic)) for (const listener of some) listener(topic, payload, { retain });
    },
  };
}
export type Subscriptions = ReturnType<typeof openSubscriptions>;
