import { chmod, copyFile, lstat, mkdir, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Args, Data } from '../../shared/contract/commands.ts';
import { type VserverConfig, vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Paths } from '../../shared/paths.ts';
import { run } from '../../shared/run.ts';
import { unseal } from '../../shared/seal.ts';
import type { Call, Context } from '../../shared/service.ts';
import { writeJson } from '../../shared/store.ts';
import { fillBusybox } from './busybox.ts';
import { loadVserver } from './files.ts';
import { removeGuestFiles, writeGuestFile } from './guest-files.ts';
import { fetchTemplate, unpack } from './template-cache.ts';

/** Who the guest is: host name, hosts, resolver; and nothing of who it was copied from. */
async function personalise(rootfs: string, config: VserverConfig): Promise<void> {
  const full = config.domain ? `${config.name}.${config.domain} ${config.name}` : config.name;
  const own = [config.address, ...(config.address6 ? [config.address6] : [])].map((ip) => `${ip} ${full}`);
  await writeGuestFile(rootfs, 'etc/hostname', `${config.name}\n`);
  await writeGuestFile(
    rootfs,
    'etc/hosts',
    `127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n${own.join('\n')}\n`,
  );
  const resolver = [
    ...(config.domain ? [`search ${config.domain}`] : []),
    ...(config.nameserver ?? '')
      .split(/[\s,]+/)
      .filter(Boolean)
      .map((server) => `nameserver ${server}`),
  ];
  if (resolver.length > 0) await writeGuestFile(rootfs, 'etc/resolv.conf', `${resolver.join('\n')}\n`);
  await removeGuestFiles(rootfs, 'var/lib/dbus', /^machine-id$/);
  await writeGuestFile(rootfs, 'etc/machine-id', '');
}

/** A guest's ping with cap_net_raw cannot be executed where net_raw is dropped; ping_group_range lets it work without. */
async function stripPing(rootfs: string): Promise<void> {
  const ping = await realpath(join(rootfs, 'usr/bin/ping')).catch(() => '');
  if (ping.startsWith(`${await realpath(rootfs)}/`)) await run(['setcap', '-r', ping], { okCodes: [0, 1] });
}

async function measure(tree: string): Promise<Data<'host-agent.install'>> {
  const du = async (...options: string[]) =>
    Number((await run(['du', '-sx', ...options, tree], { timeoutMs: 600_000 })).stdout.split('\t')[0]);
  return { bytes: await du('-B1'), files: await du('--inodes') };
}

/** Copies the tree of another vserver of this host, from a snapshot of it where there is one. */
async function cloneTree(
  context: Context,
  paths: Paths,
  { name, saga }: { name: string; saga: string },
  source: { of: string; label?: string | undefined },
  call: Call,
): Promise<void> {
  await loadVserver(paths, context.host, source.of);
  const from = source.label ? paths.snapshot(source.of, saga, source.label) : paths.vserver(source.of);
  const tree = paths.stagingTree(name, saga);
  call.progress({ message: `copying ${source.of}` });
  await run(['cp', '-a', '--reflink=auto', join(from, 'rootfs'), join(tree, 'rootfs')], {
    timeoutMs: 3_600_000,
    signal: call.signal,
  });
  for (const file of ['firewall.conf', 'monitor.conf'])
    await copyFile(join(from, file), join(tree, file)).catch(() => undefined);
}

/** Fills the staging tree of a saga; carried out again after a crash it begins anew. */
export async function install(
  context: Context,
  paths: Paths,
  args: Args<'host-agent.install'>,
  call: Call,
): Promise<Data<'host-agent.install'>> {
  const { source, config } = args;
  if (config.name !== args.name)
    throw new VsError('usage', `config.name is ${config.name}, but the vserver is ${args.name}`);
  const tree = paths.stagingTree(args.name, args.saga);
  if (!(await lstat(tree).catch(() => undefined)))
    throw new VsError(
      'conflict',
      `saga ${args.saga} has no staging tree for ${args.name} on ${context.host}`,
    );
  const rootfs = join(tree, 'rootfs');
  if (source.kind !== 'staged') await rm(rootfs, { recursive: true, force: true });
  await chmod(tree, 0o711); // the guest's root passes through to the runtime's own files, and reads nothing
  if (source.kind === 'clone' || source.kind === 'staged') {
    if (source.kind === 'clone') await cloneTree(context, paths, args, source, call);
    await removeGuestFiles(rootfs, 'etc/ssh', /^ssh_host_/);
  } else {
    await mkdir(rootfs, { mode: 0o755 });
    if (source.kind === 'busybox') await fillBusybox(rootfs);
    else {
      const cache = join(context.settings.STATE_DIR, 'cache', 'templates');
      const secret = unseal(context.settings, source.secret);
      const file = await fetchTemplate(cache, { ...source, secret }, call);
      call.progress({ message: 'unpacking' });
      await unpack(file, rootfs, call.signal);
      await stripPing(rootfs);
    }
    await chmod(rootfs, 0o755);
    for (const file of ['firewall.conf', 'monitor.conf'])
      await copyFile(join(context.settings.CONFIG_DIR, file), join(tree, file)).catch(() => undefined);
  }
  await personalise(rootfs, config);
  await writeJson(join(tree, 'vserver.json'), vserverConfig, config);
  return measure(tree);
}
