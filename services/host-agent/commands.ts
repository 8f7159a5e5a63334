import { questionsOf } from '../../shared/interfaces.ts';
import { firstOf } from '../../shared/addresses.ts';
import { setTimeout as pause } from 'node:timers/promises';
import type { Args } from '../../shared/contract/commands.ts';
import type { LimitReport } from '../../shared/contract/limits.ts';
import { VsError } from '../../shared/errors.ts';
import { readOwnership } from '../../shared/ownership.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import type { Paths } from '../../shared/paths.ts';
import type { Context } from '../../shared/service.ts';
import type { Turns } from '../../shared/turns.ts';
import { runOn } from './control.ts';
import { loadVserver, saveVserver } from './files.ts';
import type { Locks } from './locks.ts';
import type { Lives } from './lives.ts';
import type { LimitsOfHost } from './limits/limits.ts';
import type { Lxc } from './lxc.ts';
import { claim, release, requireOwner } from './ownership.ts';
import type { Runtime } from './runtime.ts';
import { requireSilent } from './silent.ts';
import type { States } from './state.ts';

interface Parts {
  context: Context;
  paths: Paths;
  lxc: Lxc;
  locks: Locks;
  limits: LimitsOfHost;
  runtime: Runtime;
  states: States;
  inTurn: Turns;
  /** Names that the autostart of this boot has not come to yet. */
  booting: Set<string>;
  lives: Lives;
}

/** Who waits for the answer of one that does not run by then waits in vain: nobody is starting it (ms). */
const STARTS_WITHIN = 3000;
/** So long what is just ending may take to be gone (ms): its monitor clears away after its last process. */
const ENDS_WITHIN = 10_000;
/** A saga asks again after two minutes: what it stops must be down before that (s). */
const SAGA_WAITS = 100;

