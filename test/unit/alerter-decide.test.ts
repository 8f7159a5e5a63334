import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Firing,
  type Heard,
  type Rules,
  decide,
  hostsAway,
  keyOf,
} from '../../services/alerter/decide.ts';
import { type Message, alerterState, emptyState } from '../../services/alerter/state.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const rules: Rules = {
  route: () => ['mail:a@x.org'],
  silent: () => false,
  groupMs: MINUTE,
  remindMs: 24 * HOUR,
  perHour: 30,
};
const alertOf = (subject: string, more: Partial<Firing> = {}): Firing => ({
  target: 'host1',
  host: 'host1',
  subject,
  check: 'disk',
  severity: 'warning',
  message: `${subject} is full`,
  ...more,
});
const heardOf = (alerts: Firing[], more: Partial<Heard> = {}): Heard => ({
  alerts,
  offline: new Set(),
  complete: true,
  ...more,
});

/** Runs ticks of `every` ms from `from` to `to`; answers each message with its time and what it says. */
function play(
  from: number,
  to: number,
  at: (now: number) => Heard,
  with_: Partial<Rules> = {},
  every = 10 * SECOND,
  start = emptyState(),
) {
  let state = start;
  const sent: { at: number; channel: string; said: string[]; message: Message }[] = [];
  for (let now = from; now <= to; now += every) {
    const before = JSON.stringify(state);
    const step = decide(state, at(now), now, { ...rules, ...with_ });
    expect(JSON.stringify(state)).toBe(before); // it is pure
    // what is on disk is all that counts, as after a crash at any tick
    state = alerterState.parse(JSON.parse(JSON.stringify(step.state)));
    for (const message of step.messages)
      sent.push({
        at: now,
        channel: message.channel,
        said: message.notices.map(({ kind, incident }) => `${kind} ${incident.subject}`),
        message,
      });
  }
  return { state, sent, said: sent.flatMap(({ said }) => said) };
}
const during = (alerts: Firing[], from: number, until: number) => (now: number) =>
  heardOf(from <= now && now < until ? alerts : []);

describe('one alert', () => {
  test('begins with one mail after the time of grouping, and ends with one in its thread', () => {
    const { sent, state } = play(0, HOUR, during([alertOf('web1')], 5 * MINUTE, 20 * MINUTE));
    expect(sent.map(({ at, said }) => [at / MINUTE, said])).toEqual([
      [6, ['begin web1']],
      [21, ['end web1']],
    ]);
    expect(sent[1]?.message.notices[0]?.thread).toBe(sent[0]?.message.id);
    expect(state.incidents).toEqual({});
    expect(state.past).toMatchObject([{ subject: 'web1', began: 5 * MINUTE, ended: 20 * MINUTE }]);
  });
  test('that is over before it is told is one mail that says so', () => {
    expect(play(0, HOUR, during([alertOf('web1')], 0, 20 * SECOND)).said).toEqual(['passed web1']);
  });
  test('that flaps at every look begins once and ends once, when it has long been quiet', () => {
    const { sent } = play(0, 6 * HOUR, (now) =>
      heardOf(now < HOUR && (now / (10 * SECOND)) % 2 === 0 ? [alertOf('web1')] : []),
    );
    expect(sent.map(({ said }) => said)).toEqual([['begin web1'], ['end web1']]);
    expect(sent[1]?.at).toBeGreaterThanOrEqual(2 * HOUR - MINUTE);
    expect(sent[1]?.message.notices[0]?.incident.count).toBe(180);
  });
  test('that flaps slower than the grouping is a few mails, not one each time', () => {
    expect(
      play(0, 6 * HOUR, (now) =>
        heardOf(now < 3 * HOUR && now % (2 * MINUTE) < 10 * SECOND ? [alertOf('web1')] : []),
      ).said,
    ).toEqual(['passed web1', 'begin web1', 'end web1']);
  });
  test('is told again by the interval, until somebody looks after it', () => {
    const remind = { remindMs: HOUR };
    const one = play(0, 3.5 * HOUR, () => heardOf([alertOf('web1')]), remind);
    expect(one.said).toEqual(['begin web1', 'remind web1', 'remind web1', 'remind web1']);
    const incident = one.state.incidents[keyOf(alertOf('web1'))];
    if (incident) incident.ack = { by: 'anna', why: 'disk ordered', ts: 0 };
    const two = play(
      3.6 * HOUR,
      10 * HOUR,
      during([alertOf('web1')], 0, 9 * HOUR),
      remind,
      MINUTE,
      one.state,
    );
    expect(two.said).toEqual(['end web1']);
  });
  test('that gets worse is told at once', () => {
    const { sent } = play(0, 10 * MINUTE, (now) =>
      heardOf([alertOf('web1', { severity: now < 5 * MINUTE ? 'warning' : 'critical' })]),
    );
    expect(sent.map(({ at, said }) => [at / MINUTE, said])).toEqual([
      [1, ['begin web1']],
      [5, ['worse web1']],
    ]);
  });
  test('who is to know of critical ones alone hears of it when it becomes critical, and of its end', () => {
    const route: Rules['route'] = (one) => (one.severity === 'critical' ? ['mail:night@x.org'] : []);
    const at = (now: number) =>
      heardOf(
        now < 20 * MINUTE
          ? [alertOf('web1', { severity: now < 5 * MINUTE || now > 10 * MINUTE ? 'warning' : 'critical' })]
          : [],
      );
    expect(play(0, HOUR, at, { route }).said).toEqual(['begin web1', 'end web1']);
  });
});

