import { dirname, join } from 'node:path';
import { VsError } from '../../shared/errors.ts';
import { pathsFor } from '../../shared/paths.ts';
import type { Context } from '../../shared/service.ts';
import { compile } from './compile.ts';
import { keysOf, withKeys } from './counts.ts';
import { logMark } from './kernel-log.ts';
import { type Try, whatRefuses } from './kernel.ts';
import { refusalOf, withTag } from './live.ts';
import { type Known, MOST_NAMES, type NamePlaces, addressesOf, readNames, resolveNames } from './names.ts';
import { type Firewall, namesOf } from './rule.ts';
import { type Sources, hashOf, readSources } from './sources.ts';

/** A firewall with the addresses of its names, compiled. */
export interface Made {
  firewall: Firewall;
  known: Known;
  /** Of everything that was read for it. */
  mark: string;
  rules: string;
}

const MOST_PROVED = 500;

/** Does anything of it go to the kernel's log? */
export const logs = ({ log, rules }: Firewall): boolean => Boolean(log) || rules.some((rule) => rule.log);

/** Reads and compiles the firewalls of vservers; changes nothing. */
export function createMaker(
  { settings, host }: Pick<Context, 'settings' | 'host'>,
  refusal: Try = refusalOf,
) {
  const paths = pathsFor(settings);
  /** Of the rules that this kernel would take, by vserver: a start does not ask it again. */
  const proved = new Map<string, string>();

  async function namesFor(
    places: NamePlaces,
    firewall: Firewall,
    sources: Sources,
    how: How,
  ): Promise<Known> {
    const names = firewall.enabled ? namesOf(firewall) : [];
    if (names.length === 0 || how === 'none') return {};
    if (names.length > MOST_NAMES)
      throw new VsError(
        'usage',
        `${sources.file}:1:1: found ${names.length} names to resolve, expected at most ${MOST_NAMES}: use addresses`,
      );
    // what it brings along was true elsewhere, or long ago: it does only for what does not resolve here
    const { own, all } = await readNames(places);
    if (how === 'known' && names.every((one) => own[one]))
      return Object.fromEntries(names.flatMap((one) => (all[one] ? [[one, all[one]]] : [])));
    return resolveNames(names, all);
  }

  const placesOf = (name: string, tree = paths.vserver(name)): NamePlaces => ({
    rules: paths.rules(name),
    tree,
  });

  return {
    placesOf,
    /** What is known of the names of a vserver. */
    known: async (name: string): Promise<Known> => (await readNames(placesOf(name))).all,
    /** The firewall.conf of a vserver, or of a staged copy of it, or a text that might become it. */
    sources(name: string, given: { tree?: string; candidate?: string | undefined } = {}): Promise<Sources> {
      const tree = given.tree ?? paths.vserver(name);
      return readSources(settings, join(tree, 'firewall.conf'), given.candidate);
    },
    /** What a new vserver gets on this host. */
    forNew: (): Promise<Sources> => readSources(settings, join(settings.CONFIG_DIR, 'firewall.conf')),
    /** `enabled`: as if it were. */
    async make(name: string, sources: Sources, how: How, enabled = false): Promise<Made> {
      const parsed = sources.parse();
      const firewall = enabled ? { ...parsed, enabled } : parsed;
      const known = await namesFor(placesOf(name, dirname(sources.file)), firewall, sources, how);
      const mark = sources.mark();
      return {
        firewall,
        known,
        mark,
        rules: withTag(
          withKeys(compile(firewall, addressesOf(known), logMark(name)), keysOf(firewall.rules)),
          mark,
        ),
      };
    },
    /** Throws VsError 'usage', by file, line and column, when the kernel of this host would not take the rules. */
    async prove(name: string, sources: Sources, { firewall, known, rules }: Made): Promise<void> {
      const hash = hashOf(rules);
      if (proved.get(name) === hash) return;
      const said = await refusal(rules);
      if (said !== undefined) {
        const resolved = addressesOf(known);
        const { file, text } = sources;
        throw await whatRefuses({ firewall, file, text, host, said, resolved }, refusal);
      }
      proved.delete(name);
      proved.set(name, hash);
      for (const [oldest] of proved) if (proved.size > MOST_PROVED) proved.delete(oldest);
    },
  };
}
/**
 * `fresh`: the names are resolved. `known`, for a start: what is known of them will do, if of each something is. `none`: they match
 * nothing.
 */
type How = 'fresh' | 'known' | 'none';
export type Maker = ReturnType<typeof createMaker>;
