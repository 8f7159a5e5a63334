import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ownershipsOf, readOwnership } from '../../shared/ownership.ts';
import { pathsFor } from '../../shared/paths.ts';
import type { Context, Service } from '../../shared/service.ts';
import { clearTemporaries } from '../../shared/store.ts';
import { createTurns } from '../../shared/turns.ts';
import { createAddresses } from './addresses.ts';
import { autostart, waitingAtBoot } from './boot.ts';
import { ownCertificate } from './certificate.ts';
import { createCommands } from './commands.ts';
import { showConsole } from './console.ts';
import { createControl } from './control.ts';
import { createEvery } from './every.ts';
import { exec } from './exec.ts';
import { loadVserver, saveVserver, vserverNames } from './files.ts';
import { publishInfo } from './host-info.ts';
import { adapt, install } from './install.ts';
import { openLocks } from './locks.ts';
import { createLives } from './lives.ts';
import { createLimits } from './limits/limits.ts';
import { postInstall } from './post-install.ts';
import { lxcDriver } from './lxc.ts';
import { requireRunning } from './require-running.ts';
import { createQuiesce, thawLeft } from './quiesce.ts';
import { createRuntime } from './runtime.ts';
import { clearStale } from './stale.ts';
import { openSessions } from './session/open.ts';
import { createStates } from './state.ts';
import { createTrials } from './trial.ts';
import { createUpdate } from './update/update.ts';
import { watchOwners } from './yield.ts';

