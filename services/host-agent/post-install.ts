import { join } from 'node:path';
import type { Args, Data } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import type { Paths } from '../../shared/paths.ts';
import { unseal } from '../../shared/seal.ts';
import type { Call, Context } from '../../shared/service.ts';
import type { Locks } from './locks.ts';
import type { Lxc } from './lxc.ts';
import { runScript } from './run-script.ts';

interface Parts {
  context: Pick<Context, 'settings' | 'host'>;
  paths: Pick<Paths, 'rootfs'>;
  lxc: Lxc;
  locks: Locks;
}

/**
 * Runs a script once inside a running vserver that a saga makes. Whoever asks again is told how it ended; one whose end
 * nobody saw, for the agent died, is not run again: it may have done half of its work. Throws VsError.
 */
export async function postInstall(
  { context, paths, lxc, locks }: Parts,
  args: Args<'host-agent.post-install'>,
  call: Call,
): Promise<Data<'host-agent.post-install'>> {
  const { name, saga, timeout } = args;
  const { settings, host } = context;
  const log = join(settings.STATE_DIR, 'log', `${name}.post-install`);
  const before = await locks.script(name, saga);
  if (before?.code !== undefined) return { code: before.code, log, tail: before.tail ?? '' };
  if (before)
    throw new VsError(
      'failed',
      `the script was broken off by a restart of the agent of ${host}, and is not run twice; what it said until then is in ${log} on ${host}`,
    );
  if (!(await lxc.alive()).has(name))
    throw new VsError('refused', `${name} does not run on ${host}, so the script cannot run in it`);
  const script = unseal(settings, args.script);
  await locks.keepScript(name, saga, {});
  const ended = await runScript({ lxc, rootfs: paths.rootfs(name), log }, { name, script, timeout }, call);
  await locks.keepScript(name, saga, ended);
  return { ...ended, log };
}
