import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isOwner } from '../../shared/ownership.ts';
import { VsError } from '../../shared/errors.ts';
import type { Paths } from '../../shared/paths.ts';
import type { Context } from '../../shared/service.ts';
import { type Planned, bootOrder, inGroups } from './boot-order.ts';
import type { Commands } from './commands.ts';
import { loadVserver, vserverNames } from './files.ts';
import type { Locks } from './locks.ts';

/** So often one is tried at a boot whose start is worth another try: a host that has much to do then answers late. */
const MOST_TRIES = 5;

const markIn = (runDir: string) => join(runDir, '.autostarted'); // RUN_DIR lies in memory: the mark goes with the boot

/** What waits to be looked at by the autostart of this boot; nothing when that is over. */
export async function waitingAtBoot({ settings }: Pick<Context, 'settings'>): Promise<Set<string>> {
  if (await stat(markIn(settings.RUN_DIR)).catch(() => undefined)) return new Set();
  return new Set(await vserverNames(settings.VSERVER_DIR));
}

/**
 * Starts what is enabled and owned once after the host's boot, in boot order, with no master and no broker. Before that it
 * waits a short time (BOOT_POOL_WAIT) for what the pool says, so that what was taken over elsewhere meanwhile does not start
 * at all. What a saga holds waits for it, and keeps nobody else waiting. A restart of the agent alone starts nothing: what a
 * person stopped since the boot stays stopped.
 */
export async function autostart(
  context: Context,
  paths: Paths,
  locks: Locks,
  commands: Commands,
  waiting: Set<string>,
  compared: (ms: number, signal: AbortSignal) => Promise<boolean>,
  signal: AbortSignal,
): Promise<void> {
  const { settings, host, bus, log } = context;
  const mark = markIn(settings.RUN_DIR);
  if (await stat(mark).catch(() => undefined)) return;
  if (waiting.size > 0 && !(await compared(settings.BOOT_POOL_WAIT * 1000, signal)))
    log.warn(`the pool was not heard within ${settings.BOOT_POOL_WAIT} s; vservers start without it`);

  /** One whose file is damaged comes last, and says so in its turn. */
  const planOf = async (name: string): Promise<Planned> => ({
    name,
    boot: (await loadVserver(paths, host, name).catch(() => undefined))?.boot,
  });
  const tries = new Map<string, number>();
  /** Answers how long (s) the next shall wait after it. */
  async function begin({ name }: Planned): Promise<number> {
    try {
      if (!waiting.has(name) || (await locks.holder(name))) return 0;
      waiting.delete(name);
      const config = await loadVserver(paths, host, name);
      if (!config.enabled || !(await isOwner(settings, name))) return 0;
      await commands.start(name);
      return config.boot?.delay ?? 0;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const tried = (tries.get(name) ?? 0) + 1;
      tries.set(name, tried);
      if (error instanceof VsError && error.retryable && tried < MOST_TRIES && !signal.aborted) {
        waiting.add(name);
        log.warn({ vserver: name }, `${name} has not started yet, and is tried again: ${why}`);
        return 0;
      }
      waiting.delete(name);
      const message = `${name} did not start at boot: ${why}`;
      bus.event('host-agent', 'failed', message, { vserver: name });
      log.warn({ vserver: name }, message);
      return 0;
    }
  }
  while (waiting.size > 0 && !signal.aborted) {
    const groups = bootOrder(await Promise.all([...waiting].map(planOf)));
    await inGroups(groups, { parallel: settings.BOOT_PARALLEL, signal }, begin);
    if (waiting.size > 0) await new Promise((resolve) => setTimeout(resolve, 2000));
  }
  if (signal.aborted) return;
  await mkdir(settings.RUN_DIR, { recursive: true, mode: 0o700 });
  await writeFile(mark, '');
}
