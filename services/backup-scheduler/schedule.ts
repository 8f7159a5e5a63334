import { type BackupLine, lineOf } from '../../config/backup.ts';
import type { Data } from '../../shared/contract/commands.ts';
import { nextSlot } from './times.ts';

const two = (value: number) => String(value).padStart(2, '0');
const clock = (minutes: number) => `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;

/** The lines as they are in force, and the next `count` runs of each vserver. */
export function scheduleOf(
  lines: BackupLine[],
  vservers: string[],
  now: number,
  count: number,
): Pick<Data<'backup-scheduler.schedule'>, 'lines' | 'runs'> {
  return {
    lines: lines.map(({ keep, window, ...one }) => ({
      ...one,
      keep: Object.fromEntries(Object.entries(keep)),
      ...(window ? { window: `${clock(window.from)}-${clock(window.to)}` } : {}),
    })),
    runs: vservers.flatMap((vserver) => {
      const line = lineOf(lines, vserver);
      if (!line || line.mode === 'none') return [];
      const at: number[] = [];
      let slot = nextSlot(line, vserver, now);
      while (slot && at.length < count) {
        at.push(slot.at);
        slot = nextSlot(line, vserver, Math.max(slot.slot, slot.at));
      }
      return [{ vserver, line: line.line, at }];
    }),
  };
}