/** The host agent: the only one that starts, stops and owns vservers on this host. */
export function service(context: Context): Service {
  const { settings, host, log } = context;
  const paths = pathsFor(settings);
  const lxc = lxcDriver(settings.VSERVER_DIR);
  const locks = openLocks(settings.STATE_DIR);
  const limits = createLimits(context, {
    load: (name) => loadVserver(paths, host, name),
    save: (config) => saveVserver(paths, config),
  });
  const runtime = createRuntime(context, paths, lxc, limits);
  /** Names that the autostart of this boot has not come to yet. */
  const booting = new Set<string>();
  const lives = createLives(context, paths, {
    start: (name, stillWanted) => commands.startAgain(name, stillWanted),
    boots: (name) => booting.has(name),
  });
  const told = (what: Promise<unknown>) =>
    void what.catch((error: unknown) => log.warn({ error: String(error) }, 'lives'));
  const states = createStates(context, paths, lxc, locks, {
    boots: (name) => booting.has(name),
    found: (name, pid) =>
      void limits
        .reconcile(name, pid)
        .catch((error: unknown) => log.warn({ err: error, vserver: name }, 'limits')),
    restart: (config, pid) => runtime.announce(config, pid),
    givenUp: (name) =>
      void commands
        .endGivenUp(name)
        .catch((error: unknown) => log.error({ err: error, vserver: name }, 'what was given up lives on')),
    seen: lives.seen,
    gone: (name) => told(lives.forget(name)),
  });
  const inTurn = createTurns(); // commands that change one vserver run one after the other
  const parts = { context, paths, locks, runtime, states, inTurn };
  const commands = createCommands({ ...parts, lxc, limits, booting, lives });
  const control = createControl({ ...parts, limits });
  const quiesce = createQuiesce({ context, paths, lxc, locks, states, inTurn });
  const addresses = createAddresses({ context, paths, runtime, states, inTurn, mine: control.mine });
  const every = createEvery({ context, states, commands, control });
  const trials = createTrials({ context, paths, locks, limits });
  const sessions = openSessions({
    context,
    paths,
    lxc,
    look: async (name) => {
      await loadVserver(paths, host, name);
      return states.of(name);
    },
  });
  const update = createUpdate(context);
  const certificates = ownCertificate(context, () => info?.now());
  const ended = new AbortController();
  let info: ReturnType<typeof publishInfo> | undefined;
  const nothing = async (work: Promise<unknown>) => {
    await work;
    return {};
  };

  return {
    name: 'host-agent',
    handlers: {
      'host-agent.list': async () => {
        const names = await vserverNames(settings.VSERVER_DIR);
        // one whose vserver.json is damaged has an alert, and does not hide the others
        const all = await Promise.all(names.map((name) => states.of(name).catch(() => undefined)));
        return { vservers: all.filter((one) => one !== undefined) };
      },
      'host-agent.tell': async () => nothing(info?.tell() ?? Promise.resolve()),
      'host-agent.running': async () => states.running(),
      'host-agent.show': async ({ name }) => ({
        state: await states.of(name),
        config: await loadVserver(paths, host, name),
        ownership: await readOwnership(settings, name),
      }),
      'host-agent.start': ({ name, saga, epoch }) => commands.start(name, saga, epoch),
      'host-agent.stop': (args) => commands.stop(args),
      'host-agent.freeze': (args) => commands.freeze(args),
      'host-agent.thaw': (args) => commands.thaw(args),
      'host-agent.restart': ({ name, timeout, pid }) => commands.restart(name, timeout, pid),
      'host-agent.enable': ({ name, saga }) => commands.enable(name, true, saga),
      'host-agent.disable': ({ name, saga }) => commands.enable(name, false, saga),
      'host-agent.limit': (args) => commands.limit(args),
      'host-agent.pause': ({ name }) => control.pause(name),
      'host-agent.resume': ({ name }) => control.resume(name),
      'host-agent.press': (args) => nothing(control.press(args)),
      'host-agent.boot': (args) => control.boot(args),
      'host-agent.snapshot-plan': (args) => nothing(control.snapshotPlan(args)),
      'host-agent.quiesce': quiesce,
      'host-agent.address': addresses,
      'host-agent.every': every,
      'host-agent.logs': async ({ name, ...args }, call) => {
        await loadVserver(paths, host, name);
        return showConsole(paths.console(name), args, call, () => loadVserver(paths, host, name));
      },
      'host-agent.try': (args, call) => trials.try(args, call),
      'host-agent.end-try': (args) => trials.end(args),
      'host-agent.exec': async (args, call) => {
        if (await trials.has(args.name)) return trials.exec(args, call);
        const { state } = await states.of(args.name);
        requireRunning(args.name, host, state);
        return exec(lxc, args, call);
      },
      'host-agent.session': (args, call) => sessions.open(args, call),
      'host-agent.lock': async ({ name, saga, ttl }) => {
        const now = await commands.lock(name, saga, ttl);
        return {
          epoch: now?.epoch ?? 0,
          enabled: now?.enabled ?? false,
          state: now?.state ?? 'stopped',
          ...(now ? { uuid: now.uuid } : {}),
        };
      },
      'host-agent.note': ({ name, upgrades, security }) => nothing(states.note(name, { upgrades, security })),
      'host-agent.unlock': ({ name, saga }) => nothing(commands.unlock(name, saga)),
      'host-agent.install': (args, call) => install(context, paths, args, call),
      'host-agent.post-install': (args, call) => postInstall({ context, paths, lxc, locks }, args, call),
      'host-agent.adapt': (args) => adapt(context, paths, args),
      'host-agent.ownership': async (args) => ({ records: await ownershipsOf(settings, args) }),
      'host-agent.prepare': ({ name, saga, label }) => nothing(commands.prepare(name, saga, label)),
      'host-agent.configure': ({ name, saga }) => nothing(commands.configure(name, saga)),
      'host-agent.detach': ({ name, saga }) => nothing(commands.detach(name, saga)),
      'host-agent.release': (args) => commands.release(args),
      'host-agent.claim': (args) => commands.claim(args),
      'host-agent.renew': () => certificates.request(),
      'host-agent.certificate': ({ certificate }) => certificates.install(certificate),
      ...update.handlers,
      'host-agent.answering': (args) => commands.answering(args),
    },
    async start() {
      await mkdir(settings.VSERVER_DIR, { recursive: true, mode: 0o700 });
      const names = await vserverNames(settings.VSERVER_DIR);
      for (const directory of [
        dirname(paths.ownership('x')),
        join(settings.STATE_DIR, 'locks'),
        join(settings.STATE_DIR, 'quiesced'),
        ...names.map(paths.vserver),
      ])
        await clearTemporaries(directory); // a power cut in the middle of a write leaves one
      await thawLeft(context);
      void trials.clear(); // not awaited: what it asks of others may not be there yet
      for (const name of await waitingAtBoot(context)) booting.add(name);
      await states.refresh();
      states.start();
      // nothing here is awaited: the other services of this process may still be about to start, and a broker that
      // does not answer must not keep vservers from their start
      const owners = watchOwners(context, commands, states);
      void autostart(context, paths, locks, commands, booting, owners.compared, ended.signal).catch(
        (error: unknown) => log.error({ err: error }, 'autostart'),
      );
      for (const watch of [owners.subscribed, clearStale(context, paths)])
        watch.catch((error: unknown) => log.error({ err: error }, 'watching the pool'));
      update.start();
      info = publishInfo(context, lxc, limits);
      context.bus.onConnect(() => info?.now()); // it may have come with another certificate
    },
    async stop() {
      ended.abort();
      sessions.endAll();
      update.stop();
      info?.stop();
      states.stop();
    },
  };
}
