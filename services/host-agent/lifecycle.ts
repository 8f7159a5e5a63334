import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, readlink, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type VserverConfig, vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { pathsFor } from '../../shared/paths.ts';
import { run } from '../../shared/run.ts';
import type { Context } from '../../shared/service.ts';
import { readJson, writeFileDurable, writeJson } from '../../shared/store.ts';
import { type Init, lxcConfig } from './lxc-config.ts';
import type { Lxc } from './lxc.ts';
import { requireOwner } from './ownership.ts';

const preStart = new URL('./hooks/pre-start', import.meta.url).pathname;

async function initOf(rootfs: string): Promise<Init> {
  const link = await readlink(join(rootfs, 'sbin/init')).catch(() => '');
  if (
    link.includes('systemd') ||
    existsSync(join(rootfs, 'lib/systemd/systemd')) ||
    existsSync(join(rootfs, 'usr/lib/systemd/systemd'))
  )
    return 'systemd';
  return link.includes('busybox') ? 'busybox' : 'other';
}

const mounted = async (path: string): Promise<boolean> =>
  (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${path} `);

/** Starting and stopping of vservers on this host. */
export function lifecycle(context: Context, lxc: Lxc) {
  const { settings, host, bus, log } = context;
  const paths = pathsFor(settings);

  async function load(name: string): Promise<VserverConfig> {
    const config = await readJson(paths.vserverJson(name), vserverConfig);
    if (!config) throw new VsError('not-found', `${host} has no vserver ${name}`);
    return config;
  }

  /** Runtime configuration, rules and mount point for a tree that is in place. */
  async function configure(name: string): Promise<VserverConfig> {
    const vserver = await load(name);
    const { address, address6, prefix, prefix6, mac, network } = vserver;
    const net = await bus.request(host, 'network.attach', {
      name,
      network,
      mac,
      address,
      prefix,
      address6,
      prefix6,
    });
    await mkdir(settings.RUN_DIR, { recursive: true, mode: 0o711 });
    await chmod(settings.RUN_DIR, 0o711);
    const logs = join(settings.STATE_DIR, 'console');
    await mkdir(logs, { recursive: true, mode: 0o700 });
    const runtime = {
      rootfs: paths.rootfs(name),
      mount: paths.mount(name),
      ownership: paths.ownership(name),
      console: join(logs, `${name}.log`),
      preStart,
    };
    const cgroup2 = existsSync('/sys/fs/cgroup/cgroup.controllers');
    await writeFileDurable(
      paths.lxcConfig(name),
      lxcConfig(vserver, net, runtime, { cgroup2, init: await initOf(runtime.rootfs) }),
    );
    return vserver;
  }

  /** Unmounts what a start made. Refuses while it runs. */
  async function detach(name: string): Promise<void> {
    if ((await lxc.alive()).has(name)) throw new VsError('conflict', `${name} still runs on ${host}`);
    const mount = paths.mount(name);
    while (await mounted(mount)) await run(['umount', mount]);
    await rmdir(mount).catch(() => undefined);
    await bus.request(host, 'network.detach', { name });
  }

  async function start(name: string, epoch?: number): Promise<void> {
    await requireOwner(settings, host, name, epoch);
    if ((await lxc.info(name)).state === 'running') return;
    const vserver = await configure(name);
    await lxc.start(name, join(settings.STATE_DIR, 'console', `${name}.start.log`));
    const { pid } = await lxc.info(name);
    if (pid)
      await bus
        .request(host, 'network.announce', { name, pid, mac: vserver.mac })
        .catch((error: unknown) => log.warn({ name, error: String(error) }, 'announcement failed'));
  }

  /** Stops it in order, after the deadline by force, and comes back only with proof: no monitor and no init. */
  async function stop(name: string, milliseconds: number): Promise<void> {
    const { pid } = await lxc.info(name);
    await lxc.stop(name, Math.ceil(milliseconds / 1000));
    const end = Date.now() + 15_000;
    while ((await lxc.alive()).has(name) || (pid !== undefined && existsSync(`/proc/${pid}`))) {
      if (Date.now() > end)
        throw new VsError(
          'failed',
          `${name} could not be proved stopped on ${host}: its processes are still there`,
        );
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async function setEnabled(name: string, enabled: boolean): Promise<void> {
    const vserver = await load(name);
    if (vserver.enabled !== enabled)
      await writeJson(paths.vserverJson(name), vserverConfig, { ...vserver, enabled });
  }
  return { load, configure, detach, start, stop, setEnabled };
}
export type Lifecycle = ReturnType<typeof lifecycle>;
