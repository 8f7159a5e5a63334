import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';

/** Where packages come from, as addresses and TCP ports. */
export interface Mirrors {
  to: { address: string; port: number }[];
  /** Names that this host could not resolve. */
  unknown: string[];
}

/** Splits `host`, `host:port`, `[address6]:port`; without a port both 80 and 443. */
export function splitMirror(text: string): { host: string; ports: number[] } {
  const some = (port: string | undefined) => (port === undefined ? [80, 443] : [Number(port)]);
  const [, six, port6] = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text) ?? [];
  if (six !== undefined) return { host: six, ports: some(port6) };
  if (isIP(text) === 6) return { host: text, ports: some(undefined) };
  const [, host = text, port] = /^([^:]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  return { host, ports: some(port) };
}

/** Resolves the configured mirrors on this host, never in the vserver: what that says would open its own firewall. */
export async function findMirrors(configured: string[]): Promise<Mirrors> {
  const unknown: string[] = [];
  const found = await Promise.all(
    configured.map(async (one) => {
      const { host, ports } = splitMirror(one);
      try {
        const all = await lookup(host, { all: true });
        return all.flatMap(({ address }) => ports.map((port) => ({ address, port })));
      } catch {
        unknown.push(host);
        return [];
      }
    }),
  );
  return { to: found.flat(), unknown };
}

/** The resolvers that a vserver was given. */
export const resolversOf = (given: string | undefined): string[] =>
  (given ?? '').split(/[\s,]+/).filter((one) => isIP(one) !== 0);
