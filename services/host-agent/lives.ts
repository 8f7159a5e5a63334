import { mkdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { crashPlanOf } from '../../config/monitor/crash-plan.ts';
import { hostPauseOf } from '../../config/monitor/host.ts';
import { isPaused } from '../../config/monitor/mend.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import type { Paths } from '../../shared/paths.ts';
import type { Context } from '../../shared/service.ts';
import { readJson, readText, removeFileDurable, writeJson } from '../../shared/store.ts';
import { createTurns } from '../../shared/turns.ts';
import { type Crash, type Life, afterEnd, lookAt, nextFor } from './crash.ts';
import { howItEnded } from './ended.ts';

const schema = z.object({
  version: z.literal(1),
  uuid: z.string(),
  epoch: z.int(),
  pid: z.int(),
  wanted: z.boolean(),
  starts: z.array(z.number()),
  again: z.boolean().optional(),
  crash: z
    .object({
      since: z.number(),
      ts: z.number(),
      why: z.string(),
      pid: z.int(),
      left: z.string().optional(),
      failed: z.string().optional(),
    })
    .optional(),
});
/** A guest that reboots for ever does not fill the disk of its host with what LXC says of it. */
const LOG_MOST = 1024 * 1024;
const TEXT = 300;
const clock = (ts: number) => new Date(ts).toTimeString().slice(0, 8);

/** What the alert says: how it ended, what was tried and when, what comes next. */
export function storyOf(
  name: string,
  host: string,
  { starts, crash, pid }: Life & { crash: Crash },
  paused = false,
): string {
  const tried = starts.length > 0 ? `; started again at ${starts.slice(-6).map(clock).join(', ')}` : '';
  const failed = crash.failed ? `; its last start failed: ${crash.failed}` : '';
  const runs = pid !== crash.pid;
  const left = crash.left && !runs ? `; it is not started again: ${crash.left}` : '';
  const waits = paused && !runs && !left ? '; it is not started again while mending is paused' : '';
  return `${name} crashed on ${host} at ${clock(crash.since)}: ${crash.why}${tried}${failed}${left}${waits}`;
}

interface Watched {
  life: Life | undefined;
  missing: number;
  /** By a steady clock: since when its init is seen. */
  since: number;
  busy: boolean;
  mailto: string[];
}

/** Watches which vservers end without having been stopped, tells it, and starts them again. */
export function createLives(
  { settings, bus, host, log }: Context,
  paths: Paths,
  ways: { start(name: string, stillWanted: () => boolean): Promise<unknown>; boots(name: string): boolean },
) {
  const directory = join(settings.RUN_DIR, '.lives');
  const file = (name: string) => join(directory, `${name}.json`);
  const logOf = (name: string) => join(settings.STATE_DIR, 'log', `${name}.log`);
  const watched = new Map<string, Watched>();
  /** What a command is just stopping. */
  const stopping = new Map<string, number>();
  const told = new Map<string, string>();
  const inTurn = createTurns();

  async function of(name: string): Promise<Watched> {
    const known = watched.get(name);
    if (known) return known;
    const life = await readJson(file(name), schema).catch((error: unknown) => {
      log.warn({ vserver: name, error: String(error) }, 'what was known of its life begins anew');
      return undefined;
    });
    const one: Watched = watched.get(name) ?? {
      life,
      missing: 0,
      since: performance.now(),
      busy: false,
      mailto: [],
    };
    watched.set(name, one);
    return one;
  }
  async function save(name: string, one: Watched, life: Life): Promise<void> {
    one.life = life; // at once: who looks next goes on from it
    await mkdir(settings.RUN_DIR, { recursive: true, mode: 0o711 });
    await inTurn(name, () => writeJson(file(name), schema, one.life ?? life));
  }
  function tell(name: string, life: Life | undefined, mailto: string[] = [], paused = false): void {
    const crash = life?.crash;
    const text = life && crash ? storyOf(name, host, { ...life, crash }, paused) : undefined;
    if (told.get(name) === text) return;
    if (text === undefined) told.delete(name);
    else told.set(name, text);
    const isDown = crash?.left !== undefined && life?.pid === crash.pid;
    bus.alert(
      name,
      'crashed',
      crash && text !== undefined
        ? {
            ts: crash.ts,
            since: crash.since,
            severity: isDown ? 'critical' : 'warning',
            message: text,
            vserver: name,
            ...(mailto.length > 0 ? { mailto } : {}),
          }
        : null,
    );
  }
  const event = (name: string, what: string, message: string) =>
    bus.event('host-agent', what, message, { vserver: name });

  /** It does not run, and shall: starts it, or says why not. Whatever a command changed meanwhile is not overwritten. */
  async function mend(name: string, one: Watched, life: Life, enabled: boolean): Promise<void> {
    const text = await readText(join(paths.vserver(name), 'monitor.conf'));
    const ofHost = await readText(join(settings.CONFIG_DIR, 'host-monitor.conf'));
    if (one.life !== life || !life.crash) return;
    const plan = crashPlanOf(text ?? '');
    one.mailto = plan.mailto;
    if (!plan.watched) return tell(name, undefined);
    const now = Date.now();
    const paused = [plan.pause, hostPauseOf(ofHost ?? '')].some((pause) => isPaused(pause, new Date(now)));
    tell(name, life, one.mailto, paused);
    const next = nextFor(life, { ...plan.crash, enabled, paused }, now);
    if (next === 'nothing') return;
    if (next !== 'start') {
      await save(name, one, { ...life, crash: { ...life.crash, ts: now, left: next.left } });
      tell(name, one.life, one.mailto);
      return event(name, 'not-restarted', `${name} is not started again on ${host}: ${next.left}`);
    }
    // counted before it is begun: whatever ends in the middle of it, no limit is passed
    await save(name, one, { ...life, starts: [...life.starts, now], crash: { ...life.crash, ts: now } });
    const failed = await ways
      .start(name, () => one.life?.wanted === true)
      .then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? error.message : String(error)).slice(0, TEXT),
      );
    const after = one.life;
    if (!after?.wanted || !after.crash) return; // it was stopped meanwhile
    await save(name, one, { ...after, crash: { ...after.crash, failed } });
    tell(name, one.life, one.mailto);
    const words = failed === undefined ? 'was started again' : `could not be started again: ${failed}`;
    event(name, failed === undefined ? 'restarted' : 'failed', `${name} crashed on ${host} and ${words}`);
  }

  async function bound(path: string): Promise<void> {
    const { size = 0 } = (await stat(path).catch(() => undefined)) ?? {};
    if (size > LOG_MOST) await truncate(path, 0);
  }
  async function look(one: Watched, state: VserverState): Promise<void> {
    const { name, uuid, epoch, enabled } = state;
    const lives = state.state === 'running' || state.state === 'frozen';
    const pid = lives ? state.pid : undefined;
    if (pid === undefined && state.state !== 'stopped') return;
    one.missing = pid === undefined ? one.missing + 1 : 0;
    const before = one.life;
    const isNew = pid !== undefined && before?.pid !== pid;
    if (isNew) {
      one.since = performance.now();
      await bound(logOf(name));
    }
    const held = state.saga !== undefined || epoch === 0 || ways.boots(name);
    const runsFor = performance.now() - one.since;
    const seen = { now: Date.now(), uuid, epoch, pid, runsFor, missing: one.missing, held };
    let next = lookAt(before, seen);
    if (next === 'ended' && before) {
      next = afterEnd(before, await howItEnded(name, before.pid, logOf(name)), seen);
      if (one.life !== before || stopping.has(name)) return; // a command was quicker
      if (!next.wanted) event(name, 'powered-off', `${name} was powered off from inside, on ${host}`);
      if (next.crash && next !== before)
        event(name, 'crashed', `${name} crashed on ${host}: ${next.crash.why}`);
    }
    if (!next || next === 'ended' || one.life !== before) return;
    if (next !== before) await save(name, one, next);
    if (!next.crash || pid !== undefined) tell(name, next.crash && next, one.mailto);
    else if (next.wanted && !held) await mend(name, one, next, enabled);
  }

  return {
    /** A look of each second. At once: what follows from it is done in the background. */
    seen(state: VserverState): void {
      const { name } = state;
      if (stopping.has(name)) return;
      void of(name)
        .then(async (one) => {
          if (one.busy || stopping.has(name)) return;
          one.busy = true;
          await look(one, state).finally(() => (one.busy = false));
        })
        .catch((error: unknown) => log.warn({ vserver: name, error: String(error) }, 'its life'));
    },
    /** Somebody stops it: it shall not run from now on (`again`: but for a moment). Answers what is called when that is done. */
    async stops(name: string, again: boolean): Promise<() => void> {
      stopping.set(name, (stopping.get(name) ?? 0) + 1);
      const one = await of(name);
      if (one.life && again) await save(name, one, { ...one.life, again });
      else if (one.life) await save(name, one, { ...one.life, wanted: false, crash: undefined });
      if (!again) tell(name, undefined);
      return () => {
        const left = (stopping.get(name) ?? 1) - 1;
        if (left > 0) stopping.set(name, left);
        else stopping.delete(name);
        one.missing = 0;
      };
    },
    /** Somebody starts one that runs already: it shall run. */
    async wants(name: string): Promise<void> {
      const one = await of(name);
      if (one.life?.wanted === false) await save(name, one, { ...one.life, wanted: true });
    },
    /** Its files are gone. */
    async forget(name: string): Promise<void> {
      watched.delete(name);
      tell(name, undefined);
      await removeFileDurable(file(name));
    },
  };
}
export type Lives = ReturnType<typeof createLives>;
