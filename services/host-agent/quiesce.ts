import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Args } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import { isOwner } from '../../shared/ownership.ts';
import type { Paths } from '../../shared/paths.ts';
import { run } from '../../shared/run.ts';
import type { Call, Context } from '../../shared/service.ts';
import { readJson, removeFileDurable, writeJson } from '../../shared/store.ts';
import type { Turns } from '../../shared/turns.ts';
import { exec } from './exec.ts';
import { freezeNow, thawNow } from './freezer.ts';
import { isGuestProgram } from './guest-files.ts';
import { lineSplitter, shown } from './lines.ts';
import type { Locks } from './locks.ts';
import type { Lxc } from './lxc.ts';
import type { States } from './state.ts';

interface Parts {
  context: Context;
  paths: Paths;
  lxc: Lxc;
  locks: Locks;
  states: States;
  inTurn: Turns;
}

/** What is frozen for a snapshot by this agent: a file each, while it is so. */
const frozen = z.strictObject({ version: z.literal(1), ts: z.int() });
const directoryOf = (stateDirectory: string) => join(stateDirectory, 'quiesced');
/** It stands still for no longer than so long in all (ms): a snapshot that takes more is given up. */
const FREEZE_MS = 2000;
const CUT_MS = 10_000;

/**
 * Thaws what a former life of this agent froze for a snapshot and was killed before it could thaw it. What a person paused has
 * no such file, and stays paused; what is not owned here any more is never thawed.
 */
export async function thawLeft({ settings, log }: Pick<Context, 'settings' | 'log'>): Promise<void> {
  const directory = directoryOf(settings.STATE_DIR);
  for (const file of await readdir(directory).catch(() => [] as string[])) {
    const name = /^([a-z0-9-]+)\.json$/.exec(file)?.[1];
    if (name === undefined) continue;
    if (
      (await readJson(join(directory, file), frozen).catch(() => undefined)) &&
      (await isOwner(settings, name))
    ) {
      thawNow(name);
      log.warn({ vserver: name }, 'it was frozen for a snapshot when the agent ended, and runs on now');
    }
    await removeFileDurable(join(directory, file));
  }
}

/** Lets a vserver stand still while its snapshot is made, with its own scripts around it. */
export function createQuiesce({ context, paths, lxc, locks, states, inTurn }: Parts) {
  const { settings, host, bus } = context;
  const mark = (name: string) => join(directoryOf(settings.STATE_DIR), `${name}.json`);

  /** Runs one of its scripts, if it has one. Throws 'failed' with the last line that it said. */
  async function script(name: string, which: 'pre' | 'post', call: Call): Promise<void> {
    const path = `etc/vs-tools/snapshot-${which}`;
    if (!(await isGuestProgram(paths.rootfs(name), path))) return;
    let last = '';
    const lines = lineSplitter((line) => (last = shown(line) || last));
    const heard = {
      ...call,
      progress: ({ data }: Record<string, unknown>) => {
        if (typeof data === 'string') lines.add(Buffer.from(data, 'base64'));
      },
    };
    const timeout = settings.SNAPSHOT_SCRIPT_SECONDS * 1000;
    const said = () => (last ? `; its last line: ${last}` : '');
    const { code } = await exec(lxc, { name, command: [`/${path}`], timeout }, heard).catch(
      (error: unknown) => {
        lines.end();
        const why = error instanceof VsError && error.code === 'deadline';
        if (!why) throw error;
        const limit = `${settings.SNAPSHOT_SCRIPT_SECONDS} s (SNAPSHOT_SCRIPT_SECONDS)`;
        throw new VsError('failed', `/${path} in ${name} did not end within ${limit}${said()}`, {
          cause: error,
        });
      },
    );
    lines.end();
    if (code !== 0) throw new VsError('failed', `/${path} in ${name} ended with exit code ${code}${said()}`);
  }

  /** Frozen from here to there (ms); undefined when it stood still anyway. */
  const still = (name: string, saga: string | undefined, cut: () => Promise<unknown>) =>
    inTurn(name, async (): Promise<number | undefined> => {
      await locks.require(name, saga);
      const { state } = await states.of(name);
      if (state === 'stopped' || state === 'frozen') {
        await cut();
        return undefined;
      }
      if (state !== 'running')
        throw new VsError('conflict', `${name} is ${state} on ${host}; make a snapshot when that is over`, {
          retryable: true,
        });
      // what is written now need not be written while it stands still
      await run(['sync', '-f', paths.vserver(name)], { timeoutMs: 120_000 });
      await writeJson(mark(name), frozen, { version: 1, ts: Date.now() });
      const release = states.hold(name);
      const began = performance.now();
      let ms = 0;
      try {
        await freezeNow(name, FREEZE_MS);
        await cut();
      } finally {
        thawNow(name);
        ms = performance.now() - began;
        release();
        await removeFileDurable(mark(name));
      }
      return Math.round(ms * 10) / 10;
    });

  return async ({ name, to }: Args<'host-agent.quiesce'>, call: Call): Promise<{ frozenMs?: number }> => {
    const saga = 'saga' in to ? to.saga : undefined;
    await locks.require(name, saga);
    const cut = () => bus.request(host, 'snapshot.cut', { name, to }, { timeoutMs: CUT_MS });
    const { state, epoch } = await states.of(name);
    if (epoch === 0)
      throw new VsError('refused', `${host} does not own ${name}, so it makes no snapshots of it`);
    const has = state === 'running';
    let failure: unknown;
    let frozenMs: number | undefined;
    try {
      if (has) await script(name, 'pre', call);
      frozenMs = await still(name, saga, cut);
    } catch (error) {
      failure = error;
    }
    try {
      if (has) await script(name, 'post', call);
    } catch (error) {
      // the snapshot is good, whatever comes after it; its own failure says more
      context.log.warn({ vserver: name, error: String(error) }, 'snapshot-post');
      bus.event('host-agent', 'failed', error instanceof Error ? error.message : String(error), {
        vserver: name,
      });
    }
    if (failure) throw failure;
    return frozenMs === undefined ? {} : { frozenMs };
  };
}
