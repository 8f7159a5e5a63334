import { describe, expect, test } from 'vitest';
import { parseMonitor } from '../../config/monitor.ts';
import type { Rule } from '../../config/monitor/rule.ts';
import { riseOf } from '../../services/monitor/checks/counters.ts';
import { type State, evaluate } from '../../services/monitor/checks/evaluate.ts';
import { NEVER_S, fullIn, remember } from '../../services/monitor/checks/growth.ts';
import { certificateLeft, rulesFor } from '../../services/monitor/checks/host-watch.ts';
import { kept } from '../../services/monitor/checks/keep.ts';
import { newestOf } from '../../services/monitor/checks/newest.ts';
import { countOf } from '../../services/monitor/checks/processes.ts';
import { counterReadings, thresholdReadings } from '../../services/monitor/checks/readings.ts';
import { diffOf, namesOf, nextUsual } from '../../services/monitor/checks/socket-diff.ts';
import { alertOf } from '../../services/monitor/checks/subject.ts';

const rulesOf = (text: string) => parseMonitor(text, 'm').rules;

/** Runs a row of values (undefined: could not be looked at) through a rule; when it began and ended, by poll. */
function play(rules: Rule[], values: (number | null | undefined)[], restart = false): string[] {
  let state: State = {};
  const told: string[] = [];
  for (const [poll, value] of values.entries()) {
    const readings: Record<string, { value: number | null; text: string }> =
      value === undefined ? {} : { memory: { value, text: 't' } };
    const result = evaluate(state, { ts: poll, readings }, rules);
    state = restart
      ? kept.parse(JSON.parse(JSON.stringify({ version: 1, checks: result.state }))).checks
      : result.state;
    told.push(...result.changes.map(({ firing }) => `${firing ? 'begin' : 'end'} ${poll}`));
  }
  return told;
}

/** The same by other means: looks back over the whole row at each poll. */
function naively(rule: Rule, values: (number | null | undefined)[]): string[] {
  const told: string[] = [];
  let firing = false;
  let from = 0; // polls before this one do not count any more
  for (let poll = 0; poll < values.length; poll++) {
    const seen = values.slice(from, poll + 1).filter((one) => one !== undefined);
    if (values[poll] === undefined) continue;
    const bad = (value: number | null) =>
      value !== null && (rule.below ? !(value > rule.threshold) : !(value < rule.threshold));
    const well = (value: number | null) =>
      value === null ||
      (rule.below
        ? value > rule.threshold && !(value < rule.clear)
        : value < rule.threshold && !(value > rule.clear));
    const wanted = firing ? rule.clearHits : rule.hits;
    const last = seen.slice(-wanted);
    if (last.length === wanted && last.every(firing ? well : bad)) {
      firing = !firing;
      from = poll + 1;
      told.push(`${firing ? 'begin' : 'end'} ${poll}`);
    }
  }
  return told;
}

