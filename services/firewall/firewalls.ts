import { join } from 'node:path';
import type { Args, Data } from '../../shared/contract/commands.ts';
import type { FirewallApplied, FirewallRule, FirewallView } from '../../shared/contract/firewall.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { pathsFor } from '../../shared/paths.ts';
import { RunError } from '../../shared/run.ts';
import type { Context } from '../../shared/service.ts';
import { writeFileDurable, writeFileIfChanged } from '../../shared/store.ts';
import { compile } from './compile.ts';
import { countersOf } from './counters.ts';
import { evaluate } from './evaluate.ts';
import { logMark } from './kernel-log.ts';
import { isOf, listRules, load, logAll, lookInto, tagOf, tryRules, withTag } from './live.ts';
import { type Known, MOST_NAMES, addressesOf, readNames, resolveNames, writeNames } from './names.ts';
import { type Firewall, type Rule, namesOf } from './rule.ts';
import { type Sources, readSources, withEnable } from './sources.ts';

/** More rules are not shown: the answer is one message of the bus. */
const MOST_SHOWN = 2500;
const ruleOf = ({ id, at, text }: Rule): FirewallRule => ({ id, file: at.file, line: at.line, text });
const linesOf = (error: unknown): string[] => {
  if (error instanceof VsError && error.code === 'usage') return error.message.split('\n');
  throw error;
};

/** Does anything of it go to the kernel's log? */
const logs = ({ log, rules }: Firewall): boolean => Boolean(log) || rules.some((rule) => rule.log);

/** A firewall with the addresses of its names, compiled. */
interface Made {
  firewall: Firewall;
  known: Known;
  mark: string;
  rules: string;
}

