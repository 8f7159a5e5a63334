import { VsError } from '../../shared/errors.ts';
import { readOwnership } from '../../shared/ownership.ts';
import type { Context, Service } from '../../shared/service.ts';
import { waitAnswering } from './answering.ts';
import { autostart, yieldToHigherEpoch } from './boot.ts';
import { stream } from './exec.ts';
import { hostInfo } from './info.ts';
import { install } from './install.ts';
import { lifecycle } from './lifecycle.ts';
import { openLocks } from './locks.ts';
import { lxcDriver } from './lxc.ts';
import { claim, release, requireOwner } from './ownership.ts';
import { stateWatch } from './state.ts';

/** The host-agent: the vservers of this host, their runtime, their ownership and their real state. */
export function service(context: Context): Service {
  const { settings, host } = context;
  const lxc = lxcDriver(settings.VSERVER_DIR);
  const locks = openLocks(settings.STATE_DIR);
  const life = lifecycle(context, lxc);
  const watch = stateWatch(context, { lxc, life, locks });
  const info = hostInfo(context, lxc);
  const stopTimeout = settings.STOP_TIMEOUT * 1000;

  async function setEnabled(name: string, enabled: boolean) {
    await locks.require(name, undefined);
    await life.setEnabled(name, enabled);
    return watch.of(name);
  }
  async function stop(args: {
    name: string;
    timeout?: number;
    force?: boolean;
    saga?: string;
    epoch?: number;
  }) {
    await life.load(args.name);
    await locks.require(args.name, args.saga);
    if (args.epoch !== undefined) await requireOwner(settings, host, args.name, args.epoch);
    await life.stop(args.name, args.force ? 0 : (args.timeout ?? stopTimeout));
    return watch.of(args.name);
  }
  async function start(args: { name: string; saga?: string; epoch?: number }) {
    await life.load(args.name);
    await locks.require(args.name, args.saga);
    await life.start(args.name, args.epoch);
    context.bus.alert(args.name, 'autostart', null);
    return watch.of(args.name);
  }

  return {
    name: 'host-agent',
    handlers: {
      'host-agent.list': async () => ({ vservers: await watch.refresh() }),
      'host-agent.show': async ({ name }) => ({
        config: await life.load(name),
        state: await watch.of(name),
        ownership: await readOwnership(settings, name),
      }),
      'host-agent.start': start,
      'host-agent.stop': stop,
      'host-agent.restart': async (args) => {
        await stop(args);
        return start({ name: args.name });
      },
      'host-agent.enable': ({ name }) => setEnabled(name, true),
      'host-agent.disable': ({ name }) => setEnabled(name, false),
      'host-agent.exec': async (args, call) => {
        if ((await watch.of(args.name)).state !== 'running')
          throw new VsError('refused', `${args.name} does not run; start it with: vs start ${args.name}`);
        return stream(lxc.attach(args.name, args.command), args, call);
      },
      'host-agent.lock': async (args) => {
        const record = await readOwnership(settings, args.name);
        await locks.take(args.name, args.saga, args.ttl);
        const state = await watch.of(args.name).catch(() => undefined);
        return {
          epoch: record?.epoch ?? 0,
          enabled: state?.enabled ?? false,
          state: state?.state ?? 'stopped',
        };
      },
      'host-agent.unlock': async (args) => {
        await locks.drop(args.name, args.saga);
        return {};
      },
      'host-agent.install': (args, call) => install(settings, args, call),
      'host-agent.configure': async (args) => {
        await life.configure(args.name);
        return {};
      },
      'host-agent.detach': async (args) => {
        await life.detach(args.name);
        return {};
      },
      'host-agent.release': async (args) => {
        const { enabled } = await life.load(args.name);
        if ((await lxc.alive()).has(args.name))
          throw new VsError('conflict', `${args.name} still runs on ${host}, so it is not given up`);
        const record = await release(settings, args);
        await watch.refresh();
        return { epoch: record.epoch, enabled };
      },
      'host-agent.claim': async (args) => {
        const { uuid } = await life.load(args.name);
        await claim(settings, { ...args, uuid });
        return watch.of(args.name);
      },
      'host-agent.answering': (args) => waitAnswering(context, { lxc, life }, args.name, args.timeout),
    },
    async start() {
      info.start();
      await autostart(context, { life, locks, watch });
      watch.start();
      await yieldToHigherEpoch(context, { life, locks, watch });
    },
    async stop() {
      info.stop();
      watch.stop();
    },
  };
}