describe('hits and hysteresis', () => {
  test('90 with 3 hits fires in the third poll, not before', () => {
    const rules = rulesOf('RSS_THRESHOLD=90 hits=3');
    expect(play(rules, [91, 91])).toEqual([]);
    expect(play(rules, [91, 91, 91, 91, 91])).toEqual(['begin 2']);
    expect(play(rules, [91, 91, 89, 91, 91, 90])).toEqual(['begin 5']);
  });
  test('between the two thresholds nothing begins and nothing ends', () => {
    const rules = rulesOf('RSS_THRESHOLD=90 clear=80 clear_hits=2');
    expect(play(rules, [85, 95, 85, 85, 79, 81, 79, 80, 85, 90])).toEqual(['begin 1', 'end 7', 'begin 9']);
  });
  test('what could not be looked at neither counts nor breaks a row; without a limit all is well', () => {
    const rules = rulesOf('RSS_THRESHOLD=90 hits=2 clear_hits=2');
    expect(play(rules, [95, undefined, 95, null, undefined, null])).toEqual(['begin 2', 'end 5']);
    expect(play(rules, [95, undefined, 10, 95])).toEqual([]);
  });
  test('a rule that is gone ends its alert; a new threshold tells it anew, without a new beginning', () => {
    const sample = (ts: number) => ({ ts, readings: { memory: { value: 95, text: 't' } } });
    const first = evaluate({}, sample(1), rulesOf('RSS_THRESHOLD=90'));
    const second = evaluate(first.state, sample(2), rulesOf('RSS_THRESHOLD=80'));
    expect(second.changes).toMatchObject([{ check: 'memory', firing: { since: 1, ts: 2, threshold: 80 } }]);
    expect(evaluate(second.state, sample(3), rulesOf('RSS_THRESHOLD=80')).changes).toEqual([]);
    expect(evaluate(second.state, sample(4), rulesOf('DISK_THRESHOLD=80'))).toEqual({
      state: {},
      changes: [{ check: 'memory', firing: null }],
    });
  });

  /** Numbers by chance that come again. */
  function chance(seed: number) {
    let now = seed;
    return (below: number) => {
      now = (Math.imul(now, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((now / 2 ** 32) * below);
    };
  }
  test('any row of values begins and ends as a simulation says that looks back; a restart at every poll changes nothing', () => {
    let began = 0;
    for (let seed = 1; seed <= 500; seed++) {
      const any = chance(seed);
      const below = any(3) === 0;
      const threshold = 20 + any(60);
      const rule = {
        ...(rulesOf('RSS_THRESHOLD=90')[0] as Rule),
        threshold,
        clear: below ? threshold + any(15) : threshold - any(15),
        hits: 1 + any(4),
        clearHits: 1 + any(4),
        below,
      };
      let value = any(100);
      const values = Array.from({ length: 80 }, () => {
        value = Math.min(100, Math.max(0, value + any(41) - 20));
        const kind = any(12);
        return kind === 0 ? undefined : kind === 1 ? null : value;
      });
      const expected = naively(rule, values);
      began += expected.length;
      expect(play([rule], values), `seed ${seed}`).toEqual(expected);
      expect(play([rule], values, true), `seed ${seed}, restarted`).toEqual(expected);
    }
    expect(began).toBeGreaterThan(1000);
  });
});

describe('what is read', () => {
  const read = (text: string, figures: Record<string, number>, more = {}) =>
    thresholdReadings(parseMonitor(text, 'm'), figures, { kinds: 'vserver', cores: 4, more });
  test('shares of limits; none without a limit; nothing while a figure is missing', () => {
    const figures = { mem_bytes: 95 * 2 ** 20, mem_limit_bytes: 100 * 2 ** 20 };
    expect(read('RSS_THRESHOLD=90', figures)).toEqual({
      memory: { value: 95, text: 'memory at 95 % of 100 MiB, threshold 90 %' },
    });
    expect(read('RSS_THRESHOLD=90', { mem_bytes: 5 })['memory']?.value).toBeNull();
    expect(read('DISK_THRESHOLD=90', { disk_limit_bytes: 5 })).toEqual({});
    expect(read('CPU_THRESHOLD=90', { cpu_pct: 200 })['cpu']?.value).toBe(50);
    expect(read('CPU_THRESHOLD=90', { cpu_pct: 78, cpu_limit_cores: 0.8 })['cpu']?.value).toBeCloseTo(97.5);
    expect(read('PSI_IO_THRESHOLD=90', {})['psi-io']?.value).toBeNull();
    expect(read('LOADAVG_1_THRESHOLD=8', { load_1: 9 })['load-1']?.text).toBe(
      'load of 1 minute at 9, threshold 8',
    );
    expect(read('DISK_FULL_IN=3h', {}, { 'disk-growth': 5400 })['disk-growth']).toEqual({
      value: 5400,
      text: 'time until the disk is full 90 min, less than 3 h',
    });
  });

  test('a poll between two samples reads for itself, and none goes back to an older one', () => {
    const last = { pid: 7, figures: { ts: 100 } };
    expect(newestOf(last, 7, undefined)).toBe(last.figures);
    expect(newestOf(last, 7, { ts: 90 })).toBe(last.figures);
    expect(newestOf(last, 7, { ts: 100 })).toBeUndefined();
    expect(newestOf(last, 7, { ts: 110 })).toBeUndefined();
    expect(newestOf(last, 8, undefined)).toBeUndefined(); // of the start before
    expect(newestOf(undefined, 7, undefined)).toBeUndefined();
  });

  test('counters: the first look tells nothing, a start begins at 0', () => {
    expect(riseOf(undefined, 1, 'k', 7)).toBe(0);
    expect(riseOf({ pid: 1, values: { k: 7 } }, 1, 'k', 9)).toBe(2);
    expect(riseOf({ pid: 1, values: { k: 7 } }, 2, 'k', 3)).toBe(3);
    expect(riseOf({ pid: 1, values: {} }, 1, 'k', 3)).toBe(0);
    const config = parseMonitor('MONITOR_RSS_HITS=yes', 'm');
    const first = counterReadings(config, { mem_hits_total: 4 }, 1, undefined);
    expect(first.readings['memory-hits']?.value).toBe(0);
    const second = counterReadings(config, { mem_hits_total: 9 }, 1, first.counted);
    expect(second.readings['memory-hits']).toEqual({
      value: 1,
      text: 'met its limit of memory 5 times since the last look',
    });
  });

  test('how a disk grows: nothing before ten minutes, then the straight line', () => {
    let fills: { ts: number; bytes: number }[] = [];
    const at = (minute: number, bytes: number) => (fills = remember(fills, { ts: minute * 60_000, bytes }));
    at(0, 1000);
    at(5, 1500);
    expect(fullIn(fills, 10_000)).toBeUndefined();
    at(10, 2000); // 100 a minute
    expect(fullIn(fills, 10_000)).toBeCloseTo(80 * 60);
    expect(fullIn(fills, 2000)).toBe(0);
    at(11, 900);
    at(12, 0);
    at(13, 0);
    expect(fullIn(fills, 10_000)).toBe(NEVER_S);
    at(100, 5);
    expect(fills).toHaveLength(1);
  });

  test('sockets: by who has them; passing ones and files do not count', () => {
    const sockets = [
      { family: 'tcp6', address: '::', port: 80, process: 'nginx', pid: 7 },
      { family: 'tcp', address: '0.0.0.0', port: 22 },
      { family: 'udp', address: '0.0.0.0', port: 40_000, process: 'named' },
      { family: 'unix', address: '/run/x', process: 'x\ny' },
    ] as const;
    expect(namesOf(sockets, false)).toEqual(['tcp 0.0.0.0:22', 'tcp6 [::]:80 nginx']);
    expect(namesOf(sockets, true)).toContain('unix /run/x x?y');
    expect(diffOf(['a', 'b'], ['b', 'c'])).toEqual(['+ c', '- a']);
  });
  test('a change of sockets stands until it is undone, or until it is the usual', () => {
    const first = nextUsual(undefined, ['a'], 0, 60);
    expect(first.diff).toEqual([]);
    const second = nextUsual(first.usual, ['a', 'b'], 1000, 60);
    expect(second.diff).toEqual(['+ b']);
    expect(nextUsual(second.usual, ['a'], 2000, 60).diff).toEqual([]);
    expect(nextUsual(second.usual, ['a', 'b'], 60_999, 60).diff).toEqual(['+ b']);
    const other = nextUsual(second.usual, ['c'], 59_000, 60);
    expect(nextUsual(other.usual, ['c'], 61_000, 60).diff).toEqual(['+ c', '- a']); // another change has its own time
    const usual = nextUsual(second.usual, ['a', 'b'], 61_000, 60);
    expect(usual).toEqual({ diff: [], usual: { sockets: ['a', 'b'] } });
  });

  test('processes by what they call themselves or by their program', () => {
    const processes = [
      { pid: 1, name: 'nginx', program: 'nginx: master process' },
      { pid: 2, name: 'a-name-of-many-', program: 'a-name-of-many-letters' },
      { pid: 3, name: 'python3', program: 'python3' },
    ];
    expect(countOf(processes, 'nginx')).toBe(1);
    expect(countOf(processes, 'a-name-of-many-letters')).toBe(1);
    expect(countOf(processes, 'perl')).toBe(0);
  });

  test('an alert says what, since when, of whom, and to whom; its message is bounded', () => {
    const firing = {
      since: 5,
      ts: 6,
      severity: 'critical' as const,
      value: 91.234,
      threshold: 90,
      text: 'x'.repeat(9000),
    };
    const alert = alertOf({ title: 'web1', vserver: 'web1' }, firing, ['root']);
    expect(alert).toMatchObject({ ts: 6, since: 5, value: 91.23, vserver: 'web1', mailto: ['root'] });
    expect(alert.message).toHaveLength(2000);
  });

  test('a certificate is looked at in its last sixth; each volume has its disk', () => {
    expect(certificateLeft(0, 90_000, 10_000)).toBe(NEVER_S);
    expect(certificateLeft(0, 90_000, 80_000)).toBe(10);
    expect(certificateLeft(0, 90_000, 95_000)).toBe(0);
    const config = parseMonitor('DISK_THRESHOLD=90\nSWAP_THRESHOLD=90', 'm');
    const volumes = [
      { suffix: '', path: '/a' },
      { suffix: '-root', path: '/' },
    ];
    expect(rulesFor(config, volumes).map(({ check }) => check)).toEqual(['disk', 'disk-root', 'swap']);
  });
});