/** The firewalls of the vservers of this host. `more`: what shall stay open over a reload, as nft statements. */
export function createFirewalls(context: Context, more: (name: string) => string) {
  const { settings, bus, host, log } = context;
  const paths = pathsFor(settings);
  const fileOf = (name: string) => join(paths.vserver(name), 'firewall.conf');
  const guestRules = (name: string) => join(paths.rules(name), 'guest.nft');
  const alerted = new Set<string>();

  const stateOf = async (name: string): Promise<VserverState> =>
    (await bus.request(host, 'host-agent.show', { name })).state;
  /** For a change: this host has to be the owner, and no saga may be carrying the files away. */
  async function changeable(name: string): Promise<VserverState> {
    const state = await stateOf(name);
    if (state.epoch === 0)
      throw new VsError('refused', `${host} has files of ${name}, but does not own it: nothing is changed`);
    if (state.saga)
      throw new VsError(
        'conflict',
        `${name} is locked by saga ${state.saga}; see it with: vs saga show ${state.saga}`,
        {
          retryable: true,
        },
      );
    if (state.state === 'starting' || state.state === 'stopping')
      throw new VsError('conflict', `${name} is just ${state.state}: try again when that is done`, {
        retryable: true,
      });
    return state;
  }

  function alert(name: string, known: Known): void {
    const stale = Object.entries(known).filter(([, one]) => one.stale);
    if (stale.length === 0) {
      if (alerted.delete(name)) bus.alert(name, 'firewall-names', null);
      return;
    }
    const lost = stale.filter(([, one]) => one.four.length + one.six.length === 0).map(([one]) => one);
    const parts = [
      `in the firewall of ${name} these names do not resolve on ${host}: ${stale.map(([one]) => one).join(', ')}`,
      lost.length < stale.length ? '; their last addresses stay in force' : '',
      lost.length > 0 ? `; rules have no address yet for ${lost.join(', ')}, and match nothing by it` : '',
    ];
    alerted.add(name);
    bus.alert(name, 'firewall-names', {
      ts: Date.now(),
      severity: 'warning',
      message: parts.join('').slice(0, 2000),
    });
  }

  /** The addresses of the names: fresh ones, or for a start (`known`) those that are known already, if all are. */
  async function namesFor(name: string, firewall: Firewall, sources: Sources, how: 'fresh' | 'known') {
    const names = firewall.enabled ? namesOf(firewall) : [];
    if (names.length === 0) return {};
    if (names.length > MOST_NAMES)
      throw new VsError(
        'usage',
        `${sources.file}: it has ${names.length} names to resolve; at most ${MOST_NAMES} are possible: use addresses`,
      );
    const before = await readNames(paths.rules(name));
    if (how === 'known' && names.every((one) => before[one]))
      return Object.fromEntries(names.flatMap((one) => (before[one] ? [[one, before[one]]] : [])));
    return resolveNames(names, before);
  }

  async function make(name: string, sources: Sources, how: 'fresh' | 'known'): Promise<Made> {
    const firewall = sources.parse();
    const known = await namesFor(name, firewall, sources, how);
    const mark = sources.mark();
    const rules = compile(firewall, addressesOf(known), logMark(name));
    return { firewall, known, mark, rules: withTag(rules, mark) };
  }
  async function keepNames(name: string, known: Known): Promise<void> {
    if (Object.keys(known).length > 0) await writeNames(paths.rules(name), known);
    alert(name, known);
  }

  /** For the next start first, then for the vserver that runs: a crash in between is mended by the next start of the agent. */
  async function putInForce(name: string, made: Made, pid: number | undefined): Promise<void> {
    await keepNames(name, made.known);
    await writeFileIfChanged(guestRules(name), made.rules);
    if (logs(made.firewall)) await logAll();
    if (pid !== undefined && (made.rules || (await lookInto(pid))))
      await load(pid, made.rules, made.rules ? more(name) : '');
  }
  /** What the parser let pass and nft does not is a fault of vs-tools; it changes nothing either. */
  async function proved(name: string, sources: Sources): Promise<Made> {
    const made = await make(name, sources, 'fresh');
    await tryRules(made.rules).catch((error: unknown) => {
      const said = error instanceof RunError ? error.stderr.slice(0, 300) : String(error);
      throw new VsError(
        'failed',
        `nft refuses the rules made of ${sources.file}, so nothing was changed: ${said}`,
        {
          cause: error,
        },
      );
    });
    return made;
  }
  const told = (name: string, sources: Sources, made: Made, pid: number | undefined): FirewallApplied => ({
    name,
    enabled: made.firewall.enabled,
    running: pid !== undefined,
    loaded: pid !== undefined && made.firewall.enabled,
    hash: sources.hash,
  });

  async function change(name: string, edit: (now: Sources) => string | undefined): Promise<FirewallApplied> {
    const { pid } = await changeable(name);
    const now = await readSources(settings, fileOf(name));
    const text = edit(now);
    const sources = text === undefined ? now : await readSources(settings, fileOf(name), text);
    const made = await proved(name, sources);
    // a rule file has the mode of its like: its people are root's
    if (text !== undefined && text !== now.text) await writeFileDurable(fileOf(name), text, 0o644);
    await putInForce(name, made, pid);
    return told(name, sources, made, pid);
  }

  const readOwn = (name: string) => readSources(settings, fileOf(name));

  return {
    async render(args: Args<'firewall.render'>): Promise<string> {
      const { name, staged } = args;
      const tree = staged ? paths.staged(name, staged.saga, staged.label) : paths.vserver(name);
      const made = await make(name, await readSources(settings, join(tree, 'firewall.conf')), 'known');
      await keepNames(name, made.known);
      if (logs(made.firewall)) await logAll();
      return made.rules;
    },

    async show({ name, text }: Args<'firewall.show'>): Promise<FirewallView> {
      const { pid } = await stateOf(name);
      const sources = await readOwn(name);
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
        return { ...view, changed: found !== false, faults: linesOf(error) };
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
      await stateOf(name);
      const sources = await readSources(settings, fileOf(name), text);
      try {
        const made = await make(name, sources, 'known');
        await tryRules(made.rules);
        return { file: sources.file, faults: [] };
      } catch (error) {
        if (error instanceof RunError)
          return { file: sources.file, faults: [`${sources.file}: ${error.message}`] };
        return { file: sources.file, faults: linesOf(error) };
      }
    },

    save: ({ name, text, hash }: Args<'firewall.save'>) =>
      change(name, (now) => {
        if (now.hash === hash) return text;
        throw new VsError(
          'conflict',
          `${now.file} has changed meanwhile, so it is left as it is: read it again`,
          {
            details: { hash: now.hash },
          },
        );
      }),
    up: (name: string) => change(name, (now) => withEnable(now.text, true)),
    down: (name: string) => change(name, (now) => withEnable(now.text, false)),
    reload: (name: string) => change(name, () => undefined),

    async test({ name, packet }: Args<'firewall.test'>): Promise<Data<'firewall.test'>> {
      await stateOf(name);
      const firewall = (await readOwn(name)).parse();
      if (!firewall.enabled)
        return { verdict: 'accept', why: `the firewall of ${name} is not enabled`, enabled: false };
      const known = await readNames(paths.rules(name));
      const { verdict, rule, why } = evaluate(firewall, addressesOf(known), packet);
      return { verdict, ...(rule ? { rule: ruleOf(rule) } : {}), why, enabled: true };
    },

    async logs(name: string): Promise<boolean> {
      await stateOf(name);
      return logs((await readOwn(name)).parse());
    },

    /** Names anew; rules are loaded anew when an address has changed and nobody is at work on the files. */
    async refresh(name: string, pid: number): Promise<void> {
      const sources = await readOwn(name);
      const firewall = sources.parse();
      if (!firewall.enabled || namesOf(firewall).length === 0) return alert(name, {});
      const found = await lookInto(pid);
      const made = await make(name, sources, 'fresh');
      if (!found || !isOf(found.tag, made.mark)) return;
      if (tagOf(made.rules)?.rules === found.tag?.rules) return keepNames(name, made.known);
      await putInForce(name, made, pid);
      log.info({ vserver: name }, 'an address of a name has changed: its rules are loaded anew');
    },

    /** After a start of the agent: what is in force is what the files say; a fault leaves what is there. */
    async heal(name: string, pid: number): Promise<void> {
      const made = await make(name, await readOwn(name), 'known');
      const found = await lookInto(pid);
      const now = found === false ? undefined : found.tag;
      const wanted = tagOf(made.rules);
      if (wanted ? now?.rules === wanted.rules : found === false) return alert(name, made.known);
      await putInForce(name, made, pid);
      log.info({ vserver: name }, 'its rules were not those of its files: they are loaded anew');
    },

    /** Alerts about vservers that run here no more. */
    forget(running: Set<string>): void {
      for (const name of alerted) if (!running.has(name)) alert(name, {});
    },
  };
}
export type Firewalls = ReturnType<typeof createFirewalls>;
