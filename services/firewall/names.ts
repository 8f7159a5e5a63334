import { Resolver } from 'node:dns/promises';
import { isIP, isIPv4 } from 'node:net';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
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

/** Where they are known: on this host, and in the tree of the vserver, with which they travel. */
export interface NamePlaces {
  /** Rule files of the vserver on this host. */
  rules: string;
  /** Its directory, or a staged copy of it. */
  tree: string;
}
const ownFile = ({ rules }: NamePlaces) => join(rules, 'names.json');
/** Beside firewall.conf; people do not edit it. */
const treeFile = ({ tree }: NamePlaces) => join(tree, 'firewall-names.json');

/** What a file says. A damaged one is as good as none. */
async function readFrom(path: string): Promise<Known> {
  const text = await readText(path);
  try {
    return text === undefined ? {} : parseFile(path, text, file).names;
  } catch {
    return {};
  }
}
const isEmpty = ({ four, six }: Known[string]) => four.length + six.length === 0;

/** `own`: what this host knows. `all`: that, and of names without an address here what the vserver has brought along. */
export async function readNames(places: NamePlaces): Promise<{ own: Known; all: Known }> {
  const own = await readFrom(ownFile(places));
  const all = { ...(await readFrom(treeFile(places))) };
  for (const [name, one] of Object.entries(own)) if (!isEmpty(one) || !all[name]) all[name] = one;
  return { own, all };
}
async function keep(path: string, names: Known): Promise<void> {
  // a start should not wait for the disk
  if (!isDeepStrictEqual(await readFrom(path), names)) await writeJson(path, file, { version: 1, names });
}
export const keepOwn = (places: NamePlaces, names: Known): Promise<void> => keep(ownFile(places), names);
/** For the host to which it moves next, and for copies of it. `may`: the tree is at rest, nobody copies it. */
export async function keepInTree(
  places: NamePlaces,
  names: Known,
  may: () => Promise<boolean>,
): Promise<void> {
  const path = treeFile(places);
  if (!isDeepStrictEqual(await readFrom(path), names) && (await may())) await keep(path, names);
}

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
