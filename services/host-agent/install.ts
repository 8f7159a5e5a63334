import { chmod, copyFile, mkdir, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Args, Data } from '../../shared/contract/commands.ts';
import { type VserverConfig, vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { limitText } from '../../shared/limits.ts';
import type { Paths } from '../../shared/paths.ts';
import { run } from '../../shared/run.ts';
import { unseal } from '../../shared/seal.ts';
import type { Call, Context } from '../../shared/service.ts';
import { readJson, writeJson } from '../../shared/store.ts';
import { fillBusybox } from './busybox.ts';
import { authorize, personalise, reidentify } from './identity.ts';
import { fetchTemplate, unpack } from './template-cache.ts';

/** A guest's ping with cap_net_raw cannot be executed where net_raw is dropped; ping_group_range lets it work without. */
async function stripPing(rootfs: string): Promise<void> {
  const ping = await realpath(join(rootfs, 'usr/bin/ping')).catch(() => '');
  if (ping.startsWith(`${await realpath(rootfs)}/`)) await run(['setcap', '-r', ping], { okCodes: [0, 1] });
}

async function measure(tree: string, { name, limits }: VserverConfig): Promise<Data<'host-agent.install'>> {
  const du = async (...options: string[]) =>
    Number((await run(['du', '-sx', ...options, tree], { timeoutMs: 600_000 })).stdout.split('\t')[0]);
  const bytes = await du('-B1');
  if (limits.disk_bytes !== undefined && bytes > limits.disk_bytes)
    throw new VsError(
      'refused',
      `${name} has ${limitText('bytes', bytes)} to begin with, more than its disk limit of ${limitText('bytes', limits.disk_bytes)}`,
    );
  return { bytes, files: await du('--inodes') };
}

/** The staging tree of a saga, which a step before has made. */
async function stagedTree(context: Context, paths: Paths, args: { name: string; saga: string }) {
  const tree = paths.stagingTree(args.name, args.saga);
  const real = await realpath(tree).catch(() => undefined);
  if (real === undefined)
    throw new VsError(
      'conflict',
      `saga ${args.saga} has no staging tree for ${args.name} on ${context.host}`,
    );
  return real;
}

/** A staged tree becomes the vserver of a configuration; vserver.json, which says who it was, goes last. */
export async function adapt(
  context: Context,
  paths: Paths,
  args: Args<'host-agent.adapt'>,
): Promise<Data<'host-agent.adapt'>> {
  const tree = await stagedTree(context, paths, args);
  const file = join(tree, 'vserver.json');
  const was = await readJson(file, vserverConfig);
  if (!was) throw new VsError('failed', `${file} is missing, so what lies there is no vserver`);
  await rm(join(tree, 'config'), { force: true }); // generated, of the one that it was
  const note = await reidentify(join(tree, 'rootfs'), args.config, was, args.fresh);
  await writeJson(file, vserverConfig, args.config);
  return note === undefined ? {} : { note };
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
  const tree = await stagedTree(context, paths, args);
  const rootfs = join(tree, 'rootfs');
  await chmod(tree, 0o711); // the guest's root passes through to the runtime's own files, and reads nothing
  if (source.kind === 'staged') {
    call.progress({ message: 'making it one of its own' });
    const { name, saga } = args;
    const { note } = await adapt(context, paths, { name, saga, config, fresh: true });
    await authorize(rootfs, args.sshKeys ?? []);
    return { ...(await measure(tree, config)), ...(note === undefined ? {} : { note }) };
  }
  await rm(rootfs, { recursive: true, force: true });
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
  const note = await personalise(rootfs, config);
  await authorize(rootfs, args.sshKeys ?? []);
  await writeJson(join(tree, 'vserver.json'), vserverConfig, config);
  return { ...(await measure(tree, config)), ...(note === undefined ? {} : { note }) };
}
