import type { AlerterState, Incident, Message, Notice } from './state.ts';

/** An alert as the topics say it now. */
export interface Firing {
  target: string;
  subject: string;
  check: string;
  host: string;
  severity: 'warning' | 'critical';
  message: string;
  /** Addresses that the alert brings along, sorted. */
  mailto?: string[];
}
export interface Rules {
  /** Who is told; the keys of channels. */
  route(one: Incident): string[];
  silent(one: Incident, now: number): boolean;
  groupMs: number;
  /** 0: never. */
  remindMs: number;
  perHour: number;
}
/** What is known of the pool at this moment. */
export interface Heard {
  alerts: Firing[];
  /** Hosts of which nothing is known. */
  offline: Set<string>;
  /** All retained alerts were heard: one that is not among them has ended. */
  complete: boolean;
}

const HOUR_MS = 3_600_000;
const PAST = 500;
const INCIDENTS = 20_000;
/** So many alerts are named in one message; the others are counted. */
const NAMED = 200;
const MESSAGE_CHARACTERS = 2000;

export const keyOf = (one: Pick<Firing, 'target' | 'subject' | 'check'>): string =>
  `${one.target}/${one.subject}/${one.check}`;

/** How long it must be quiet before it counts as ended: at once the first time, then ever longer, up to an hour. */
export const quietMs = (count: number, groupMs: number): number =>
  count <= 1 ? 0 : Math.min(HOUR_MS, groupMs * 2 ** Math.min(count - 1, 20));

const isOver = (one: Incident, now: number, groupMs: number): boolean =>
  one.clear !== undefined && !one.stale && now - one.clear >= quietMs(one.count, groupMs);

/** Is it unknown, as its host is offline? What the master itself says is known. */
const isStale = (one: Pick<Firing, 'target'>, offline: Set<string>): boolean => offline.has(one.target);

/** Takes what the topics say now into the incidents. Changes `state`. */
function take(state: AlerterState, heard: Heard, now: number): void {
  const firing = new Set<string>();
  let count = Object.keys(state.incidents).length;
  for (const alert of heard.alerts) {
    const key = keyOf(alert);
    firing.add(key);
    const message = alert.message.slice(0, MESSAGE_CHARACTERS);
    const before = state.incidents[key];
    if (before) {
      if (!isStale(alert, heard.offline)) {
        if (before.clear !== undefined) before.count++;
        delete before.clear;
        Object.assign(before, { severity: alert.severity, message, host: alert.host });
        delete before.mailto;
        if (alert.mailto) before.mailto = alert.mailto;
      }
      continue;
    }
    if (isStale(alert, heard.offline) || count >= INCIDENTS) continue;
    const recent = state.recent[key];
    const again = recent && now - recent.ended < HOUR_MS ? recent.count : 0;
    state.seq++;
    count++;
    const { target, subject, check, host, severity, mailto } = alert;
    const id = `${now.toString(36)}-${state.seq.toString(36)}`;
    state.incidents[key] = {
      id,
      target,
      subject,
      check,
      host,
      severity,
      message,
      began: now,
      count: again + 1,
      ...(mailto ? { mailto } : {}),
      stale: false,
      told: {},
    };
  }
  for (const [key, one] of Object.entries(state.incidents)) {
    one.stale = isStale(one, heard.offline);
    if (!firing.has(key) && !one.stale && heard.complete) one.clear ??= now;
  }
}

interface Wanted {
  kind: Notice['kind'];
  key: string;
  /** Since when it is to be told. */
  due: number;
}
/** What a channel is to be told of an incident now. */
function wantedOf(
  one: Incident,
  channel: string,
  rules: Rules,
  now: number,
): Omit<Wanted, 'key'> | undefined {
  const { clear } = one;
  const told = one.told[channel];
  const over = isOver(one, now, rules.groupMs);
  if (told?.ended) return undefined;
  if (told && over) return { kind: 'end', due: (clear ?? now) + quietMs(one.count, rules.groupMs) };
  if (one.stale || rules.silent(one, now)) return undefined;
  if (!told) {
    if (over) return { kind: 'passed', due: one.began };
    // one that has just gone is told when it is sure to be over, or when it comes again
    return clear === undefined || one.count > 1 ? { kind: 'begin', due: one.began } : undefined;
  }
  if (clear !== undefined) return undefined;
  if (told.severity === 'warning' && one.severity === 'critical')
    return { kind: 'worse', due: now - rules.groupMs };
  const reminds = rules.remindMs > 0 && !one.ack && now - told.at >= rules.remindMs;
  return reminds ? { kind: 'remind', due: told.at + rules.remindMs } : undefined;
}

