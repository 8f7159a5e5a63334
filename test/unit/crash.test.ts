import { describe, expect, test } from 'vitest';
import {
  type Life,
  type Look,
  MISSING,
  STABLE_MS,
  afterEnd,
  lookAt,
  nextFor,
} from '../../services/host-agent/crash.ts';
import { type End, endOf, wasOutOfMemory } from '../../services/host-agent/ended.ts';
import { storyOf } from '../../services/host-agent/lives.ts';

const uuid = '00000000-0000-4000-8000-000000000001';
const look = (more: Partial<Look> = {}): Look => ({
  now: 0,
  uuid,
  epoch: 1,
  missing: 0,
  held: false,
  ...more,
});
const lives: Life = { version: 1, uuid, epoch: 1, pid: 7, wanted: true, starts: [] };
const gone = look({ missing: MISSING });
const crash = (life: Life, now = 0): Life =>
  afterEnd(life, { how: 'crash', why: 'killed' }, { now, missing: 5 });
const plan = { restart: true, perHour: 2, enabled: true, paused: false };

describe('how a vserver ended, by what LXC wrote', () => {
  const line = (text: string) =>
    `lxc-start web1 20261127080219.309 INFO     error - ../src/lxc/error.c:lxc_error_set_and_log:34 - ${text}\n`;
  const begun = `lxc-start web1 20261127080218.294 NOTICE   start - ../src/lxc/start.c:post_start:2205 - Started "/sbin/init" with pid "165"\n`;
  const cleared = line('Removed interface "vsv977588a8" from ""');
  test.each<[string, End]>([
    [
      `${begun}${line('Child <165> ended on signal Killed(9)')}${cleared}`,
      { how: 'crash', why: 'its init was ended by signal 9 (Killed)' },
    ],
    [`${begun}${line('Child <165> ended on signal Interrupt(2)')}`, { how: 'off' }],
    [`${begun}${line('Child <165> ended on signal Hangup(1)')}`, { how: 'reboot' }],
    [
      `${begun}${line('Child <165> ended on error (3)')}`,
      { how: 'crash', why: 'its init ended with exit code 3' },
    ],
    [
      `${begun}${line('Child <165> ended on signal (11)')}`,
      { how: 'crash', why: 'its init was ended by signal 11' },
    ],
    [`${begun}${cleared}`, { how: 'off' }],
    [begun, { how: 'crash', why: 'its LXC monitor was killed' }],
    [`${begun.replace('165', '99')}${line('Child <99> ended on signal Killed(9)')}`, { how: 'unknown' }],
    ['', { how: 'unknown' }],
  ])('%j', (log, end) => expect(endOf(log, 165)).toEqual(end));
  test('of the vserver itself, and just now: killed for want of memory', () => {
    const said = `[  100.5] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/lxc.payload.web1,task_memcg=/lxc.payload.web1/init.scope,task=systemd,pid=9,uid=0\n`;
    expect(wasOutOfMemory(said, 'web1', 110, 30)).toBe(true);
    expect(wasOutOfMemory(said, 'web1', 140, 30)).toBe(false);
    expect(wasOutOfMemory(said, 'web', 110, 30)).toBe(false);
    expect(wasOutOfMemory('', 'web1', 110, 30)).toBe(false);
  });
});

