import { describe, expect, test } from 'vitest';
import { parseMonitor } from '../../config/monitor.ts';
import { crashPlanOf } from '../../config/monitor/crash-plan.ts';
import { hostPauseOf, parseHostMonitor } from '../../config/monitor/host.ts';
import { withPause } from '../../config/monitor/switch.ts';
import { type Pause, isPaused } from '../../config/monitor/mend.ts';
import { kept } from '../../services/monitor/checks/keep.ts';
import {
  type Decision,
  type Mended,
  decide,
  nothingMended,
  remembered,
} from '../../services/monitor/mend/decide.ts';
import { commandsOf, leftBy } from '../../services/monitor/mend/restart.ts';
import { storyOf, withStory } from '../../services/monitor/mend/story.ts';
import { RESTS_MS, nextTry } from '../../shared/tries.ts';

const HOUR = 3_600_000;
/** Numbers by chance that come again. */
function chance(seed: number) {
  let now = seed;
  return (below: number) => {
    now = (Math.imul(now, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((now / 2 ** 32) * below);
  };
}

describe('how often and when', () => {
  test('at once, then after ever longer rests, so often within an hour', () => {
    expect(nextTry([], 4, 1000)).toBe(1000);
    expect(nextTry([1000], 4, 1500)).toBe(11_000);
    expect(nextTry([1000, 11_000], 4, 11_000)).toBe(41_000);
    expect(nextTry([1000, 11_000, 41_000], 4, 41_000)).toBe(101_000);
    expect(nextTry([1000, 11_000, 41_000, 101_000], 4, 101_000)).toBeUndefined();
    expect(nextTry([1000, 11_000, 41_000, 101_000], 4, 1000 + HOUR)).toBe(161_000);
  });
  test('a clock that is set back frees nothing for more than a rest', () => {
    const later = [10 * HOUR, 10 * HOUR + 10_000];
    expect(nextTry(later, 4, 10 * HOUR - 600_000)).toBe(10 * HOUR - 600_000 + 30_000);
    expect(nextTry(later, 2, 10 * HOUR - 600_000)).toBeUndefined();
  });
});

describe('a pause of mending', () => {
  const at = (day: number, hour: number, minute = 0) => new Date(2026, 10, 1 + day, hour, minute); // 1 November 2026: a Sunday
  const of = (text: string) => parseMonitor(`MEND_PAUSE="${text}"`, 'm').pause as Pause;
  test('within a day, over midnight by the day of its begin, on some days only', () => {
    expect(isPaused(undefined, at(0, 3))).toBe(false);
    expect([2, 3, 4].map((hour) => isPaused(of('03:00-04:00'), at(1, hour)))).toEqual([false, true, false]);
    const night = of('sat 22:00-04:00');
    expect([
      isPaused(night, at(6, 21, 59)),
      isPaused(night, at(6, 22)),
      isPaused(night, at(7, 3, 59)),
    ]).toEqual([false, true, true]);
    expect([isPaused(night, at(7, 4)), isPaused(night, at(7, 23)), isPaused(night, at(6, 1))]).toEqual([
      false,
      false,
      false,
    ]);
    expect(isPaused(of('00:00-00:00'), at(3, 12))).toBe(true);
  });
  test('until a moment, besides the times of each week', () => {
    const both = parseMonitor('MEND_PAUSE=03:00-04:00\nMEND_PAUSE_UNTIL=2026-11-02T12:00', 'm').pause;
    expect([at(1, 11, 59), at(1, 12), at(1, 3)].map((one) => isPaused(both, one))).toEqual([
      true,
      false,
      true,
    ]);
    expect(isPaused(both, at(2, 3))).toBe(true);
    expect(isPaused(both, at(2, 5))).toBe(false);
    expect(parseMonitor('MEND_PAUSE_UNTIL=2026-11-02T12:00:30Z', 'm').pause?.until).toBe(
      Date.UTC(2026, 10, 2, 12, 0, 30),
    );
    for (const wrong of ['tomorrow', '2026-13-02T12:00', '2026-11-02', '12:00'])
      expect(() => parseMonitor(`MEND_PAUSE_UNTIL=${wrong}`, 'm'), wrong).toThrow(
        /m:1:18: found ".*", expected a moment such as/,
      );
  });
  test('of a whole host, also where other lines of its file have faults; a fault in these lines pauses nothing', () => {
    expect(hostPauseOf('')).toBeUndefined();
    expect(hostPauseOf('NONSENSE\nexport MEND_PAUSE_UNTIL=2026-11-02T12:00Z # new disks')).toEqual({
      until: Date.UTC(2026, 10, 2, 12),
    });
    expect(hostPauseOf('MEND_PAUSE="sun 02:00-04:00"')?.times).toMatchObject({ days: [0], from: 120 });
    expect(hostPauseOf('MEND_PAUSE=always')).toBeUndefined();
    expect(parseHostMonitor('MEND_PAUSE_UNTIL=2026-11-02T12:00Z', 'h').pause).toEqual({
      until: Date.UTC(2026, 10, 2, 12),
    });
  });
  test('the line of a pause is put first, changed, and taken away; all else stays as it is', () => {
    const text = '# mine\nRSS_THRESHOLD=90\nMEND_PAUSE="sat 22:00-04:00"\n';
    const until = Date.UTC(2026, 10, 2, 12);
    const paused = withPause(text, until);
    expect(paused).toBe(`MEND_PAUSE_UNTIL=2026-11-02T12:00:00Z\n${text}`);
    expect(withPause(paused, until + 60_000)).toBe(`MEND_PAUSE_UNTIL=2026-11-02T12:01:00Z\n${text}`);
    expect(withPause(paused, null)).toBe(text);
    expect(withPause(text, null)).toBe(text);
    expect(parseMonitor(paused, 'm').pause).toMatchObject({ until, times: { days: [6] } });
  });
  test('what a file says of its end counts where other lines have faults; a fault in these lines starts nothing', () => {
    expect(crashPlanOf('')).toMatchObject({ watched: true, crash: { restart: true, perHour: 4 } });
    expect(crashPlanOf('NONSENSE\nRESTART=no\nMONITOR_MAILTO=a@example.org')).toMatchObject({
      crash: { restart: false },
      mailto: ['a@example.org'],
    });
    expect(crashPlanOf('RESTART=perhaps').crash.restart).toBe(false);
    expect(crashPlanOf('MONITOR_ENABLE=no').watched).toBe(false);
  });
});

describe('a daemon that is not well', () => {
  const plan = { daemon: 'a', alone: true, perHour: 3, vserver: true };
  const bad = (now: number, pid = 1) => ({ now, pid, fires: true, isBad: true });
  /** Does what is decided, at once, and answers what it was. */
  function act(mended: Mended, now: number, of = plan, pid = 1): { mended: Mended; done: Decision['do'] } {
    const next = remembered(mended, of.daemon, bad(now, pid));
    const { do: done } = decide(next, of, bad(now, pid));
    if (done === 'daemon') next.tries = [...next.tries, { ts: now, daemon: of.daemon, ended: now }];
    if (done === 'vserver') next.tries = [...next.tries, { ts: now, ended: now }];
    if (done === 'give-up') next.gaveUp = { ...next.gaveUp, [of.daemon]: { ts: now, pid } };
    return { mended: next, done };
  }
  /** What is done when it is looked at each second and nothing helps. */
  function play(of: typeof plan, seconds: number): string[] {
    let mended = nothingMended();
    const done: string[] = [];
    for (let at = 0; at <= seconds; at++) {
      const result = act(mended, at * 1000, of);
      // as after a restart of the agent
      mended =
        kept.parse(JSON.parse(JSON.stringify({ version: 1, mended: result.mended }))).mended ??
        nothingMended();
      if (result.done !== 'nothing' && result.done !== 'later') done.push(`${at} ${result.done}`);
    }
    return done;
  }
  test('restarts with rests, then its vserver, then it is given up, and that is the end', () => {
    expect(play(plan, 3000)).toEqual(['0 daemon', '10 daemon', '40 daemon', '41 vserver', '101 give-up']);
    expect(play({ ...plan, vserver: false }, 9000)).toEqual([
      '0 daemon',
      '10 daemon',
      '40 daemon',
      '41 give-up',
    ]);
    expect(play({ ...plan, alone: false }, 3000)).toEqual(['0 vserver', '60 give-up']);
  });
  test('nothing is done while it is well, or not yet told to be bad', () => {
    expect(decide(nothingMended(), plan, { ...bad(0), isBad: false })).toEqual({ do: 'nothing' });
    expect(decide(nothingMended(), plan, { ...bad(0), fires: false })).toEqual({ do: 'nothing' });
  });
  test('well again, or started anew by somebody, it may be mended again: within the same limits', () => {
    const given: Mended = {
      tries: [0, 1, 2].map((ts) => ({ ts, daemon: 'a', ended: ts })),
      gaveUp: { a: { ts: 3, pid: 1 }, b: { ts: 3, pid: 1 } },
    };
    expect(decide(given, plan, bad(1000))).toEqual({ do: 'nothing' });
    expect(remembered(given, 'a', { ...bad(1000), fires: false }).gaveUp).toEqual({ b: { ts: 3, pid: 1 } });
    expect(decide(given, { ...plan, vserver: false }, bad(1000, 2))).toEqual({ do: 'give-up' });
    expect(decide(given, plan, bad(1000, 2))).toEqual({ do: 'vserver' });
    expect(decide(given, plan, bad(2 * HOUR, 2))).toEqual({ do: 'daemon' });
  });
  test('a vserver is restarted once an hour, whichever of its daemons wants it', () => {
    const once: Mended = { tries: [{ ts: 0, ended: 5000 }], gaveUp: {} };
    expect(decide(once, plan, bad(6000))).toEqual({ do: 'later', at: 65_000 });
    expect(decide(once, { ...plan, alone: false }, bad(65_000))).toEqual({ do: 'give-up' });
  });

  test('a row of looks by chance: what is done keeps to limits and rests, as found by looking back over all that was done', () => {
    let acts = 0;
    for (let seed = 1; seed <= 80; seed++) {
      const any = chance(seed);
      const plans = ['a', 'b'].map((daemon) => ({
        daemon,
        alone: any(4) > 0,
        perHour: 1 + any(4),
        vserver: any(2) === 0,
      }));
      const log: { at: number; what: string; pid: number }[] = [];
      let mended = nothingMended();
      let now = 0;
      let pid = 1;
      const fires: Record<string, boolean> = { a: false, b: false };
      for (let step = 0; step < 300; step++) {
        now += 1000 * (1 + any(any(5) === 0 ? 900 : 30));
        if (any(60) === 0) pid++; // somebody starts it anew
        const of = plans[any(2)] as (typeof plans)[0];
        const isBad = any(5) > 0;
        fires[of.daemon] = isBad && any(20) > 0;
        const found = { now, pid, fires: fires[of.daemon] === true, isBad };
        mended = remembered(mended, of.daemon, found);
        const decision = decide(mended, of, found);
        // the same by other means: from the log of all that was ever done
        const own = log.filter(({ what, at }) => what === of.daemon && now - at < HOUR);
        const whole = log.filter(({ what, at }) => what === '*' && now - at < HOUR);
        const lastWhole = whole.at(-1)?.at ?? -Infinity;
        const events = log.filter(({ what }) => [`give-up ${of.daemon}`, `well ${of.daemon}`].includes(what));
        const isGiven = events.at(-1)?.what.startsWith('give-up') === true && events.at(-1)?.pid === pid;
        const rest = RESTS_MS[Math.min(own.length, 5) - 1] ?? 0;
        const expected =
          !found.fires || !isBad || isGiven
            ? 'nothing'
            : now - lastWhole < 60_000
              ? 'later'
              : of.alone && own.length < of.perHour
                ? own.length === 0 || now - (own.at(-1)?.at ?? 0) >= rest
                  ? 'daemon'
                  : 'later'
                : of.vserver && whole.length === 0
                  ? 'vserver'
                  : 'give-up';
        expect(decision.do, `seed ${seed}, step ${step}`).toBe(expected);
        if (decision.do === 'later') expect(decision.at).toBeGreaterThan(now);
        if (!found.fires) log.push({ at: now, what: `well ${of.daemon}`, pid });
        if (decision.do === 'daemon') {
          mended = { ...mended, tries: [...mended.tries, { ts: now, daemon: of.daemon }] };
          log.push({ at: now, what: of.daemon, pid });
        } else if (decision.do === 'vserver') {
          mended = { ...mended, tries: [...mended.tries, { ts: now }] };
          log.push({ at: now, what: '*', pid: ++pid });
        } else if (decision.do === 'give-up') {
          mended = { ...mended, gaveUp: { ...mended.gaveUp, [of.daemon]: { ts: now, pid } } };
          log.push({ at: now, what: `give-up ${of.daemon}`, pid });
        } else continue;
        acts++;
      }
    }
    expect(acts).toBeGreaterThan(1500);
  });
});

describe('what is told and run', () => {
  const mended: Mended = {
    tries: [
      { ts: 1000, daemon: 'a', ended: 2000, failed: 'exit code 7' },
      { ts: 20_000, daemon: 'a', ended: 20_000 },
      { ts: 30_000, ended: 40_000 },
      { ts: 50_000, daemon: 'b', ended: 50_000 },
    ],
    gaveUp: { a: { ts: 90_000, pid: 1 } },
  };
  test('an alert says what was done and when; what is given up is critical', () => {
    const clock = '\\d\\d:\\d\\d:\\d\\d';
    expect(storyOf(mended, 'a')).toMatch(
      new RegExp(
        `^restarted at ${clock} \\(exit code 7\\), ${clock}; its vserver restarted at ${clock}; given up`,
      ),
    );
    const alert = { ts: 500, severity: 'warning' as const, message: 'web1: a: gone', details: { tree: 'x' } };
    const told = withStory(alert, mended, 'a');
    expect(told).toMatchObject({ ts: 90_000, severity: 'critical', details: { tree: 'x' } });
    expect(told.message).toMatch(/^web1: a: gone; restarted at /);
    expect(withStory(alert, nothingMended(), 'a')).toBe(alert);
    expect(withStory(alert, nothingMended(), 'a', 'not restarted').message).toBe(
      'web1: a: gone; not restarted',
    );
  });
  test('commands: argument arrays; a unit that failed too often is freed first', () => {
    const of = (text: string) =>
      parseMonitor(`DAEMON=a tcp=80 restart="${text}"`, 'm').daemons[0]?.mend?.restart;
    const commands = (text: string) => {
      const how = of(text);
      return how && commandsOf(how).map((words) => words.join(' '));
    };
    expect(commands('systemctl:nginx')).toEqual([
      'systemctl reset-failed -- nginx',
      'systemctl restart -- nginx',
    ]);
    expect(commands('service:nginx')).toEqual(['service nginx restart']);
    expect(commands('exec:/bin/again  --now $(id)')).toEqual(['/bin/again --now $(id)']);
  });
  test('a unit that a person stopped, disabled or masked is left alone; one that died is not', () => {
    const shown = (active: string, result: string, file: string) =>
      leftBy(`Result=${result}\nActiveState=${active}\nUnitFileState=${file}\n`);
    expect(shown('inactive', 'success', 'enabled')).toMatch(/somebody stopped it/);
    expect(shown('active', 'success', 'masked')).toMatch(/masked/);
    expect(shown('active', 'success', 'disabled')).toMatch(/disabled/);
    expect(shown('failed', 'signal', 'enabled')).toBeUndefined();
    expect(shown('inactive', 'oom-kill', 'static')).toBeUndefined();
    expect(shown('active', 'success', 'enabled')).toBeUndefined();
  });
});
