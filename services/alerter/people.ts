import type { AlertRow, Silence } from '../../shared/contract/alerter.ts';
import { VsError } from '../../shared/errors.ts';
import { type Firing, keyOf } from './decide.ts';
import { fits } from './route.ts';
import type { AlerterState, Incident } from './state.ts';

const SILENCES = 1000;

const rowOf = (one: Incident, quiet: boolean): AlertRow => {
  const { told: _told, host: _host, mailto: _mailto, ...rest } = one;
  return { ...rest, silenced: quiet };
};
/** Alerts for people: what fires, also what is known of hosts that are offline; the worst first. */
export function rowsOf(
  state: AlerterState,
  firing: Firing[],
  silent: (one: Incident) => boolean,
): AlertRow[] {
  const rows = Object.values(state.incidents).map((one) => rowOf(one, silent(one)));
  for (const one of firing) {
    if (state.incidents[keyOf(one)]) continue;
    const { target, subject, check, severity, message } = one;
    rows.push({
      id: '',
      target,
      subject,
      check,
      severity,
      message,
      began: 0,
      count: 1,
      stale: true,
      silenced: false,
    });
  }
  const weight = (one: AlertRow) => (one.severity === 'critical' ? 0 : 1);
  return rows.toSorted(
    (a, b) => weight(a) - weight(b) || a.began - b.began || (a.subject < b.subject ? -1 : 1),
  );
}

/** Somebody looks after alerts that fire. Throws VsError 'not-found' when there is none. */
export function acknowledge(
  before: AlerterState,
  about: { subject: string; check: string; why: string; by: string },
  now: number,
): { state: AlerterState; found: Incident[] } {
  const state = structuredClone(before);
  const { subject, check, why, by } = about;
  const found = Object.values(state.incidents).filter(
    (one) => one.subject === subject && one.check === check && one.clear === undefined,
  );
  if (found.length === 0)
    throw new VsError('not-found', `no alert ${check} of ${subject} fires; "vs alerts" shows those that do`);
  for (const one of found) one.ack = { by, why, ts: now };
  return { state, found };
}

/** One more silence; the same subject and check again: in the place of the earlier one, when both begin at once. */
export function silenced(before: AlerterState, one: Silence, now: number): AlerterState {
  const kept = before.silences.filter(
    (other) =>
      other.until > now &&
      !(other.subject === one.subject && other.check === one.check && other.from <= now && one.from <= now),
  );
  if (kept.length >= SILENCES)
    throw new VsError('refused', `there are ${SILENCES} silences already; end some with vs alert unsilence`);
  return { ...structuredClone(before), silences: [...kept, one] };
}

/** Ends silences of this subject and check. */
export function unsilenced(
  before: AlerterState,
  subject: string,
  check: string,
): { state: AlerterState; removed: number } {
  const silences = before.silences.filter((one) => one.subject !== subject || one.check !== check);
  const removed = before.silences.length - silences.length;
  if (removed === 0) {
    const like = before.silences
      .filter((one) => fits(one.subject, subject))
      .map((one) => `${one.subject} ${one.check}`);
    const hint =
      like.length > 0 ? `; it is covered by: ${like.slice(0, 5).join(', ')}` : '; "vs alerts" shows silences';
    throw new VsError('not-found', `there is no silence of ${subject} ${check}${hint}`);
  }
  return { state: { ...structuredClone(before), silences }, removed };
}