/** What may be done with a vserver of this host, and in which order: one command at a time for each. */
export function createCommands(parts: Parts) {
  const { context, paths, lxc, locks, limits, runtime, states, inTurn, booting, lives } = parts;
  const { settings, bus, host } = context;

  async function start(name: string, saga?: string, epoch?: number): Promise<VserverState> {
    await locks.require(name, saga);
    const config = await loadVserver(paths, host, name);
    const own = await requireOwner(settings, host, name, epoch);
    if (own.uuid !== config.uuid)
      throw new VsError(
        'refused',
        `${host} owns another ${name} (${own.uuid}) than the one whose files lie here`,
      );
    const now = await states.of(name);
    if (now.state === 'running' || now.state === 'frozen') await lives.wants(name);
    if (now.state === 'running') return now;
    // who starts what is paused wants it to run; a saga that froze it thaws it itself
    if (now.state === 'frozen') return saga ? now : runOn({ context, runtime, states }, config);
    await runtime.requireStopped(name, ENDS_WITHIN);
    // a saga has asked before it took the vserver away from its source, where the answer no longer means anything
    if (!saga) await requireSilent(bus, host, config, `${name} is not started`);
    await states.mark(name, 'starting');
    try {
      states.saw(name, await runtime.start(config, saga));
    } catch (error) {
      await states.of(name);
      throw error;
    }
    bus.event('host-agent', 'started', `${name} runs on ${host}`, {
      vserver: name,
      ...(saga ? { saga } : {}),
    });
    return states.of(name);
  }

  /** `asked`: the time (s) that it gets to stop in order, in place of its own. */
  async function stop(name: string, asked?: number, saga?: string, early?: boolean): Promise<VserverState> {
    const isOver = await lives.stops(name, false);
    return stopNow(name, asked, saga, early).finally(isOver);
  }
  async function stopNow(
    name: string,
    asked?: number,
    saga?: string,
    early?: boolean,
  ): Promise<VserverState> {
    const before = await states.of(name);
    const own = before.boot?.stopTimeout ?? settings.STOP_TIMEOUT;
    let seconds = asked ?? (saga ? Math.min(own, SAGA_WAITS) : own);
    // no signal reaches what is paused; what this host does not own is ended as it stands
    if (before.state === 'frozen' && seconds > 0) {
      if (before.epoch > 0) await runtime.thaw(await loadVserver(paths, host, name));
      else seconds = 0;
    }
    if (before.state !== 'stopped') await states.mark(name, 'stopping');
    const stopped = () => {
      if (before.state !== 'stopped')
        bus.event('host-agent', 'stopped', `${name} is stopped on ${host}`, {
          vserver: name,
          ...(saga ? { saga } : {}),
        });
    };
    let rest: Promise<void> | undefined;
    try {
      ({ rest } = await runtime.stop(name, seconds, early));
    } finally {
      if (!rest) await states.of(name);
    }
    if (!rest) {
      stopped();
      return states.of(name);
    }
    // what comes next in the saga asks for the whole proof (release), or waits for it (start)
    rest
      .then(stopped)
      .catch((error: unknown) => context.log.warn({ vserver: name, error: String(error) }, 'stop'))
      .finally(() => void states.of(name).catch(() => undefined));
    return { ...before, state: 'stopping', ts: Date.now() };
  }

  const seconds = (timeout: number | undefined, force?: boolean) =>
    force ? 0 : timeout === undefined ? undefined : Math.ceil(timeout / 1000);

  return {
    start: (name: string, saga?: string, epoch?: number) => inTurn(name, () => start(name, saga, epoch)),
    stop: (args: Args<'host-agent.stop'>) =>
      inTurn(args.name, async () => {
        await locks.require(args.name, args.saga);
        const own = await readOwnership(settings, args.name);
        if (own && args.epoch !== undefined && args.epoch < own.epoch)
          throw new VsError(
            'conflict',
            `epoch ${args.epoch} of this command is older than ${own.epoch} of ${args.name}`,
          );
        if (!args.saga) booting.delete(args.name); // a person wants it to be down
        return stop(args.name, seconds(args.timeout, args.force), args.saga, args.early);
      }),
    /** `pid`: only when that is its init still, and only one that runs: who mends it is not to undo what a person did. */
    restart: (name: string, timeout?: number, pid?: number) =>
      inTurn(name, async () => {
        await locks.require(name, undefined);
        await requireOwner(settings, host, name);
        const now = pid === undefined ? undefined : await states.of(name);
        if (now && (now.pid !== pid || now.state !== 'running'))
          throw new VsError(
            'refused',
            `${name} is not restarted: it is ${now.state}, and not as it was seen`,
          );
        const isOver = await lives.stops(name, true);
        return stopNow(name, seconds(timeout))
          .then(() => start(name))
          .finally(isOver);
      }),
    /** Starts one that has crashed, unless somebody has stopped it meanwhile. */
    startAgain: (name: string, stillWanted: () => boolean) =>
      inTurn(name, async () => (stillWanted() ? start(name) : undefined)),
    enable: (name: string, enabled: boolean, saga?: string) =>
      inTurn(name, async () => {
        await locks.require(name, saga);
        const config = await loadVserver(paths, host, name);
        if (config.enabled !== enabled) await saveVserver(paths, { ...config, enabled });
        return states.of(name);
      }),
    /** Without changes it only looks, and does not wait for its turn. */
    limit: async ({ name, changes, force }: Args<'host-agent.limit'>): Promise<LimitReport> => {
      const report = async () => limits.report(name, (await states.of(name)).pid);
      if (!changes || Object.keys(changes).length === 0) return report();
      return inTurn(name, async () => {
        await locks.require(name, undefined);
        const { pid } = await states.of(name);
        // a disk on a volume of its own becomes smaller only while nobody uses it
        if (pid === undefined && changes.disk_bytes !== undefined) await runtime.letGo(name);
        const next = await limits.change(name, pid, changes, force === true);
        const told = (error: unknown) =>
          context.log.warn({ err: error, vserver: name }, 'limits at a start by hand');
        if (pid !== undefined) await runtime.renew(next).catch(told); // each start of ours makes it anew
        return report();
      });
    },
    /** Also a name that is not here yet: the target of a create or a move is held before anything of it exists. */
    lock: (name: string, saga: string, ttl: number) =>
      inTurn(name, async () => {
        await locks.take(name, saga, ttl);
        return states.of(name).catch((error: unknown) => {
          if (error instanceof VsError && error.code === 'not-found') return undefined;
          throw error;
        });
      }),
    unlock: (name: string, saga: string) =>
      inTurn(name, async () => {
        await locks.drop(name, saga);
        await states.refresh();
      }),
    prepare: (name: string, saga: string, label?: string) =>
      inTurn(name, async () => {
        await locks.require(name, saga);
        await runtime.requireStopped(name);
        await runtime.rehearse(name, saga, label);
      }),
    configure: (name: string, saga: string) =>
      inTurn(name, async () => {
        await locks.require(name, saga);
        await runtime.requireStopped(name);
        await runtime.prepare(await loadVserver(paths, host, name), saga);
        await states.of(name);
      }),
    detach: (name: string, saga: string) =>
      inTurn(name, async () => {
        await locks.require(name, saga);
        await runtime.detach(name);
      }),
    /** What is stopped already counts as frozen: its host may have lost its power since. */
    freeze: ({ name, saga, epoch }: Args<'host-agent.freeze'>) =>
      inTurn(name, async () => {
        await locks.require(name, saga);
        await requireOwner(settings, host, name, epoch);
        if ((await lxc.alive()).has(name)) await runtime.freeze(name);
        return states.again(name);
      }),
    /** The undo of a freeze; what this host does not own is never thawed. */
    thaw: ({ name, saga, epoch }: Args<'host-agent.thaw'>) =>
      inTurn(name, async () => {
        await locks.require(name, saga);
        await requireOwner(settings, host, name, epoch);
        if ((await lxc.alive()).has(name)) await runtime.thaw(await loadVserver(paths, host, name));
        else await runtime.stop(name, 0); // its monitor was killed: what is left of it cannot go on
        return states.again(name);
      }),
    /** Ends what still lives although it was given up, by force: it was frozen for a move when its owner changed. */
    endGivenUp: (name: string) =>
      inTurn(name, async () => {
        const own = await readOwnership(settings, name);
        const { uuid } = await loadVserver(paths, host, name);
        if (own?.owner !== false || own.uuid !== uuid) return;
        context.log.warn({ vserver: name, releasedTo: own.releasedTo }, 'what was given up is ended');
        await stop(name, 0);
      }),
    release: ({ frozen, ...args }: Args<'host-agent.release'>) =>
      inTurn(args.name, async () => {
        await locks.require(args.name, args.saga);
        const config = await loadVserver(paths, host, args.name);
        if (frozen) runtime.requireFrozen(args.name);
        else await runtime.requireStopped(args.name, ENDS_WITHIN);
        const { epoch } = await release(settings, args);
        // the target may start it only once this one can never run again
        if (frozen) await runtime.doom(args.name);
        // a person has started it in the instant before the record was written
        else if ((await lxc.alive()).has(args.name)) await stop(args.name, 0, args.saga);
        await states.of(args.name);
        return { epoch, enabled: config.enabled };
      }),
    async claim({ name, saga, epoch, start: starts }: Args<'host-agent.claim'>): Promise<VserverState> {
      const owned = inTurn(name, async () => {
        await locks.require(name, saga);
        const { uuid } = await loadVserver(paths, host, name);
        await claim(settings, { name, uuid, saga, epoch });
        return states.of(name);
      });
      // it is next in turn; what goes wrong is told to who asks for the start
      if (starts)
        void owned
          .then(() => inTurn(name, () => start(name, saga, epoch)))
          .catch((error: unknown) => context.log.warn({ vserver: name, error: String(error) }, 'start'));
      return owned;
    },
    /** Another host owns it now: ours ends at once, and is given up. Locks do not matter here. */
    yield: (name: string, to: string, epoch: number) =>
      inTurn(name, async () => {
        const own = await readOwnership(settings, name);
        if (!own?.owner || own.epoch >= epoch) return false;
        await stop(name, 0);
        await release(settings, { name, saga: own.saga ?? 'yield', epoch: own.epoch, to });
        await states.of(name);
        return true;
      }),
    async answering({ name, timeout, settle }: Args<'host-agent.answering'>): Promise<{ ms: number }> {
      const config = await loadVserver(paths, host, name);
      const { mac } = config;
      const address = firstOf(config);
      const [question] = questionsOf({
        ...config,
        more: [],
        ...(config.address ? { address6: undefined } : {}),
      });
      if (settle) {
        const { since = 0 } = await states.of(name);
        await pause(Math.min(settle, Math.max(0, since + settle - Date.now())));
      }
      const began = performance.now();
      for (;;) {
        const running = (await lxc.alive()).has(name);
        if (running) {
          const found = question && (await bus.request(host, 'network.check', question));
          const answers = config.address ? found?.answers : found?.answers6;
          if (answers === mac) return { ms: Math.round(performance.now() - began) };
          if (answers)
            throw new VsError('failed', `${address} is answered by ${answers}, not by ${name} (${mac})`);
        }
        if (performance.now() - began >= (running ? timeout : Math.min(timeout, STARTS_WITHIN)))
          throw new VsError(
            'failed',
            `${name} ${running ? `runs, but ${address} does not answer` : 'does not run'} on ${host} after ${Math.round((performance.now() - began) / 1000)} s`,
          );
        await pause(50);
      }
    },
  };
}
export type Commands = ReturnType<typeof createCommands>;
