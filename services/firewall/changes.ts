import { join } from 'node:path';
import type { Args } from '../../shared/contract/commands.ts';
import type { FirewallApplied } from '../../shared/contract/firewall.ts';
import { VsError } from '../../shared/errors.ts';
import { pathsFor } from '../../shared/paths.ts';
import type { Context } from '../../shared/service.ts';
import { writeFileDurable, writeFileIfChanged } from '../../shared/store.ts';
import type { Alerts } from './alerts.ts';
import type { Book } from './book.ts';
import { isOf, load, logAll, lookInto, tagOf } from './live.ts';
import { type Made, type Maker, logs } from './make.ts';
import { type Known, keepInTree, keepOwn } from './names.ts';
import type { Rest } from './rest.ts';
import { namesOf } from './rule.ts';
import { type Sources, withEnable } from './sources.ts';

/**
 * Changes of the firewalls of this host's vservers: each is checked, written for the next start, and only then loaded.
 * `open`: what shall stay open over a reload, as nft statements.
 */
export function createChanges(
  context: Context,
  maker: Maker,
  alerts: Alerts,
  { open, rest, book }: { open: (name: string) => string; rest: Rest; book: Book },
) {
  const { settings, bus, host, log } = context;
  const paths = pathsFor(settings);

  /** This host has to be the owner, and no saga may be carrying the files away. Answers with its init, when it runs. */
  async function changeable(name: string): Promise<number | undefined> {
    const { state } = await bus.request(host, 'host-agent.show', { name });
    const wait = (why: string) => new VsError('conflict', `${name} ${why}`, { retryable: true });
    if (state.epoch === 0)
      throw new VsError('refused', `${host} has files of ${name}, but does not own it: nothing is changed`);
    if (state.saga) throw wait(`is locked by saga ${state.saga}; see it with: vs saga show ${state.saga}`);
    if (state.state === 'starting' || state.state === 'stopping')
      throw wait(`is just ${state.state}: try again when that is done`);
    return state.pid;
  }

  async function keepNames(name: string, known: Known): Promise<void> {
    if (Object.keys(known).length > 0) {
      const places = maker.placesOf(name);
      await keepOwn(places, known);
      await keepInTree(places, known, async () => (await rest(name)) === 'rests');
    }
    alerts.names(name, known);
  }
  /** For the next start first, then for the vserver that runs: a crash in between is mended by the next start of the agent. */
  async function putInForce(name: string, made: Made, pid: number | undefined): Promise<void> {
    await keepNames(name, made.known);
    book.names(name, made.firewall.rules);
    await writeFileIfChanged(join(paths.rules(name), 'guest.nft'), made.rules);
    if (logs(made.firewall)) await logAll();
    if (pid !== undefined && (made.rules || (await lookInto(pid))))
      await book.before(name, pid, () => load(pid, made.rules, made.rules ? open(name) : ''));
  }
  async function change(name: string, edit: (now: Sources) => string | undefined): Promise<FirewallApplied> {
    const pid = await changeable(name);
    const now = await maker.sources(name);
    const text = edit(now);
    const sources = text === undefined ? now : await maker.sources(name, { candidate: text });
    const made = await maker.make(name, sources, 'fresh');
    await maker.prove(name, sources, made);
    if (sources.text !== now.text) await writeFileDurable(sources.file, sources.text, 0o644);
    await putInForce(name, made, pid);
    alerts.fault(name);
    const { enabled } = made.firewall;
    const running = pid !== undefined;
    return { name, enabled, running, loaded: running && enabled, hash: sources.hash };
  }

  return {
    save: ({ name, text, hash }: Args<'firewall.save'>) =>
      change(name, (now) => {
        if (now.hash === hash) return text;
        const message = `${now.file} has changed meanwhile, so it is left as it is: read it again`;
        throw new VsError('conflict', message, { details: { hash: now.hash } });
      }),
    up: (name: string) => change(name, (now) => withEnable(now.text, true)),
    down: (name: string) => change(name, (now) => withEnable(now.text, false)),
    reload: (name: string) => change(name, () => undefined),

    /** The rules for a start, from the files in place or from a staged copy. */
    async render({ name, staged }: Args<'firewall.render'>): Promise<string> {
      const tree = staged ? paths.staged(name, staged.saga, staged.label) : paths.vserver(name);
      const sources = await maker.sources(name, { tree });
      const made = await maker.make(name, sources, 'known');
      await maker.prove(name, sources, made);
      book.names(name, made.firewall.rules);
      // a full disk keeps nobody from starting by what is known already
      await keepNames(name, made.known).catch((error: unknown) =>
        log.warn({ vserver: name, error: String(error) }, 'the addresses of its names could not be kept'),
      );
      if (logs(made.firewall)) await logAll();
      return made.rules;
    },

    /** Names anew; rules are loaded anew when an address has changed and nobody is at work on the files. */
    async refresh(name: string, pid: number): Promise<void> {
      const sources = await maker.sources(name);
      const firewall = sources.parse();
      if (!firewall.enabled || namesOf(firewall).length === 0) return alerts.names(name, {});
      const made = await maker.make(name, sources, 'fresh');
      const found = await lookInto(pid);
      if (!found || !isOf(found.tag, made.mark)) return;
      if (tagOf(made.rules)?.rules === found.tag?.rules) return keepNames(name, made.known);
      await putInForce(name, made, pid);
      log.info({ vserver: name }, 'an address of a name has changed: its rules are loaded anew');
    },

    /** After a start of the agent: what is in force becomes what the files say; a fault leaves what is there. */
    async heal(name: string, pid: number): Promise<void> {
      const made = await maker.make(name, await maker.sources(name), 'known');
      book.names(name, made.firewall.rules);
      const found = await lookInto(pid);
      const wanted = tagOf(made.rules);
      if (wanted ? found && found.tag?.rules === wanted.rules : !found) return alerts.names(name, made.known);
      await putInForce(name, made, pid);
      log.info({ vserver: name }, 'its rules were not those of its files: they are loaded anew');
    },
  };
}
