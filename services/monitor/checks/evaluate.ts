import type { Rule } from '../../../config/monitor/rule.ts';

/** What one poll found of a check. */
export interface Reading {
  /** Null: there is nothing to check (no such limit), which is as good as well. */
  value: number | null;
  /** What is wrong, in a few words for people; told only while it is. */
  text: string;
  /** A new `about` while it fires is told anew: other sockets have changed than before. */
  about?: string;
}
/** By check; one that is missing could not be looked at in this poll, and stays as it was. */
export interface Sample {
  ts: number;
  readings: Record<string, Reading>;
}
export interface Firing {
  since: number;
  /** When it was told last: its beginning, or the last time that it fired for another reason. */
  ts: number;
  severity: Rule['severity'];
  value: number;
  threshold: number;
  text: string;
  about?: string | undefined;
  /** Texts for its mail, of when it was told last. */
  details?: Record<string, string> | undefined;
}
export interface CheckState {
  /** Polls in a row that speak against what is said now: bad ones while it is well, good ones while it fires. */
  streak: number;
  firing?: Firing;
}
export type State = Record<string, CheckState>;
/** A check that begins to fire, fires for another reason, or (null) is well again. */
export interface Change {
  check: string;
  firing: Firing | null;
}

export const isBad = (rule: Rule, value: number) =>
  rule.below ? value <= rule.threshold : value >= rule.threshold;
/** Between the two thresholds it is neither bad nor well: nothing that fires clears there. */
function isWell(rule: Rule, value: number): boolean {
  if (isBad(rule, value)) return false;
  return rule.below ? value >= rule.clear : value <= rule.clear;
}

function step(rule: Rule, before: CheckState | undefined, reading: Reading, ts: number): CheckState {
  const { value, text, about } = reading;
  const { threshold, severity } = rule;
  const now = before?.firing;
  if (!now) {
    if (value === null || !isBad(rule, value)) return { streak: 0 };
    const streak = (before?.streak ?? 0) + 1;
    if (streak < rule.hits) return { streak };
    return { streak: 0, firing: { since: ts, ts, severity, value, threshold, text, about } };
  }
  if (value === null || isWell(rule, value)) {
    const streak = (before?.streak ?? 0) + 1;
    return streak < rule.clearHits ? { streak, firing: now } : { streak: 0 };
  }
  const isSame = now.severity === severity && now.threshold === threshold && now.about === about;
  const firing =
    isSame || !isBad(rule, value)
      ? now
      : { ...now, ts, severity, threshold, value, text, about, details: undefined };
  return { streak: 0, firing };
}

/**
 * One poll: what each check counts after it, and what is to be told. A check without a rule any more is over. Pure, so that
 * the same row of samples always says the same.
 */
export function evaluate(
  state: State,
  sample: Sample,
  rules: readonly Rule[],
): { state: State; changes: Change[] } {
  const next: State = {};
  const changes: Change[] = [];
  for (const rule of rules) {
    const before = state[rule.check];
    const reading = sample.readings[rule.check];
    const after = reading ? step(rule, before, reading, sample.ts) : before;
    if (!after) continue;
    if (after.streak > 0 || after.firing) next[rule.check] = after;
    if (after.firing !== before?.firing) changes.push({ check: rule.check, firing: after.firing ?? null });
  }
  for (const [check, { firing }] of Object.entries(state))
    if (firing && !rules.some((rule) => rule.check === check)) changes.push({ check, firing: null });
  return { state: next, changes };
}
