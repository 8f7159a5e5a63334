import { join } from 'node:path';
import { VsError } from '../../shared/errors.ts';
import { pathsFor } from '../../shared/paths.ts';
import type { Context } from '../../shared/service.ts';
import { compile } from './compile.ts';
import { logMark } from './kernel-log.ts';
import { withTag } from './live.ts';
import { type Known, MOST_NAMES, addressesOf, readNames, resolveNames } from './names.ts';
import { type Firewall, namesOf } from './rule.ts';
import { type Sources, readSources } from './sources.ts';

/** A firewall with the addresses of its names, compiled. */
export interface Made {
  firewall: Firewall;
  known: Known;
  /** Of everything that was read for it. */
  mark: string;
  rules: string;
}

/** Does anything of it go to the kernel's log? */
export const logs = ({ log, rules }: Firewall): boolean => Boolean(log) || rules.some((rule) => rule.log);

/** Reads and compiles the firewalls of vservers; changes nothing. */
export function createMaker({ settings }: Pick<Context, 'settings'>) {
  const paths = pathsFor(settings);

  /** `fresh`: the names are resolved. `known`, for a start: what is known of them will do, if of each something is. */
  async function namesFor(name: string, firewall: Firewall, sources: Sources, how: 'fresh' | 'known') {
    const names = firewall.enabled ? namesOf(firewall) : [];
    if (names.length === 0) return {};
    if (names.length > MOST_NAMES)
      throw new VsError(
        'usage',
        `${sources.file}:1:1: found ${names.length} names to resolve, expected at most ${MOST_NAMES}: use addresses`,
      );
    const before = await readNames(paths.rules(name));
    if (how === 'known' && names.every((one) => before[one]))
      return Object.fromEntries(names.flatMap((one) => (before[one] ? [[one, before[one]]] : [])));
    return resolveNames(names, before);
  }

  return {
    /** The firewall.conf of a vserver, or of a staged copy of it, or a text that might become it. */
    sources(name: string, given: { tree?: string; candidate?: string | undefined } = {}): Promise<Sources> {
      const tree = given.tree ?? paths.vserver(name);
      return readSources(settings, join(tree, 'firewall.conf'), given.candidate);
    },
    async make(name: string, sources: Sources, how: 'fresh' | 'known'): Promise<Made> {
      const firewall = sources.parse();
      const known = await namesFor(name, firewall, sources, how);
      const mark = sources.mark();
      return {
        firewall,
        known,
        mark,
        rules: withTag(compile(firewall, addressesOf(known), logMark(name)), mark),
      };
    },
  };
}
export type Maker = ReturnType<typeof createMaker>;
