import type { Args, Data } from '../../shared/contract/commands.ts';
import type { FirewallRule, FirewallView } from '../../shared/contract/firewall.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context } from '../../shared/service.ts';
import type { Book } from './book.ts';
import { keysOf } from './counts.ts';
import { evaluate, isLoopback } from './evaluate.ts';
import { isOf, lookInto } from './live.ts';
import { type Maker, logs } from './make.ts';
import { addressesOf } from './names.ts';
import { type Firewall, type Rule, namesOf } from './rule.ts';
import { send } from './send.ts';

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
export function createLooks({ bus, host }: Context, maker: Maker, book: Book) {
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
      const known = await maker.known(name);
      view.names = namesOf(firewall).map((one) => {
        const { four = [], six = [], stale = false } = known[one] ?? {};
        return { name: one, addresses: [...four, ...six], stale };
      });
      if (text) return view;
      const counts = found && pid !== undefined ? await book.look(name, pid) : undefined;
      const keys = keysOf(firewall.rules);
      view.rules = firewall.rules
        .slice(0, MOST_SHOWN)
        .map((rule) => ({ ...ruleOf(rule), ...counts?.rules[keys.get(rule.id) ?? ''] }));
      view.more = firewall.rules.length - view.rules.length;
      if (counts) view.denied = counts.unmatched;
      return view;
    },

    async check({ name, text, newcomer }: Args<'firewall.check'>): Promise<Data<'firewall.check'>> {
      if (!newcomer) await initOf(name);
      const sources =
        newcomer && text === undefined
          ? await maker.forNew()
          : await maker.sources(name, { candidate: text });
      const { file } = sources;
      try {
        // also one that is not enabled: it may be, by a word
        const made = await maker.make(name, sources, newcomer ? 'none' : 'known', !newcomer);
        await maker.prove(name, sources, made);
        return { file, faults: [] };
      } catch (error) {
        return { file, faults: faultsOf(error) };
      }
    },

    async test({ name, packet, send: sends }: Args<'firewall.test'>): Promise<Data<'firewall.test'>> {
      await initOf(name);
      const firewall = (await maker.sources(name)).parse();
      const resolved = addressesOf(await maker.known(name));
      const evaluated = evaluate(firewall, resolved, packet);
      if (sends && (packet.state ?? 'new') !== 'new')
        throw new VsError('usage', 'a packet that is really sent is a new one of a connection');
      const sent = sends === true && firewall.enabled && !isLoopback(packet);
      const { verdict, rule, why } = sent ? await send(firewall, resolved, packet) : evaluated;
      return {
        verdict,
        ...(rule ? { rule: ruleOf(rule) } : {}),
        why,
        enabled: firewall.enabled,
        ...(sends ? { sent } : {}),
        ...(sent && evaluated.verdict !== verdict ? { evaluated: evaluated.verdict } : {}),
      };
    },

    /** Those of them with rules in force. */
    async loaded(running: { name: string; pid: number }[]): Promise<string[]> {
      const found: string[] = [];
      for (const { name, pid } of running) if (await lookInto(pid).catch(() => false)) found.push(name); // it may just have ended
      return found;
    },

    /** Is anything of it to be logged? */
    async logs(name: string): Promise<boolean> {
      await initOf(name);
      return logs((await maker.sources(name)).parse());
    },
  };
}
