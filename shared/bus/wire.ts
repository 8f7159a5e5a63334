import { type Socket, connect as connectSocket } from 'node:net';

// What the bus and the command line's own client must agree on. The command line loads this at every start, so it
// imports neither zod nor mqtt.

/** Packets stay under 1 MB, which every broker of the common ground takes (measured.md). */
export const MAX_PAYLOAD = 1_000_000;
/** How long an answer is waited for unless the caller says otherwise. */
export const TIMEOUT_MS = 60_000;

/** What BROKER_URL may be: one broker, or the nodes of a cluster with commas between. */
export const brokerUrl = /^(mqtts?:\/\/[^/,\s]+(,mqtts?:\/\/[^/,\s]+)*|unix:\/\/\/.+)$/;

/** The brokers of BROKER_URL. Any of them will do: each client begins with another, so that all have about as many. */
export function brokerUrls(text: string, random: () => number = Math.random): string[] {
  if (text.startsWith('unix:')) return [text];
  const urls = text.split(',');
  const first = Math.floor(random() * urls.length);
  return [...urls.slice(first), ...urls.slice(0, first)];
}

/**
 * The level on which a client hears replies. Brokers other than the embedded one know no client ids in their rules, so
 * there it is the user's name, which only that user can hear.
 */
export const replyName = (kind: string, user: string, clientId: string): string =>
  kind === 'embedded' ? clientId : user;

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
