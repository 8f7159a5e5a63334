import { lstat, mkdir, readFile, readlink, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type VserverConfig, vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Paths } from '../../shared/paths.ts';
import { run } from '../../shared/run.ts';
import type { Context } from '../../shared/service.ts';
import { readJson, writeFileIfChanged } from '../../shared/store.ts';
import type { Lxc } from './lxc.ts';
import { type Init, lxcConfig } from './lxc-config.ts';
import { payloadOf, stillThere } from './proof.ts';

const hooks = fileURLToPath(new URL('./hooks/', import.meta.url));
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const exists = async (path: string) => (await lstat(path).catch(() => undefined)) !== undefined;

async function initOf(rootfs: string): Promise<Init> {
  for (const path of ['usr/lib/systemd/systemd', 'lib/systemd/systemd'])
    if (await exists(join(rootfs, path))) return 'systemd';
  const target = await readlink(join(rootfs, 'sbin/init')).catch(() => '');
  return target.endsWith('busybox') ? 'busybox' : 'other';
}

/** Starting and stopping of vservers, once it is decided that they may. */
export function createRuntime(context: Context, paths: Paths, lxc: Lxc) {
  const { settings, bus, host } = context;
  const logs = join(settings.STATE_DIR, 'log');

  /** Network up, rule files ready, and the text of the runtime's configuration, for a tree in place or a staged one. */
  async function configOf(
    config: VserverConfig,
    rootfs: string,
    staged?: { saga: string; label?: string | undefined },
  ): Promise<string> {
    const { name, network, mac, address, prefix, address6, prefix6 } = config;
    const net = await bus.request(host, 'network.attach', {
      name,
      network,
      mac,
      address,
      prefix,
      ...(address6 ? { address6, prefix6 } : {}),
      ...(staged ? { staged } : {}),
    });
    return lxcConfig(
      config,
      net,
      {
        rootfs,
        mount: paths.mount(name),
        ownership: paths.ownership(name),
        console: join(logs, `${name}.console`),
        preStart: join(hooks, 'pre-start'),
      },
      { cgroup2: await exists('/sys/fs/cgroup/cgroup.controllers'), init: await initOf(rootfs) },
    );
  }

  /** Rule files, runtime configuration and idmapped mount of a tree that is in place. */
  async function prepare(config: VserverConfig): Promise<void> {
    const { name } = config;
    const rootfs = paths.rootfs(name);
    if (!(await exists(rootfs)))
      throw new VsError('failed', `${rootfs} does not exist, so ${name} cannot run`);
    await mkdir(logs, { recursive: true, mode: 0o700 });
    // LXC's init looks at its own directory as the guest's root: it may pass through, everybody else may not
    const pass = `u:${config.idmap}:--x`;
    const [text] = await Promise.all([
      configOf(config, rootfs),
      run(['setfacl', '-m', pass, settings.VSERVER_DIR, paths.vserver(name)]),
    ]);
    await mkdir(settings.RUN_DIR, { recursive: true, mode: 0o700 });
    await writeFileIfChanged(paths.lxcConfig(name), text);
    await run([join(hooks, 'mount-root'), rootfs, paths.mount(name), String(config.idmap)]);
  }

  async function waitGone(
    name: string,
    known: Parameters<typeof stillThere>[2],
    ms: number,
  ): Promise<string | undefined> {
    const end = Date.now() + ms;
    for (;;) {
      const left = await stillThere(lxc, name, known);
      if (!left || Date.now() > end) return left;
      await pause(20);
    }
  }

  return {
    prepare,
    /** The same for a staged copy, as far as it goes before the copy is in place. */
    async rehearse(name: string, saga: string, label?: string): Promise<void> {
      const tree = paths.staged(name, saga, label);
      const config = await readJson(join(tree, 'vserver.json'), vserverConfig);
      if (!config) throw new VsError('failed', `the copy of ${name} on ${host} has no vserver.json`);
      if (config.name !== name)
        throw new VsError('failed', `the copy of ${name} on ${host} calls itself ${config.name}`);
      await configOf(config, join(tree, 'rootfs'), { saga, label });
    },
    /** Nothing of it lives, or 'refused'. */
    async requireStopped(name: string): Promise<void> {
      const left = await stillThere(lxc, name, {});
      if (left) throw new VsError('refused', `${name} is not stopped on ${host}: ${left}`);
    },
    /** Starts it and returns the pid of its init. */
    async start(config: VserverConfig): Promise<number | undefined> {
      await prepare(config);
      const log = join(logs, `${config.name}.log`);
      await rm(log, { force: true });
      await lxc.start(config.name, log);
      const { pid } = await lxc.info(config.name);
      if (pid) this.announce(config, pid);
      return pid;
    },
    /** Tells the neighbours in the background: nobody waits for it. */
    announce(config: VserverConfig, pid: number): void {
      bus
        .request(host, 'network.announce', { name: config.name, pid, mac: config.mac })
        .catch((error: unknown) =>
          context.log.warn({ vserver: config.name, error: String(error) }, 'not announced'),
        );
    },
    /** Stops it in order, by force after the time; returns only with proof that nothing of it lives. */
    async stop(name: string, seconds: number): Promise<void> {
      if ((await lxc.alive()).has(name)) {
        const { pid } = await lxc.info(name);
        const payload = pid
          ? payloadOf(await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => ''))
          : undefined;
        await lxc.stop(name, seconds);
        if (!(await waitGone(name, { pid, payload }, 5000))) return;
        if ((await lxc.alive()).has(name)) await lxc.stop(name, 0);
        const left = await waitGone(name, { pid, payload }, 10_000);
        if (left) throw new VsError('failed', `${name} could not be proved stopped on ${host}: ${left}`);
        return;
      }
      const left = await waitGone(name, {}, 10_000);
      if (left) throw new VsError('failed', `${name} could not be proved stopped on ${host}: ${left}`);
    },
    /** Removes mount, generated configuration and rule files of a stopped vserver. */
    async detach(name: string): Promise<void> {
      await this.requireStopped(name);
      const mount = paths.mount(name);
      const mounted = async () => (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${mount} `);
      for (let tries = 0; (await mounted()) && tries < 10; tries++) await run(['umount', mount]);
      await rmdir(mount).catch(() => undefined);
      await rm(paths.lxcConfig(name), { force: true });
      await bus.request(host, 'network.detach', { name });
    },
  };
}
export type Runtime = ReturnType<typeof createRuntime>;
