import { type Socket, connect as connectSocket } from 'node:net';

// What the bus and the command line's own client must agree on. The command line loads this at every start, so it
// imports neither zod nor mqtt.

/** Packets stay under 1 MB, which every broker of the common ground takes (measured.md). */
export const MAX_PAYLOAD = 1_000_000;
/** How long an answer is waited for unless the caller says otherwise. */
export const TIMEOUT_MS = 60_000;

export interface RequestOptions {
  /** The same id is carried out once; who asks again by it joins the work, or gets the answer again. */
  id?: string;
  /** Milliseconds until the answer; 60 s unless given. Then the work is cancelled where it runs. */
  timeoutMs?: number;
  /** Gives the request up and cancels the work where it runs. */
  signal?: AbortSignal;
  onProgress?: (progress: Record<string, unknown>) => void;
}

/** The stream to a broker at `mqtt://host:port` or `unix:///path`. */
export function openSocket(url: string): Socket {
  const parsed = new URL(url);
  if (parsed.protocol === 'unix:') return connectSocket({ path: decodeURIComponent(parsed.pathname) });
  return connectSocket({
    host: parsed.hostname.replace(/^\[|\]$/g, ''),
    port: Number(parsed.port || 1883),
    noDelay: true, // Nagle dominates latency otherwise (measured.md)
  });
}
