import { parseMonitor } from '../monitor.ts';
import { MOST_CHARACTERS } from './lines.ts';
import type { CrashPlan, Pause } from './mend.ts';

/**
 * What a monitor.conf says of a vserver that has ended by itself: also where other lines of it have faults. With a fault in
 * these lines it is not started again: a person wanted something else than the usual there.
 */
export function crashPlanOf(text: string): {
  watched: boolean;
  crash: CrashPlan;
  pause?: Pause | undefined;
  mailto: string[];
} {
  const own =
    /^\s*(export\s+)?(RESTART|RESTART_PER_HOUR|MEND_PAUSE|MEND_PAUSE_UNTIL|MONITOR_ENABLE|MONITOR_MAILTO)=/;
  try {
    const lines = text.slice(0, MOST_CHARACTERS).split(/\r?\n/);
    const {
      enabled,
      crash,
      pause: times,
      mailto,
    } = parseMonitor(lines.filter((one) => own.test(one)).join('\n'), '');
    return { watched: enabled, crash, pause: times, mailto };
  } catch {
    return { watched: true, crash: { restart: false, perHour: 1 }, mailto: [] };
  }
}