test('50 vservers of a host within a minute are one mail, and one when they end', () => {
  const all = Array.from({ length: 50 }, (_, index) => alertOf(`web${index}`));
  const at = (now: number) =>
    heardOf(
      now < 10 * MINUTE
        ? all.slice(0, 1 + now / SECOND)
        : all.slice(0, Math.max(0, 50 - (now - 10 * MINUTE) / SECOND)),
    );
  const { sent } = play(0, HOUR, at, {}, SECOND);
  expect(sent.map(({ said }) => said.length)).toEqual([50, 50]);
  expect(new Set(sent[1]?.said.map((one) => one.split(' ')[0]))).toEqual(new Set(['end']));
});

test('a host that is away is one alert; what its vservers said is stale: no end, no begin, no reminder', () => {
  const away: Firing = {
    target: 'master',
    subject: 'host1',
    host: 'host1',
    check: 'offline',
    severity: 'critical',
    message: 'host1 is unknown',
  };
  const vservers = Array.from({ length: 20 }, (_, index) => alertOf(`web${index}`));
  const at = (now: number): Heard => {
    if (now < 10 * MINUTE) return heardOf([]);
    if (now < 50 * HOUR) return heardOf([away, ...vservers], { offline: new Set(['host1']) });
    return heardOf([]); // it is back, and all is well
  };
  const { said } = play(0, 60 * HOUR, at, {}, MINUTE);
  expect(said.filter((one) => !one.endsWith('host1'))).toEqual([]);
  expect(said).toEqual(['begin host1', 'remind host1', 'remind host1', 'end host1']);
  // those that were told before are neither ended nor told again while it is away
  const before = play(0, 10 * MINUTE, () => heardOf(vservers));
  const gone = play(
    11 * MINUTE,
    48 * HOUR,
    () => heardOf([], { offline: new Set(['host1']) }),
    {},
    MINUTE,
    before.state,
  );
  expect(gone.said).toEqual([]);
  expect(
    play(49 * HOUR, 50 * HOUR, () => heardOf([]), {}, MINUTE, gone.state).sent.map(
      ({ said: words }) => words.length,
    ),
  ).toEqual([20]);
});

test('one that is quiet, but not for long enough, does not end while its host is away', () => {
  const at = (now: number): Heard => {
    const fires =
      now < 5 * MINUTE ||
      (6 * MINUTE <= now && now < 7 * MINUTE) ||
      (60 * MINUTE <= now && now < 61 * MINUTE);
    return heardOf(fires ? [alertOf('web1')] : [], {
      offline: new Set(8 * MINUTE <= now && now < HOUR ? ['host1'] : []),
    });
  };
  const { sent } = play(0, 3 * HOUR, at);
  expect(sent.map(({ said }) => said)).toEqual([['begin web1'], ['end web1']]);
  expect(sent[1]?.at).toBeGreaterThan(HOUR);
});

test('nothing ends while not all was heard: after a restart, or while the broker is away', () => {
  const before = play(0, 10 * MINUTE, () => heardOf([alertOf('web1')]));
  const blind = play(11 * MINUTE, 5 * HOUR, () => heardOf([], { complete: false }), {}, MINUTE, before.state);
  expect(blind.said).toEqual([]);
  expect(play(5 * HOUR, 6 * HOUR, () => heardOf([alertOf('web1')]), {}, MINUTE, blind.state).said).toEqual(
    [],
  );
});

test('a silence keeps begin and reminders back, not the end of what was told; what still fires after it is told', () => {
  const silent = (_: unknown, now: number) => now >= 10 * MINUTE && now < HOUR;
  const told = play(0, 3 * HOUR, during([alertOf('web1')], 0, 30 * MINUTE), {
    silent,
    remindMs: 15 * MINUTE,
  });
  expect(told.said).toEqual(['begin web1', 'end web1']);
  const untold = play(0, 3 * HOUR, during([alertOf('web1')], 15 * MINUTE, 2 * HOUR), { silent });
  expect(untold.sent.map(({ at, said }) => [at / MINUTE, said[0]])).toEqual([
    [60, 'begin web1'],
    [121, 'end web1'],
  ]);
  expect(play(0, 3 * HOUR, during([alertOf('web1')], 15 * MINUTE, 40 * MINUTE), { silent }).said).toEqual([]);
});

test('a storm is held to so many messages an hour, and nothing of it is lost', () => {
  const at = (now: number) =>
    heardOf(
      Array.from({ length: Math.floor(now / (2 * MINUTE)) }, (_, index) => alertOf(`web${index}`)).slice(
        0,
        60,
      ),
    );
  const { sent, said } = play(0, 5 * HOUR, at, { perHour: 5 });
  for (const { at: now } of sent)
    expect(sent.filter((one) => now - HOUR < one.at && one.at <= now).length).toBeLessThanOrEqual(5);
  expect(said.toSorted()).toEqual(Array.from({ length: 60 }, (_, index) => `begin web${index}`).toSorted());
  expect(sent.some(({ message }) => message.heldSince !== undefined)).toBe(true);
});

