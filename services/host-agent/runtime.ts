import { lstat, mkdir, readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Attachment } from '../../shared/contract/network.ts';
import { type VserverConfig, vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { interfacesOf } from '../../shared/interfaces.ts';
import type { Paths } from '../../shared/paths.ts';
import { run } from '../../shared/run.ts';
import { keepSpares } from '../../shared/spare.ts';
import type { Context } from '../../shared/service.ts';
import { readJson, writeFileIfChanged } from '../../shared/store.ts';
import { beginConsole, forgetConsole } from './console.ts';
import { doom, freezeNow, notFrozen, thawDoomed, thawNow } from './freezer.ts';
import type { LimitsOfHost } from './limits/limits.ts';
import { readGuestFile } from './guest-files.ts';
import type { Lxc } from './lxc.ts';
import { IMAGE_STOP, initOf, lxcConfig } from './lxc-config.ts';
import { type Mounting, mountWaiting } from './mounting.ts';
import { hasEnded, livingOf, payloadOf, stillThere } from './proof.ts';

const hooks = fileURLToPath(new URL('./hooks/', import.meta.url));
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
/** A look at whether something has ended costs little, and while it is asked for nobody is served (ms). */
const LOOK_MS = 4;
/** What a saga made ready is taken as it is for so long (ms); after that it is made ready again. */
const READY_MS = 60_000;
/** What runs on the target from the adoption on: the storage's tool, the runtime's. */
const SPARES = 4;
const exists = async (path: string) => (await lstat(path).catch(() => undefined)) !== undefined;

/** Starting and stopping of vservers, once it is decided that they may. */
export function createRuntime(context: Context, paths: Paths, lxc: Lxc, limits: LimitsOfHost) {
  const { settings, bus, host } = context;
  const logs = join(settings.STATE_DIR, 'log');

  /** What a saga found in a staged copy: true for the tree in place too as long as these files are the same in it. */
  const rehearsed = new Map<string, { saga: string; files: string; net: Attachment; mount: Mounting }>();
  /** What a saga has made ready to be started. */
  const ready = new Map<string, { saga: string; at: number }>();

  function forget(name: string): void {
    rehearsed.get(name)?.mount.drop();
    rehearsed.delete(name);
  }

  /** The files of a tree on which network, rules and runtime configuration depend. */
  const filesOf = async (tree: string): Promise<string> =>
    JSON.stringify(
      await Promise.all(
        ['vserver.json', 'firewall.conf'].map((file) => readFile(join(tree, file), 'utf8').catch(() => '')),
      ),
    );

  /** Network up, rule files ready, for a tree in place or a staged one. */
  function attach(
    config: VserverConfig,
    staged?: { saga: string; label?: string | undefined },
  ): Promise<Attachment> {
    const { name } = config;
    const { net_in_rate, net_out_rate } = config.limits;
    return bus.request(host, 'network.attach', {
      name,
      interfaces: interfacesOf(config),
      ...(net_in_rate ? { in_rate: net_in_rate } : {}),
      ...(net_out_rate ? { out_rate: net_out_rate } : {}),
      ...(staged ? { staged } : {}),
    });
  }
  async function configOf(config: VserverConfig, net: Attachment, rootfs: string): Promise<string> {
    const { name } = config;
    const init = await initOf(rootfs);
    const stop = init === 'image' ? (await readGuestFile(rootfs, IMAGE_STOP))?.trim() : undefined;
    return lxcConfig(
      config,
      net,
      {
        rootfs,
        mount: paths.mount(name),
        ownership: paths.ownership(name),
        console: paths.console(name),
        preStart: join(hooks, 'pre-start'),
        portUp: join(hooks, 'port-up'),
        seccomp: fileURLToPath(new URL('./no-subvolumes.seccomp', import.meta.url)),
      },
      { ...(await limits.ofHost()), init, stop },
    );
  }

  /** LXC's init looks at its own directory as the guest's root: it may pass through, everybody else may not. */
  const openToGuest = ({ name, idmap }: VserverConfig) =>
    run(['setfacl', '-m', `u:${idmap}:--x`, settings.VSERVER_DIR, paths.vserver(name)]);

  /** A tree that was just put in its place has no limit yet; where there can be none it starts all the same, and an alert says so. */
  async function limitDisk({ name, limits: { disk_bytes } }: VserverConfig): Promise<void> {
    if (disk_bytes === undefined) return;
    await limits
      .setDisk(name, disk_bytes)
      .catch((error: unknown) => context.log.warn({ vserver: name, error: String(error) }, 'disk limit'));
  }

  async function isMounted(mount: string): Promise<boolean> {
    return (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${mount} `);
  }

  /** Rule files, runtime configuration and idmapped mount of a tree that is in place; what a saga rehearsed is not done again. */
  async function prepare(config: VserverConfig, saga?: string): Promise<void> {
    const { name, idmap } = config;
    const [rootfs, mount] = [paths.rootfs(name), paths.mount(name)];
    if (!(await exists(rootfs)))
      throw new VsError('failed', `${rootfs} does not exist, so ${name} cannot run`);
    await mkdir(logs, { recursive: true, mode: 0o700 });
    await mkdir(settings.RUN_DIR, { recursive: true, mode: 0o700 });
    const known = rehearsed.get(name);
    const same = known?.saga === saga && known?.files === (await filesOf(paths.vserver(name)));
    const mounting = async () => {
      if (same && !(await isMounted(mount)) && (await known.mount.go())) return;
      await run([join(hooks, 'mount-root'), rootfs, mount, String(idmap)]);
    };
    const configuring = async () => {
      const net = same ? known.net : await attach(config);
      await writeFileIfChanged(paths.lxcConfig(name), await configOf(config, net, rootfs));
    };
    void limits.tell(config).catch((error: unknown) => context.log.warn({ err: error }, 'limits'));
    // the copy of a tree that ran has its ACL; were it not so, the start would fail, and be tried again without a rehearsal
    await Promise.all([same ? undefined : openToGuest(config), mounting(), configuring(), limitDisk(config)]);
  }

  async function waitGone(
    name: string,
    known: Parameters<typeof stillThere>[2],
    ms: number,
  ): Promise<string | undefined> {
    const end = performance.now() + ms;
    for (;;) {
      const left = await stillThere(lxc, name, known);
      if (!left || performance.now() > end) return left;
      await pause(LOOK_MS);
    }
  }

  return {
    /** Makes it ready to be started; what a saga made ready is not made ready again by its start. */
    async prepare(config: VserverConfig, saga?: string): Promise<void> {
      await prepare(config, saga);
      if (saga) ready.set(config.name, { saga, at: performance.now() });
    },
    /** The same for a staged copy, as far as it goes before the copy is in place. */
    async rehearse(name: string, saga: string, label?: string): Promise<void> {
      const tree = paths.staged(name, saga, label);
      const config = await readJson(join(tree, 'vserver.json'), vserverConfig);
      if (!config) throw new VsError('failed', `the copy of ${name} on ${host} has no vserver.json`);
      if (config.name !== name)
        throw new VsError('failed', `the copy of ${name} on ${host} calls itself ${config.name}`);
      const files = await filesOf(tree);
      const net = await attach(config, { saga, label });
      const place = run([join(hooks, 'mount-place'), paths.mount(name), String(config.idmap)]);
      const pass = run(['setfacl', '-m', `u:${config.idmap}:--x`, settings.VSERVER_DIR]);
      const told = (error: unknown) =>
        context.log.warn({ vserver: name, error: String(error) }, 'disk limit');
      const disk = config.limits.disk_bytes === undefined ? undefined : limits.readyDisk(name).catch(told);
      await Promise.all([configOf(config, net, join(tree, 'rootfs')), place, pass, disk]);
      const mount = mountWaiting(paths.rootfs(name), paths.mount(name), config.idmap);
      forget(name);
      rehearsed.set(name, { saga, files, net, mount });
      keepSpares(SPARES);
    },
    /** Nothing of it lives, or 'refused'; what is just ending may take so long (ms). */
    async requireStopped(name: string, ms = 0): Promise<void> {
      const left = await waitGone(name, {}, ms);
      if (left) throw new VsError('refused', `${name} is not stopped on ${host}: ${left}`);
    },
    /** Starts it and tells what the runtime says of it. */
    async start(config: VserverConfig, saga?: string): Promise<Awaited<ReturnType<Lxc['info']>>> {
      const { name } = config;
      const made = ready.get(name);
      ready.delete(name);
      forget(name);
      if (!made || made.saga !== saga || performance.now() - made.at > READY_MS) await prepare(config);
      const log = join(logs, `${name}.log`);
      await rm(log, { force: true });
      await beginConsole(paths.console(name));
      await lxc.start(name, log);
      const info = await lxc.info(name);
      if (info.pid) this.announce(config, info.pid);
      return info;
    },
    /** Its limits have changed while it runs: a start by hand, or a restart from inside, shall have the same. */
    async renew(config: VserverConfig): Promise<void> {
      const { name } = config;
      const text = await configOf(config, await attach(config), paths.rootfs(name));
      await writeFileIfChanged(paths.lxcConfig(name), text);
    },
    /** The same for its addresses; one that runs gets them at once. `later`: the interfaces that come with its next start. */
    async readdress(
      config: VserverConfig,
      pid: number | undefined,
    ): Promise<{ later: string[]; changed: boolean }> {
      await this.renew(config);
      const interfaces = interfacesOf(config);
      if (pid === undefined) return { later: [], changed: false };
      const args = { name: config.name, pid, interfaces };
      const { missing, changed } = await bus.request(host, 'network.readdress', args);
      this.announce({ ...config, ...(missing.length > 0 ? { more: [] } : {}) }, pid);
      return { later: missing, changed };
    },
    /** Tells the neighbours in the background: nobody waits for it. */
    announce(config: VserverConfig, pid: number): void {
      bus
        .request(host, 'network.announce', {
          name: config.name,
          pid,
          interfaces: interfacesOf(config).map(({ device, mac }) => ({ device, mac })),
        })
        .catch((error: unknown) =>
          context.log.warn({ vserver: config.name, error: String(error) }, 'not announced'),
        );
    },
    /**
     * Stops it in order, by force after the time; returns with proof that nothing of it lives. With `early` it may
     * return as soon as no process of it does, while its monitor clears away: then `rest` ends with the whole proof.
     */
    async stop(name: string, seconds: number, early = false): Promise<{ rest?: Promise<void> }> {
      const prove = async (known: { payload?: string | undefined }): Promise<void> => {
        const left = await waitGone(name, known, 10_000);
        if (left) throw new VsError('failed', `${name} could not be proved stopped on ${host}: ${left}`);
      };
      if (!(await lxc.alive()).has(name)) {
        if (seconds === 0) await thawDoomed(name); // its monitor was killed
        await prove({});
        return {};
      }
      const { pid } = await lxc.info(name);
      const payload = pid
        ? payloadOf(await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => ''))
        : undefined;
      if (seconds === 0) await thawDoomed(name); // what is frozen must not run again on its way to its end
      const stopping = lxc.stop(name, seconds);
      const rest = async (): Promise<void> => {
        await stopping;
        if (!(await waitGone(name, { payload }, 5000))) return;
        if ((await lxc.alive()).has(name)) await lxc.stop(name, 0);
        await prove({ payload });
      };
      if (early && pid) {
        const over = new AbortController();
        const end = () => over.abort();
        stopping.then(end, end);
        // the kernel ends all processes of its pid namespace before init itself has ended (pid_namespaces(7))
        while (!over.signal.aborted && !hasEnded(pid)) await pause(LOOK_MS);
        if (!over.signal.aborted && livingOf(name, payload) === undefined) return { rest: rest() };
      }
      await rest();
      return {};
    },
    /** Takes it from the network and freezes it: its kernel side would answer ARP and ping. Answers with proof. */
    async freeze(name: string): Promise<void> {
      await Promise.all([freezeNow(name), bus.request(host, 'network.link', { name, up: false })]);
      this.requireFrozen(name);
    },
    /** Freezes it where it is, on its network. Answers with proof. */
    async pause(name: string): Promise<void> {
      await freezeNow(name);
      this.requireFrozen(name);
    },
    /** All of it is frozen, or nothing of it lives; else 'refused'. */
    requireFrozen(name: string): void {
      const left = notFrozen(name);
      if (left) throw new VsError('refused', `${name} is not frozen on ${host}: ${left}`);
    },
    /** The undo of a freeze. Only for what this host owns: the caller has made sure. */
    async thaw(config: VserverConfig): Promise<void> {
      const { name } = config;
      await bus.request(host, 'network.link', { name, up: true });
      thawNow(name);
      const { pid } = await lxc.info(name);
      if (pid) this.announce(config, pid);
    },
    /** Seals the end of what is frozen and given up: whoever thaws it now, nothing of it runs again. */
    doom,
    /** A stopped vserver lets go of its tree: the mount goes that its next start would have found. */
    async letGo(name: string): Promise<void> {
      await this.requireStopped(name);
      ready.delete(name);
      forget(name);
      const mount = paths.mount(name);
      for (let tries = 0; (await isMounted(mount)) && tries < 10; tries++) await run(['umount', mount]);
    },
    /** Removes mount, generated configuration, console and rule files of a stopped vserver. */
    async detach(name: string): Promise<void> {
      await this.letGo(name);
      const mount = paths.mount(name);
      await rmdir(mount).catch(() => undefined);
      await rm(paths.lxcConfig(name), { force: true });
      limits.forget(name);
      await forgetConsole(paths.console(name));
      await bus.request(host, 'network.detach', { name });
    },
  };
}
export type Runtime = ReturnType<typeof createRuntime>;
