import { describe, expect, test } from 'vitest';
import { parseHostMonitor } from '../../config/monitor/host.ts';
import {
  type AllPressed,
  type Candidate,
  nextToPress,
  stillPressed,
  wishesOf,
} from '../../services/monitor/mend/pressure.ts';
import { pressureAlert } from '../../shared/contract/pressure.ts';
import { withPressed } from '../../services/monitor/mend/presser.ts';

const MB = 1024 * 1024;
const one = (name: string, memory: number, order?: number): Candidate => ({
  name,
  pid: 1,
  memory: memory * MB,
  order,
});

describe('memory of a host is short', () => {
  /** Who is held back, step after step, until nobody is left. */
  function play(running: Candidate[], spare?: number): string[] {
    let pressed: AllPressed = {};
    const steps: string[] = [];
    for (;;) {
      const next = nextToPress(running, pressed, spare);
      if (!next) return steps;
      const { name, ...how } = next;
      pressed = { ...pressed, [name]: how };
      steps.push(`${name} ${Math.round(how.bytes / MB)}`);
      expect(steps.length).toBeLessThan(100);
    }
  }
  test('the least important first, of those the biggest; each once before one for a second time; none below its half', () => {
    const steps = play([one('db', 1000, 1), one('web', 200), one('shop', 500), one('tiny', 10)]);
    const rows = [0, 3, 6, 9].map((from) => steps.slice(from, from + 3).join(', '));
    expect(steps).toHaveLength(12);
    expect(rows).toEqual([
      'shop 400, web 160, db 800',
      'shop 320, shop 256, shop 250',
      'web 128, web 102, web 100',
      'db 640, db 512, db 500',
    ]);
  });
  test('what is spared is never held back', () => {
    const running = [one('db', 1000, 1), one('mail', 1000, 10), one('web', 100, 20)];
    expect(new Set(play(running, 10).map((step) => step.split(' ')[0]))).toEqual(new Set(['web']));
    expect(play([], 10)).toEqual([]);
  });
  test('one that was started anew, or is gone, is not held back any more', () => {
    const pressed = {
      a: { pid: 1, from: 9, bytes: 8 },
      b: { pid: 7, from: 9, bytes: 8 },
      c: { pid: 1, from: 9, bytes: 8 },
    };
    expect(Object.keys(stillPressed(pressed, [one('a', 1), one('b', 1)]))).toEqual(['a']);
  });
  test('host-monitor.conf: off unless it says so, and with a gap between begin and end', () => {
    const parse = (text: string) => parseHostMonitor(text, 'h');
    expect(parse('').pressure).toBeUndefined();
    expect(parse('PRESSURE=off').pressure).toBeUndefined();
    const { pressure, rules } = parse('PRESSURE=limit memory=92 hits=3 clear_hits=6 spare=10');
    expect(pressure).toEqual({ spare: 10 });
    expect(rules.find(({ check }) => check === 'pressure')).toMatchObject({
      threshold: 92,
      clear: 82,
      hits: 3,
    });
    expect(() => parse('PRESSURE=kill')).toThrow('h:1:10: found "kill", expected limit, evacuate or off');
    expect(() => parse('PRESSURE=limit memory=90 clear=95')).toThrow('expected less than memory, 90');
  });
  test('its alert names who is held back', () => {
    const alert = { ts: 1, severity: 'warning' as const, message: 'm' };
    const kept = { version: 1 as const, checks: {}, pressed: { a: { pid: 1, from: 9, bytes: 128 * MB } } };
    expect(withPressed(alert, 'pressure', kept).message).toBe('m; held back: a at 128 MiB');
    expect(withPressed(alert, 'memory', kept)).toBe(alert);
    const asking = withPressed(alert, 'pressure', { ...kept, wishes: [{ name: 'a', memory: 5 }] });
    expect(asking.message).toBe(
      'm; held back: a at 128 MiB; one of these shall move away, if another host has room: a',
    );
    expect(pressureAlert.parse(asking).evacuate).toEqual([{ name: 'a', memory: 5 }]);
  });
  test('whom the master is asked to move: the least important first, none that is small or spared; only when the file wants it', () => {
    const running = [
      one('db', 1000, 1),
      one('web', 200),
      one('shop', 500),
      one('tiny', 10),
      one('mail', 9, 5),
    ];
    expect(wishesOf(running, undefined).map(({ name }) => name)).toEqual(['shop', 'web', 'db']);
    expect(wishesOf(running, 1).map(({ name }) => name)).toEqual(['shop', 'web']);
    const parse = (text: string) => parseHostMonitor(text, 'h').pressure;
    expect(parse('PRESSURE=evacuate spare=3')).toEqual({ spare: 3, evacuates: true });
    expect(parse('PRESSURE=limit')).toEqual({});
  });
});