const order: Notice['kind'][] = ['begin', 'worse', 'passed', 'remind', 'end'];

/** The message of a channel, when it is time for one. Changes `state`. */
function messageTo(
  channel: string,
  wanted: Wanted[],
  state: AlerterState,
  rules: Rules,
  now: number,
): Message | undefined {
  const first = Math.min(...wanted.map(({ due }) => due));
  if (now - first < rules.groupMs) return undefined;
  const about = (state.channels[channel] ??= { sent: [] });
  about.sent = about.sent.filter((at) => now - at < HOUR_MS);
  if (about.sent.length >= rules.perHour) {
    about.heldSince ??= now;
    return undefined;
  }
  state.seq++;
  const id = `${now.toString(36)}.${state.seq.toString(36)}`;
  const notices = wanted
    .toSorted(
      (a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || a.due - b.due || (a.key < b.key ? -1 : 1),
    )
    .flatMap(({ kind, key }): Notice[] => {
      const one = state.incidents[key];
      if (!one) return [];
      const { told, stale: _stale, mailto: _mailto, ...incident } = one;
      const { thread } = told[channel] ?? {};
      const ended = kind === 'end' || kind === 'passed';
      told[channel] = { severity: one.severity, at: now, thread: thread ?? id, ended };
      return [
        {
          kind,
          incident: structuredClone(incident),
          ...(thread === undefined ? {} : { thread }),
          ...(ended ? { ended: one.clear ?? now } : {}),
        },
      ];
    });
  about.sent.push(now);
  const held = about.heldSince === undefined ? {} : { heldSince: about.heldSince };
  const more = Math.max(0, notices.length - NAMED);
  delete about.heldSince;
  return { id, seq: state.seq, channel, at: now, notices: notices.slice(0, NAMED), more, ...held };
}

/** Incidents that are over, and of which nobody has to hear any more, go into the past. */
function close(state: AlerterState, rules: Rules, now: number): void {
  for (const [key, one] of Object.entries(state.incidents)) {
    if (!isOver(one, now, rules.groupMs)) continue;
    if (Object.values(one.told).some(({ ended }) => !ended)) continue;
    const untold = rules.route(one).some((channel) => !one.told[channel]);
    if (untold && !rules.silent(one, now)) continue;
    delete state.incidents[key];
    const ended = one.clear ?? now;
    const { id, target, subject, check, severity, message, began, count } = one;
    state.past.unshift({
      id,
      target,
      subject,
      check,
      severity,
      message: message.slice(0, 300),
      began,
      ended,
      count,
    });
    state.recent[key] = { count, ended };
  }
  state.past.length = Math.min(state.past.length, PAST);
  for (const [key, { ended }] of Object.entries(state.recent))
    if (now - ended >= HOUR_MS) delete state.recent[key];
  for (const [key, one] of Object.entries(state.channels))
    if (one.sent.every((at) => now - at >= HOUR_MS)) delete state.channels[key];
  state.silences = state.silences.filter(({ until }) => until > now);
}

/** What is to be told to whom at this moment (ms), and what is known from then on. Pure: `before` is left as it is. */
export function decide(
  before: AlerterState,
  heard: Heard,
  now: number,
  rules: Rules,
): { state: AlerterState; messages: Message[] } {
  const state = structuredClone(before);
  take(state, heard, now);
  const wanted = new Map<string, Wanted[]>();
  for (const [key, one] of Object.entries(state.incidents))
    for (const channel of new Set([...rules.route(one), ...Object.keys(one.told)])) {
      const want = wantedOf(one, channel, rules, now);
      if (!want) continue;
      const list = wanted.get(channel) ?? [];
      list.push({ key, ...want });
      wanted.set(channel, list);
    }
  const messages = [...wanted].flatMap(
    ([channel, list]) => messageTo(channel, list, state, rules, now) ?? [],
  );
  close(state, rules, now);
  return { state, messages };
}

/** Which hosts are away for longer than `graceMs`, and since when each is. Hosts that are back, or were removed, are not. */
export function hostsAway(
  before: Record<string, number>,
  states: { host: string; online: boolean }[],
  now: number,
  graceMs: number,
): { since: Record<string, number>; away: string[] } {
  const since: Record<string, number> = {};
  for (const { host, online } of states) if (!online) since[host] = before[host] ?? now;
  const away = Object.keys(since).filter((host) => now - (since[host] ?? now) >= graceMs);
  return { since, away };
}