describe('a vserver that ends', () => {
  test('one that is seen runs, and shall; it has ended only when it is missing for some looks', () => {
    expect(lookAt(undefined, look({ pid: 7 }))).toEqual({ ...lives, crash: undefined });
    expect(lookAt(lives, look({ pid: 7 }))).toBe(lives);
    expect(lookAt(lives, look({ missing: MISSING - 1 }))).toBe(lives);
    expect(lookAt(lives, gone)).toBe('ended');
    expect(lookAt(undefined, gone)).toBeUndefined();
  });
  test('stopped by a person or a saga, held by a saga, or of another epoch: nothing', () => {
    const stopped = { ...lives, wanted: false };
    expect(lookAt(stopped, gone)).toBe(stopped);
    expect(lookAt(lives, { ...gone, held: true })).toBe(lives);
    expect(lookAt(lives, { ...gone, epoch: 3 })).toMatchObject({ wanted: false });
    expect(lookAt(lives, { ...gone, uuid: 'other' })).toMatchObject({ wanted: false });
    // a person has it stopped while it still runs to its end; a new init was started by somebody
    expect(lookAt(stopped, look({ pid: 7 }))).toBe(stopped);
    expect(lookAt(stopped, look({ pid: 8 }))).toMatchObject({ wanted: true, pid: 8 });
  });
  test('powered off from inside is a stop; a reboot gets its time; by hand: told, and left alone', () => {
    expect(afterEnd(lives, { how: 'off' }, gone)).toMatchObject({ wanted: false, crash: undefined });
    expect(afterEnd(lives, { how: 'reboot' }, gone)).toBe(lives);
    expect(afterEnd(lives, { how: 'reboot' }, look({ missing: 15 })).crash?.why).toMatch(/reboot/);
    const byHand = afterEnd(lives, { how: 'unknown' }, gone);
    expect(byHand).toMatchObject({ wanted: true, crash: { left: 'it was started by hand' } });
    expect(nextFor(byHand, plan, 0)).toBe('nothing');
    // an agent that ended in the middle of a restart owes the start
    const owed = afterEnd({ ...lives, again: true }, { how: 'off' }, gone);
    expect(nextFor(owed, plan, 0)).toBe('start');
  });
  test('a crash: started with rests, so often within an hour, then given up; it is over once it has run for a while', () => {
    let life = crash(lives);
    const said: string[] = [];
    for (let now = 0; now <= 200_000; now += 1000) {
      const next = nextFor(life, plan, now);
      if (next === 'nothing') continue;
      said.push(`${now / 1000} ${typeof next === 'string' ? next : next.left}`);
      if (next === 'start') {
        life = { ...life, starts: [...life.starts, now] };
        const runs = lookAt(life, look({ now, pid: now + 100 })) as Life;
        life = crash(runs, now);
      } else life = { ...life, crash: { ...(life.crash as NonNullable<Life['crash']>), left: next.left } };
    }
    expect(said).toEqual(['0 start', '10 start', '11 given up after 2 starts within an hour']);
    expect(life.crash?.since).toBe(0);
    const again = lookAt(life, look({ now: 300_000, pid: 5000 })) as Life;
    expect(again.crash).toBeDefined();
    expect(lookAt(again, look({ pid: 5000, runsFor: STABLE_MS - 1 }))).toBe(again);
    expect(lookAt(again, look({ pid: 5000, runsFor: STABLE_MS }))).toMatchObject({
      crash: undefined,
      starts: [0, 10_000],
    });
  });
  test('never one that is disabled, or has RESTART=no; in a pause later', () => {
    const life = crash(lives);
    expect(nextFor(life, { ...plan, enabled: false }, 0)).toEqual({ left: 'it is disabled' });
    expect(nextFor(life, { ...plan, restart: false }, 0)).toEqual({ left: 'RESTART=no in its monitor.conf' });
    expect(nextFor(life, { ...plan, paused: true }, 0)).toBe('nothing');
    expect(nextFor(life, plan, 0)).toBe('start');
    // it runs again, and is away for a look: it may be rebooting
    expect(nextFor({ ...life, pid: 8 }, { ...plan, enabled: false }, 0)).toBe('nothing');
  });
  test('its alert says how it ended and what was tried; what stays down says why', () => {
    const life = crash({ ...lives, starts: [0] });
    const told = (one: Life) => storyOf('web1', 'host1', one as Parameters<typeof storyOf>[2]);
    expect(told(life)).toMatch(
      /^web1 crashed on host1 at \d\d:\d\d:\d\d: killed; started again at \d\d:\d\d:\d\d$/,
    );
    const left = {
      ...life,
      crash: { ...(life.crash as NonNullable<Life['crash']>), left: 'it is disabled' },
    };
    expect(told(left)).toMatch(/it is not started again: it is disabled$/);
    expect(told({ ...left, pid: 8 })).not.toMatch(/not started/);
  });
});
