import type { Duplex } from 'node:stream';

/** A connection whose other end was told already what comes. */
export interface Held {
  wire: Duplex;
  words: string;
}

/**
 * Connections of the source that were made before they are needed, one a saga: that of the last pass of a move is made
 * while the vserver still runs. Who sends takes it by the port that it leads to; one that was lost is not there any more.
 */
export function openHeld() {
  const held = new Map<string, Held & { port: number }>();
  return {
    keep(saga: string, port: number, { wire, words }: Held): void {
      held.get(saga)?.wire.destroy();
      held.set(saga, { port, wire, words });
      wire.once('close', () => held.get(saga)?.wire === wire && held.delete(saga));
    },
    take(saga: string, port: number): Held | undefined {
      const one = held.get(saga);
      if (one?.port !== port) return undefined;
      held.delete(saga);
      return one.wire.destroyed ? undefined : one;
    },
    drop(saga: string): void {
      held.get(saga)?.wire.destroy();
      held.delete(saga);
    },
    dropAll(): void {
      for (const { wire } of held.values()) wire.destroy();
      held.clear();
    },
  };
}
