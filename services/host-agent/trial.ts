import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Args, Data } from '../../shared/contract/commands.ts';
import { type VserverConfig, vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { interfacesOf } from '../../shared/interfaces.ts';
import { isMounted } from '../../shared/mount.ts';
import type { Paths } from '../../shared/paths.ts';
import { removeTrees } from '../../shared/remove.ts';
import { run } from '../../shared/run.ts';
import type { Call, Context } from '../../shared/service.ts';
import { readJson } from '../../shared/store.ts';
import { createTurns } from '../../shared/turns.ts';
import { exec } from './exec.ts';
import { readGuestFile } from './guest-files.ts';
import type { LimitsOfHost } from './limits/limits.ts';
import type { Locks } from './locks.ts';
import { type Lxc, lxcDriver } from './lxc.ts';
import { IMAGE_STOP, type Init, initOf, lxcConfig } from './lxc-config.ts';
import { livingOf, stillThere } from './proof.ts';
import { type Check, checksOf } from './trial-checks.ts';
import { trialHook, trialRules } from './trial-hook.ts';

const hooks = fileURLToPath(new URL('./hooks/', import.meta.url));
const ENDS_MS = 15_000;

interface Parts {
  context: Pick<Context, 'settings' | 'host' | 'bus' | 'log'>;
  paths: Paths;
  locks: Locks;
  limits: Pick<LimitsOfHost, 'ofHost'>;
}

/**
 * Tries of what sagas have staged (the test of a backup). They lie in RUN_DIR/.trials, which goes with the boot, beside the vservers and
 * not among them: nobody owns one, the pool does not see it, nothing starts it again. Their ends of the wire are plugged into nothing.
 */
export function createTrials({ context, paths, locks, limits }: Parts) {
  const { settings, host, bus, log } = context;
  const directory = join(settings.RUN_DIR, '.trials');
  const at = (name: string) => join(directory, name);
  const lxc: Lxc = lxcDriver(directory);
  const inTurn = createTurns();

  /** What the runtime needs, without any bridge: gateways and routes are those of nobody. */
  const attachment = (name: string, config: VserverConfig) => ({
    interfaces: interfacesOf({ ...config, name }).map((port) => ({
      ...port,
      bridge: '',
      mtu: settings.MTU,
    })),
    hook: join(at(name), 'start-host'),
  });

  async function prepare(name: string, saga: string, config: VserverConfig, init: Init): Promise<void> {
    const rootfs = join(paths.stagingTree(name, saga), 'rootfs');
    const own = at(name);
    const mount = join(own, 'rootfs');
    await mkdir(settings.RUN_DIR, { recursive: true, mode: 0o700 });
    await mkdir(own, { recursive: true, mode: 0o700 });
    await run(['setfacl', '-m', `u:${config.idmap}:--x`, settings.RUN_DIR, directory]);
    await run([join(hooks, 'mount-root'), rootfs, mount, String(config.idmap)]);
    const { rules } = await bus.request(host, 'firewall.render', { name, staged: { saga } });
    const net = attachment(name, config);
    await writeFile(join(own, 'guest.nft'), rules, { mode: 0o600 });
    await writeFile(join(own, 'host.nft'), trialRules(net.interfaces), { mode: 0o600 });
    await writeFile(net.hook, trialHook(own, net.interfaces), { mode: 0o700 });
    const stop = init === 'image' ? (await readGuestFile(rootfs, IMAGE_STOP))?.trim() : undefined;
    const text = lxcConfig(
      config,
      net,
      {
        rootfs,
        mount,
        ownership: paths.ownership(name),
        console: join(own, 'console'),
        portUp: join(hooks, 'port-up'),
        seccomp: fileURLToPath(new URL('./no-subvolumes.seccomp', import.meta.url)),
      },
      { ...(await limits.ofHost()), init, stop },
    );
    await writeFile(join(own, 'config'), text, { mode: 0o600 });
  }

  /** Ends it, whatever is left of it, with proof, and clears away. Again: nothing. */
  async function end(name: string): Promise<void> {
    const own = at(name);
    if ((await lxc.alive()).has(name)) await lxc.stop(name, 0);
    const until = performance.now() + ENDS_MS;
    for (;;) {
      const left = await stillThere(lxc, name, {});
      if (left === undefined) break;
      if (performance.now() > until)
        throw new VsError('failed', `${name} could not be ended on ${host}: ${left}`);
      // its monitor was killed: the processes of it are ended one by one, and the kernel ends the rest with its init
      const pid = (await lxc.alive()).has(name) ? undefined : livingOf(name);
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
      await pause(50);
    }
    const mount = join(own, 'rootfs');
    for (let tries = 0; (await isMounted(mount)) && tries < 10; tries++)
      await run(['umount', ...(tries > 5 ? ['-l'] : []), mount], { okCodes: [0, 32] });
    if (await isMounted(mount)) throw new VsError('failed', `${mount} could not be unmounted on ${host}`);
    await run(['nft', '-f', '-'], { input: trialRules(interfacesOf(nobody(name)), 'gone') });
    await removeTrees([own], 60_000);
    await bus.request(host, 'network.detach', { name }); // what the firewall keeps of its names
  }
  const nobody = (name: string) => ({ name, network: 'none', mac: '02:00:00:00:00:00' });

  async function lastWords(name: string): Promise<string> {
    const text = await readFile(join(at(name), 'console'), 'utf8').catch(() => '');
    return text.trim().split('\n').slice(-3).join('; ');
  }

  async function tried(
    { name, saga, patience }: Args<'host-agent.try'>,
    call: Call,
  ): Promise<Data<'host-agent.try'>> {
    const tree = paths.stagingTree(name, saga);
    const config = await readJson(join(tree, 'vserver.json'), vserverConfig);
    if (!config) throw new VsError('conflict', `saga ${saga} has staged no vserver for ${name} on ${host}`);
    const init = await initOf(join(tree, 'rootfs'));
    await end(name);
    try {
      await prepare(name, saga, config, init);
      call.progress({ message: 'starting' });
      const began = performance.now();
      const startLog = join(at(name), 'log');
      const failed = await lxc.start(name, startLog).then(
        () => undefined,
        (error: unknown) => (error as Error).message,
      );
      const checks: Check[] =
        failed === undefined
          ? await checksOf(
              {
                name,
                init,
                config,
                patience,
                signal: call.signal,
                monitor: (await readFile(join(tree, 'monitor.conf'), 'utf8').catch(() => '')).slice(
                  0,
                  65_536,
                ),
                lastWords: () => lastWords(name),
              },
              { lxc, bus, host },
            )
          : [{ check: 'init', ok: false, message: `it does not start: ${failed}` }];
      return { ms: Math.round(performance.now() - began), checks };
    } finally {
      await end(name);
    }
  }

  return {
    /** Starts it, looks at it, and ends it again. */
    try: (args: Args<'host-agent.try'>, call: Call) =>
      inTurn(args.name, async () => {
        await locks.require(args.name, args.saga);
        if ((await locks.holder(args.name)) !== args.saga)
          throw new VsError('conflict', `saga ${args.saga} does not hold ${args.name} on ${host}`);
        return tried(args, call);
      }),
    end: ({ name, saga }: Args<'host-agent.end-try'>) =>
      inTurn(name, async () => {
        await locks.require(name, saga);
        await end(name);
        return {};
      }),
    /** What a former life of this process left running; its saga asks again. */
    async clear(): Promise<void> {
      for (const name of await readdir(directory).catch(() => [] as string[]))
        await inTurn(name, () => end(name)).catch((error: unknown) =>
          log.error({ trial: name, error: String(error) }, 'a backup that was tried could not be ended'),
        );
    },
    /** Is it one that is tried just now? */
    has: async (name: string): Promise<boolean> => (await lxc.alive()).has(name),
    exec: (args: Args<'host-agent.exec'>, call: Call) => exec(lxc, args, call),
  };
}
