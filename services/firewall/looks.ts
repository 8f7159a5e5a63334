import type { Args, Data } from '../../shared/contract/commands.ts';
import type { FirewallRule, FirewallView } from '../../shared/contract/firewall.ts';
import { VsError } from '../../shared/errors.ts';
import { pathsFor } from '../../shared/paths.ts';
import { RunError } from '../../shared/run.ts';
import type { Context } from '../../shared/service.ts';
import { countersOf } from './counters.ts';
import { evaluate } from './evaluate.ts';
import { isOf, listRules, lookInto, tryRules } from './live.ts';
import { type Maker, logs } from './make.ts';
import { addressesOf, readNames } from './names.ts';
import { type Firewall, type Rule, namesOf } from './rule.ts';

/** More rules are not shown: the answer is one message of the bus. */
const MOST_SHOWN = 2500;
const ruleOf = ({ id, at, text }: Rule): FirewallRule => ({
  id,
  file: at.file,
  line: at.line,
  text: text.slice(0, 200),
});
const faultsOf = (error: unknown): string[] => {
  if (error instanceof VsError && error.code === 'usage') return error.message.split('\n');
  throw error;
};

/** Questions about the firewalls of this host's vservers; none of them changes anything. */
export function createLooks({ settings, bus, host }: Context, maker: Maker) {
  const paths = pathsFor(settings);
  /** Its init, when it runs. Throws VsError 'not-found' when this host has no such vserver. */
  const initOf = async (name: string): Promise<number | undefined> =>
    (await bus.request(host, 'host-agent.show', { name })).state.pid;

  return {
    initOf,
    async show({ name, text }: Args<'firewall.show'>): Promise<FirewallView> {
      const pid = await initOf(name);
      const sources = await maker.sources(name);
      const found = pid === undefined ? false : await lookInto(pid);
      const view: FirewallView = {
        name,
        enabled: false,
        running: pid !== undefined,
        loaded: found !== false,
        changed: false,
        hash: sources.hash,
        rules: [],
        more: 0,
        names: [],
        faults: [],
        ...(text ? { text: sources.text } : {}),
      };
      let firewall: Firewall;
      try {
        firewall = sources.parse();
      } catch (error) {
        return { ...view, changed: found !== false, faults: faultsOf(error) };
      }
      view.enabled = firewall.enabled;
      const same = found !== false && isOf(found.tag, sources.mark());
      view.changed = pid !== undefined && (firewall.enabled ? !same : found !== false);
      const known = await readNames(paths.rules(name));
      view.names = namesOf(firewall).map((one) => {
        const { four = [], six = [], stale = false } = known[one] ?? {};
        return { name: one, addresses: [...four, ...six], stale };
      });
      if (text) return view;
      const counters = found && pid !== undefined ? countersOf(await listRules(pid)) : undefined;
      view.rules = firewall.rules
        .slice(0, MOST_SHOWN)
        .map((rule) => ({ ...ruleOf(rule), ...(same ? counters?.rules.get(rule.id) : {}) }));
      view.more = firewall.rules.length - view.rules.length;
      if (counters) view.denied = counters.unmatched;
      return view;
    },

    async check({ name, text }: Args<'firewall.check'>): Promise<Data<'firewall.check'>> {
      await initOf(name);
      const sources = await maker.sources(name, { candidate: text });
      const { file } = sources;
      try {
        await tryRules((await maker.make(name, sources, 'known')).rules);
        return { file, faults: [] };
      } catch (error) {
        return { file, faults: error instanceof RunError ? [`${file}: ${error.message}`] : faultsOf(error) };
      }
    },

    async test({ name, packet }: Args<'firewall.test'>): Promise<Data<'firewall.test'>> {
      await initOf(name);
      const firewall = (await maker.sources(name)).parse();
      const { verdict, rule, why } = evaluate(
        firewall,
        addressesOf(await readNames(paths.rules(name))),
        packet,
      );
      return { verdict, ...(rule ? { rule: ruleOf(rule) } : {}), why, enabled: firewall.enabled };
    },

    /** Is anything of it to be logged? */
    async logs(name: string): Promise<boolean> {
      await initOf(name);
      return logs((await maker.sources(name)).parse());
    },
  };
}
