import { nextTry, ofLastHour } from '../../../shared/tries.ts';

/** One thing that was done. `daemon` is absent when it was the whole vserver. Times in ms. */
export interface Try {
  ts: number;
  daemon?: string | undefined;
  /** When it was over; a try without it was begun by an agent that ended meanwhile. */
  ended?: number | undefined;
  /** Why it did not come about. */
  failed?: string | undefined;
}
/** What is known of the mending of a vserver: on disk before anything is done. */
export interface Mended {
  tries: Try[];
  /** By daemon: when nothing more was left to do, and its init then. */
  gaveUp: Record<string, { ts: number; pid: number }>;
}
export const nothingMended = (): Mended => ({ tries: [], gaveUp: {} });

/** What may be done for a daemon. */
export interface Plan {
  daemon: string;
  /** It can be restarted by itself, so often within an hour. */
  alone: boolean;
  perHour: number;
  /** Then its vserver may be restarted. */
  vserver: boolean;
}
/** What a look has found; `pid`: the init of its vserver. */
export interface Found {
  now: number;
  pid: number;
  /** Its alert fires, and it was not well in this very look. */
  isBad: boolean;
  /** Its alert fires. */
  fires: boolean;
}
/** What is to be done now; `later`: look again then (ms), for it may be done by then. */
export type Decision = { do: 'nothing' | 'daemon' | 'vserver' | 'give-up' } | { do: 'later'; at: number };

/** A vserver is restarted once an hour at most, whichever of its daemons wants it, and gets so long (ms) to come up. */
export const VSERVER_PER_HOUR = 1;
export const VSERVER_REST_MS = 60_000;
const MOST_TRIES = 200;

/** Takes what is older than an hour away, and what was given up but is well again, or was started anew by somebody. */
export function remembered({ tries, gaveUp }: Mended, daemon: string, { now, pid, fires }: Found): Mended {
  const given = gaveUp[daemon];
  const keeps = given !== undefined && fires && given.pid === pid;
  const { [daemon]: _gone, ...others } = gaveUp;
  return {
    tries: ofLastHour(tries, now, ({ ts }) => ts).slice(-MOST_TRIES),
    gaveUp: keeps ? gaveUp : others,
  };
}

/** What is done for a daemon after a look at it. Pure. */
export function decide(mended: Mended, plan: Plan, found: Found): Decision {
  const { now, pid, isBad, fires } = found;
  if (!fires || !isBad) return { do: 'nothing' };
  const { tries, gaveUp } = remembered(mended, plan.daemon, found);
  if (gaveUp[plan.daemon]?.pid === pid) return { do: 'nothing' };
  const timeOf = ({ ts, ended }: Try) => ended ?? ts;
  const ofVserver = tries.filter(({ daemon }) => daemon === undefined).map(timeOf);
  // what has just been started as a whole has its own daemons to start
  const rested = Math.max(...ofVserver) + VSERVER_REST_MS;
  if (now < rested) return { do: 'later', at: Math.min(rested, now + VSERVER_REST_MS) };
  if (plan.alone) {
    const own = tries.filter(({ daemon }) => daemon === plan.daemon).map(timeOf);
    const at = nextTry(own, plan.perHour, now);
    if (at !== undefined) return now >= at ? { do: 'daemon' } : { do: 'later', at };
  }
  if (plan.vserver && ofVserver.length < VSERVER_PER_HOUR) return { do: 'vserver' };
  return { do: 'give-up' };
}
