import { VsError } from '../../shared/errors.ts';
import type { Life } from './loop.ts';

/** What a process hands to its connection (shared/bus/connection.ts). */
export interface ClientOptions {
  clientId: string;
  will?: { topic: string; text: string };
  onConnect: () => void;
  onLost: () => void;
  onMessage: (topic: string, payload: Buffer, retained: boolean) => void;
}

/** A connection as both ends of it see it. */
export interface Client {
  life: Life;
  options: ClientOptions;
  filters: Set<string>;
  /** Which connection it is: what was on its way in another one is lost. */
  session: number;
  /** The process takes it for connected; the broker does so. The two may differ for a while. */
  open: boolean;
  known: boolean;
  /** When what was sent last arrives, up and down: the order holds on one connection. */
  lastUp: number;
  lastDown: number;
  /** What waits for the end of a cut. */
  stalled: { up: boolean; act: () => void }[];
  waiting: Set<(error: VsError) => void>;
  failed: number;
  ended: boolean;
}

/** One that is not connected yet. */
export const newClient = (life: Life, options: ClientOptions): Client => ({
  life,
  options,
  filters: new Set(),
  session: 0,
  open: false,
  known: false,
  lastUp: 0,
  lastDown: 0,
  stalled: [],
  waiting: new Set(),
  failed: 0,
  ended: false,
});
export const lost = () =>
  new VsError('unavailable', 'the connection to the broker was lost', { retryable: true });
