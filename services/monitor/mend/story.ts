import type { Alert } from '../../../shared/contract/host.ts';
import type { Mended, Try } from './decide.ts';

const MOST_TIMES = 5;
const MOST_MESSAGE = 2000;
const clock = (ts: number) => new Date(ts).toTimeString().slice(0, 8);

function times(tries: readonly Try[]): string {
  const shown = tries
    .slice(-MOST_TIMES)
    .map(({ ts, failed }) => `${clock(ts)}${failed === undefined ? '' : ` (${failed.slice(0, 60)})`}`);
  return `${tries.length > MOST_TIMES ? `${tries.length} times, last ` : ''}${shown.join(', ')}`;
}

/** What was done for a daemon within the last hour, in a few words; '' when nothing was. */
export function storyOf({ tries, gaveUp }: Mended, daemon: string): string {
  const own = tries.filter((one) => one.daemon === daemon);
  const whole = tries.filter((one) => one.daemon === undefined);
  return [
    ...(own.length > 0 ? [`restarted at ${times(own)}`] : []),
    ...(whole.length > 0 ? [`its vserver restarted at ${times(whole)}`] : []),
    ...(Object.hasOwn(gaveUp, daemon) ? ['given up: a person has to look at it'] : []),
  ].join('; ');
}

/** An alert of a daemon with what was done about it: what was given up is critical, whatever its severity was. */
export function withStory(alert: Alert, mended: Mended | undefined, daemon: string, left?: string): Alert {
  const story = [mended ? storyOf(mended, daemon) : '', left ?? ''].filter(Boolean).join('; ');
  if (!mended || story === '') return alert;
  const last = mended.tries.filter((one) => one.daemon === daemon || one.daemon === undefined).at(-1);
  const given = mended.gaveUp[daemon];
  const lines = mended.tries.map(
    ({ ts, daemon: of, failed }) =>
      `${new Date(ts).toISOString()} ${of ?? 'the vserver'} ${failed === undefined ? 'restarted' : `not restarted: ${failed}`}`,
  );
  const { details } = alert as { details?: unknown };
  return {
    ...alert,
    ts: Math.max(alert.ts, last?.ts ?? 0, given?.ts ?? 0),
    ...(given ? { severity: 'critical' as const } : {}),
    message: `${alert.message}; ${story}`.slice(0, MOST_MESSAGE),
    details: {
      ...(typeof details === 'object' ? details : {}),
      'What was done in the last hour': lines.join('\n') || story,
    },
  };
}
