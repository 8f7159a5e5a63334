import { expect, test } from 'vitest';
import { pruneText } from '../../cli/backup/prune.ts';
import { scheduleText } from '../../cli/backup/schedule.ts';
import { isWell, roughly, statusText } from '../../cli/backup/status.ts';
import { backupLines } from '../../cli/classic/lines.ts';
import type { BackupState } from '../../shared/contract/backup-scheduler.ts';
import { parseBackups } from '../../config/backup.ts';
import { scheduleOf } from '../../services/backup-scheduler/schedule.ts';

const HOUR = 3_600_000;
const now = new Date(2026, 10, 27, 12, 0).getTime();
const state = (vserver: string, more: Partial<BackupState>): BackupState => ({
  vserver,
  state: 'ok',
  count: 3,
  ts: now,
  ...more,
});

test('the table of the status: ages, sizes, the next run, and what is wrong', () => {
  const text = statusText(
    {
      vservers: [
        state('db1', {
          state: 'failed',
          lastError: 'no space left',
          count: 0,
          schedule: '0 * * * *',
          nextRun: now,
        }),
        state('old1', { state: 'none', gone: true, count: 2, lastSuccess: now - 100 * HOUR, size: 1000 }),
        state('web1', {
          schedule: '30 2 * * *',
          lastSuccess: now - 9.5 * HOUR,
          size: 874e6,
          nextRun: now + 14.5 * HOUR,
          lastProof: now - 50 * HOUR,
        }),
      ],
      uncovered: ['web9'],
      faults: ['backup.conf:1:2: x'],
    },
    now,
  );
  expect(text.split('\n')).toEqual([
    'VSERVER  STATE   AGE         PROVED   SCHEDULE    SIZE    COUNT  NEXT RUN',
    'db1      failed  -           -        0 * * * *   -       0      now               no space left',
    'old1     none    4 d 4 h     -        -           1.0 kB  2      -                 no such vserver in the pool; its backups are kept',
    'web1     ok      9 h 30 min  2 d 2 h  30 2 * * *  874 MB  3      2026-11-28 02:30',
    'Nothing backs up web9: no line of backup.conf names them.',
    'backup.conf:1:2: x',
  ]);
  expect([0, 59, 60, 47.5 * 60, 49 * 60].map((minutes) => roughly(minutes * 60_000))).toEqual([
    '0 min',
    '59 min',
    '1 h 0 min',
    '47 h 30 min',
    '2 d 1 h',
  ]);
});

test('--check: what is overdue, failed, damaged or uncovered is not well; what is gone or new is', () => {
  const of = (...vservers: BackupState[]) => isWell({ vservers, uncovered: [], faults: [] });
  expect(of(state('a', {}), state('b', { state: 'never' }), state('c', { state: 'none', gone: true }))).toBe(
    true,
  );
  expect(of(state('a', { state: 'overdue' }))).toBe(false);
  expect(of(state('a', { state: 'failed' }))).toBe(false);
  expect(of(state('a', { faulty: 1 }))).toBe(false);
  expect(isWell({ vservers: [], uncovered: ['a'], faults: [] })).toBe(false);
  expect(isWell({ vservers: [], uncovered: [], faults: ['x'] })).toBe(false);
});

test('the schedule: lines, and the next runs by the clock of their time zone, in their window', () => {
  const lines = parseBackups(
    '*:hot:schedule="30 2 * * *",timezone=Asia/Tokyo,keep-daily=7,test=weekly,window=3:00-4:00\nweb2:none\ndb1:cold:timezone=UTC',
    'b',
  );
  const text = scheduleText({
    file: 'backup.conf',
    ...scheduleOf(lines, ['db1', 'web1', 'web2'], Date.parse('2026-11-27T00:00:00Z'), 2),
  });
  expect(text.split('\n')).toEqual([
    'VSERVER  HOW   SCHEDULE    TEST       TIME ZONE   WINDOW       REPOSITORY  KEPT',
    '*        hot   30 2 * * *  0 0 * * 0  Asia/Tokyo  03:00-04:00  -           7 daily',
    `web2     none  -           -          ${lines[1]?.timezone.padEnd(10)}  -            -           -`,
    'db1      cold  -           -          UTC         -            -           all',
    '',
    'VSERVER  NEXT RUNS',
    'db1      only when somebody asks',
    'web1     2026-11-28 03:00  2026-11-29 03:00',
  ]);
});

test('prune tells what is kept by which rule, what goes, and what could not', () => {
  const one = (day: number, by: string[]) => ({
    id: `202611${day}T023004Z`,
    repository: 'main',
    taken: new Date(2026, 10, day, 2, 30, 4).getTime(),
    bytes: 1000,
    by,
  });
  expect(
    pruneText(
      [
        {
          vserver: 'web1',
          kept: [one(26, ['last', 'daily'])],
          removed: [one(25, [])],
          faults: ['20261124T023004Z in usb: busy'],
        },
      ],
      'removed',
    ).split('\n'),
  ).toEqual([
    'VSERVER  ID                OF                   REPOSITORY  SIZE',
    'web1     20261126T023004Z  2026-11-26 02:30:04  main        1.0 kB  kept: last, daily',
    'web1     20261125T023004Z  2026-11-25 02:30:04  main        1.0 kB  removed',
    'web1: 20261124T023004Z in usb: busy',
  ]);
});

test('the lines of vs-backup', () => {
  expect(
    backupLines(
      [
        { vserver: 'web1', ok: true, ms: 12_340, saga: 's' },
        { vserver: 'db1', ok: false, message: 'no space\nleft' },
      ],
      20_000,
    ),
  ).toEqual(['web1:12.3', 'db1:FAILED:no space left', 'total:20.0']);
});
