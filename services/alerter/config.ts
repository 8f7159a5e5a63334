import { join } from 'node:path';
import { type AlertLine, loadAlerts } from '../../config/alerts.ts';
import type { Settings } from '../../config/settings.ts';
import { fileMark } from '../../shared/store.ts';
import type { AlerterState } from './state.ts';
import type { Rules } from './decide.ts';
import { channelsOf, isSilent, routeOf } from './route.ts';

const HOUR_MS = 3_600_000;

/** alerts.conf, read again whenever it changes; one with a fault leaves the lines of before in force. */
export function openConfig(settings: Settings, told: (fault: string | undefined) => void) {
  const file = join(settings.CONFIG_DIR, 'alerts.conf');
  let mark: string | undefined;
  let lines: AlertLine[] = [];
  return {
    file,
    lines: () => lines,
    look(): void {
      const now = fileMark(file);
      if (now === mark) return;
      mark = now;
      try {
        lines = loadAlerts(file);
        told(undefined);
      } catch (error) {
        told((error as Error).message);
      }
    },
    /** All who may be told of anything. */
    channels: (): string[] => [
      ...new Set([...settings.MAIL_TO.map((to) => `mail:${to}`), ...lines.flatMap(channelsOf)]),
    ],
    rules: (state: AlerterState): Rules => ({
      route: (one) => routeOf(lines, settings.MAIL_TO, one),
      silent: (one, now) => isSilent(state.silences, lines, one, now),
      groupMs: settings.MAIL_GROUP_SECONDS * 1000,
      remindMs: settings.MAIL_REMIND_HOURS * HOUR_MS,
      perHour: settings.MAIL_PER_HOUR,
    }),
  };
}
export type Config = ReturnType<typeof openConfig>;
