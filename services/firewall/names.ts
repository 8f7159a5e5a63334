import { Resolver } from 'node:dns/promises';
import { isIP, isIPv4 } from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';
import { parseFile, readText, writeJson } from '../../shared/store.ts';

/** What is known of the names in a firewall. Stale: it did not resolve at the last try, so these are its last addresses. */
const file = z.strictObject({
  version: z.literal(1),
  names: z.record(
    z.string(),
    z.strictObject({
      four: z.array(z.string()).max(100),
      six: z.array(z.string()).max(100),
      stale: z.boolean(),
    }),
  ),
});
export type Known = z.infer<typeof file>['names'];
/** A start does not wait longer for the names (ms). */
export const NAMES_WITHIN = 3000;
export const MOST_NAMES = 200;
const MOST_ADDRESSES = 100;

const place = (rules: string) => join(rules, 'names.json');
/** What was known when the host last looked. A damaged file is as good as none. */
export async function readNames(rules: string): Promise<Known> {
  const text = await readText(place(rules));
  try {
    return text === undefined ? {} : parseFile(place(rules), text, file).names;
  } catch {
    return {};
  }
}
export const writeNames = (rules: string, names: Known): Promise<void> =>
  writeJson(place(rules), file, { version: 1, names });

/** The addresses as the compiler takes them. */
export const addressesOf = (known: Known): Map<string, string[]> =>
  new Map(Object.entries(known).map(([name, { four, six }]) => [name, [...four, ...six]]));

/** The addresses that a file such as /etc/hosts has of a name. */
export function inHosts(text: string, name: string): string[] {
  const wanted = name.toLowerCase();
  return text.split('\n').flatMap((line) => {
    const [address = '', ...names] = line.replace(/#.*$/, '').trim().split(/\s+/);
    return isIP(address) && names.some((one) => one.toLowerCase() === wanted) ? [address] : [];
  });
}

/** No answer, in time or at all, says nothing; that there is none of the kind says much. */
async function asked(question: Promise<string[]>): Promise<string[] | undefined> {
  return question.catch((error: NodeJS.ErrnoException) =>
    error.code === 'ENODATA' || error.code === 'ENOTFOUND' ? [] : undefined,
  );
}
const sorted = (addresses: string[]) => [...new Set(addresses)].toSorted().slice(0, MOST_ADDRESSES);

/** Looks names up: the hosts file first, then DNS, all of them at once. What does not resolve keeps what was known of it. */
export async function resolveNames(
  names: string[],
  known: Known,
  options: { timeoutMs?: number; servers?: string[]; hosts?: string } = {},
): Promise<Known> {
  const timeout = options.timeoutMs ?? NAMES_WITHIN;
  const hosts = options.hosts ?? (await readText('/etc/hosts').catch(() => '')) ?? '';
  const resolver = new Resolver({ timeout, tries: 1 });
  if (options.servers) resolver.setServers(options.servers);
  const late = setTimeout(() => resolver.cancel(), timeout);
  const found = await Promise.all(
    names.map(async (name) => {
      const own = inHosts(hosts, name);
      const before = known[name] ?? { four: [], six: [] };
      const [four, six] =
        own.length > 0
          ? [own.filter((one) => isIPv4(one)), own.filter((one) => !isIPv4(one))]
          : await Promise.all([asked(resolver.resolve4(name)), asked(resolver.resolve6(name))]);
      const none = (four ?? []).length === 0 && (six ?? []).length === 0;
      if (none) return [name, { ...before, stale: true }] as const;
      const now = { four: sorted(four ?? before.four), six: sorted(six ?? before.six), stale: false };
      return [name, now] as const;
    }),
  ).finally(() => clearTimeout(late));
  return Object.fromEntries(found);
}
