/** How often the clock is looked at (ms). */
const LOOK_MS = 250;

export interface Watch {
  /** By how much (ms) the clock was set back, at most, since `begin`; 0 when it went on as it should. */
  setBack(): number;
  stop(): void;
}

/**
 * Watches the wall clock beside the one that nobody can set (CLOCK_MONOTONIC; both are slewed alike): what changed since
 * a time is told by ctimes, and a clock that was set back gives ctimes of before. A step there and back between two looks is not seen.
 */
export function watchClock(
  wall: () => number = () => Date.now(),
  steady: () => number = () => performance.now(),
): Watch {
  const first = wall() - steady();
  let lowest = first;
  const look = () => (lowest = Math.min(lowest, wall() - steady()));
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return {
    setBack() {
      look();
      return Math.max(0, Math.round(first - lowest));
    },
    stop: () => clearInterval(timer),
  };
}
