import type { CrashPlan } from '../../config/monitor/mend.ts';
import { nextTry, ofLastHour } from '../../shared/tries.ts';
import type { End } from './ended.ts';

/** What is known of a vserver's life since the boot of the host, over the end of the agent: RUN_DIR/.lives/NAME.json. */
export interface Life {
  version: 1;
  uuid: string;
  epoch: number;
  /** Its init, as it was seen last. */
  pid: number;
  /** It shall run: neither a person nor a saga has stopped it, and it was not powered off from inside. */
  wanted: boolean;
  /** When it was started again after a crash (ms), within the last hour. */
  starts: number[];
  /** It is being stopped to be started again at once. */
  again?: boolean | undefined;
  crash?: Crash | undefined;
}
export interface Crash {
  /** When it was found that it had crashed; `ts`: when something was done or decided last. */
  since: number;
  ts: number;
  why: string;
  /** Its init that ended. */
  pid: number;
  /** It is not started again: why. */
  left?: string | undefined;
  /** The last start of ours did not come about: why. */
  failed?: string | undefined;
}
/** One look at a vserver. */
export interface Look {
  now: number;
  uuid: string;
  epoch: number;
  /** Of its init while it lives. */
  pid?: number | undefined;
  /** So long (ms) it has been seen with that init. */
  runsFor?: number | undefined;
  /** In so many looks in a row nothing of it lived. */
  missing: number;
  /** Nothing is done now: a saga has it, it is just being started or stopped, its host boots, or does not own it. */
  held: boolean;
}
/** At a reboot from inside it is away for one look; who stops and starts it by hand is no slower than this. */
export const MISSING = 5;
/** A reboot that takes longer has failed. */
const REBOOT_MISSING = 15;
/** So long (ms) it has to run before its crash is over. */
export const STABLE_MS = 30_000;

/** What one look changes: a new life, or the wish to know how it ended. The same object: nothing has changed. */
export function lookAt(life: Life | undefined, look: Look): Life | 'ended' | undefined {
  const { now, uuid, epoch, pid } = look;
  if (pid !== undefined) {
    if (life?.uuid === uuid && life.pid === pid) {
      const isOver = life.crash && life.crash.pid !== pid && (look.runsFor ?? 0) >= STABLE_MS;
      return isOver ? { ...life, crash: undefined } : life;
    }
    const before = life?.uuid === uuid ? life : undefined;
    const starts = ofLastHour(before?.starts ?? [], now, (one) => one);
    return { version: 1, uuid, epoch, pid, wanted: true, starts, crash: before?.crash };
  }
  if (!life?.wanted || look.held || look.missing < MISSING) return life;
  // another one of that name, or it was elsewhere meanwhile
  if (life.uuid !== uuid || life.epoch !== epoch)
    return { ...life, uuid, epoch, wanted: false, crash: undefined };
  return life.crash?.pid === life.pid ? life : 'ended';
}

/** What its end means. The same life: it is not known yet. */
export function afterEnd(life: Life, end: End, { now, missing }: Pick<Look, 'now' | 'missing'>): Life {
  if (end.how === 'off' && !life.again) return { ...life, wanted: false, crash: undefined };
  if (end.how === 'reboot' && missing < REBOOT_MISSING) return life;
  const whys = {
    off: 'it did not come back from its restart',
    reboot: 'it did not come back from a reboot',
    unknown: 'nobody knows how, for it was started by hand',
  };
  const why = end.how === 'crash' ? end.why : life.again ? whys.off : whys[end.how];
  const left = end.how === 'unknown' && !life.again ? 'it was started by hand' : undefined;
  // one that crashes again is the same trouble: its alert goes on
  const since = life.crash?.since ?? now;
  return { ...life, again: undefined, crash: { since, ts: now, why, pid: life.pid, left } };
}

export type Next = 'nothing' | 'start' | { left: string };
/** What is done about one that has crashed and does not run. Starting it is not begun before `starts` has the time of it. */
export function nextFor(
  { crash, starts, pid }: Life,
  plan: CrashPlan & { enabled: boolean; paused: boolean },
  now: number,
): Next {
  // of an init that came after the crash it is not known yet how it ended
  if (!crash || crash.pid !== pid || crash.left !== undefined) return 'nothing';
  if (!plan.restart) return { left: 'RESTART=no in its monitor.conf' };
  if (!plan.enabled) return { left: 'it is disabled' };
  if (plan.paused) return 'nothing';
  const at = nextTry(starts, plan.perHour, now);
  if (at === undefined) return { left: `given up after ${starts.length} starts within an hour` };
  return now >= at ? 'start' : 'nothing';
}