test('a message names 200 alerts and counts the others', () => {
  const all = Array.from({ length: 1000 }, (_, index) => alertOf(`web${index}`));
  const { sent } = play(0, 2 * MINUTE, () => heardOf(all));
  expect(sent.map(({ message }) => [message.notices.length, message.more])).toEqual([[200, 800]]);
});

test('a host counts as away after its time, and is forgotten when it is back or removed', () => {
  const first = hostsAway(
    {},
    [
      { host: 'host1', online: false },
      { host: 'host2', online: true },
    ],
    1000,
    60,
  );
  expect(first).toEqual({ since: { host1: 1000 }, away: [] });
  expect(hostsAway(first.since, [{ host: 'host1', online: false }], 1060, 60)).toEqual({
    since: { host1: 1000 },
    away: ['host1'],
  });
  expect(hostsAway(first.since, [], 2000, 60)).toEqual({ since: {}, away: [] });
});

/** The same by hand for one alert and one who is told, over a row of looks: an alarm clock, not a state. */
function naive(row: boolean[], group: number): string[] {
  const said: string[] = [];
  let at = 0;
  let count = 0;
  let ended = Number.NEGATIVE_INFINITY;
  while (at < row.length) {
    if (!row[at]) {
      at++;
      continue;
    }
    const began = at;
    count = began - ended < 60 ? count + 1 : 1;
    let told = false;
    let now = began;
    let clear: number | undefined;
    for (; ; now++) {
      const on = now < row.length ? row[now] : false;
      if (on && clear !== undefined) {
        clear = undefined;
        count++;
      } else if (!on) clear ??= now;
      const quiet = count === 1 ? 0 : Math.min(60, group * 2 ** (count - 1));
      const over = clear !== undefined && now - clear >= quiet;
      if (!told && now - began >= group) {
        if (over) {
          said.push(`${now} passed`);
          break;
        }
        if (on || count > 1) {
          said.push(`${now} begin`);
          told = true;
          continue;
        }
      }
      if (told && over && now - ((clear ?? 0) + quiet) >= group) {
        said.push(`${now} end`);
        break;
      }
    }
    ended = clear ?? now;
    at = now + 1;
  }
  return said;
}
test('any series of looks: as an independent simulation says', () => {
  fc.assert(
    fc.property(
      fc.array(fc.boolean(), { minLength: 1, maxLength: 150 }),
      fc.integer({ min: 1, max: 5 }),
      (row, group) => {
        const at = (now: number) => heardOf(row[now / MINUTE] ? [alertOf('web1')] : []);
        const { sent } = play(
          0,
          (row.length + 300) * MINUTE,
          at,
          { groupMs: group * MINUTE, perHour: 1000 },
          MINUTE,
        );
        expect(sent.map(({ at: now, said }) => `${now / MINUTE} ${said[0]?.split(' ')[0]}`)).toEqual(
          naive(row, group),
        );
      },
    ),
    { numRuns: 100 },
  );
});
test('any mix of alerts, offline hosts and limits: begin and end are paired for each who is told, and the thread is kept', () => {
  const names = ['web1', 'web2', 'db1'];
  const step = fc.record({
    on: fc.subarray(names),
    away: fc.boolean(),
    blind: fc.boolean(),
    grave: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 5, maxLength: 60 }),
      fc.integer({ min: 1, max: 6 }),
      (steps, perHour) => {
        const at = (now: number): Heard => {
          const one = steps[Math.floor(now / (3 * MINUTE))];
          return one
            ? heardOf(
                one.on.map((name) => alertOf(name, { severity: one.grave ? 'critical' : 'warning' })),
                { offline: new Set(one.away ? ['host1'] : []), complete: !one.blind },
              )
            : heardOf([]);
        };
        const route = () => ['mail:a@x.org', 'mail:b@x.org'];
        const { sent, state } = play(
          0,
          steps.length * 3 * MINUTE + 12 * HOUR,
          at,
          { route, perHour, remindMs: HOUR },
          MINUTE,
        );
        const rows = new Map<string, { kind: string; thread: string | undefined; id: string }[]>();
        for (const { channel, message } of sent)
          for (const { kind, incident, thread } of message.notices) {
            const key = `${channel} ${incident.id}`;
            rows.set(key, [...(rows.get(key) ?? []), { kind, thread, id: message.id }]);
          }
        for (const row of rows.values()) {
          expect(row.map(({ kind }) => kind).join(' ')).toMatch(/^(passed|begin( worse| remind)* end)$/);
          for (const { thread } of row.slice(1)) expect(thread).toBe(row[0]?.id);
        }
        expect(state.incidents).toEqual({});
        expect(rows.size).toBe(2 * state.past.length);
      },
    ),
    { numRuns: 40 },
  );
});
