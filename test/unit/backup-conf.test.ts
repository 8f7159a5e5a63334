import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { lineOf, loadBackups, ownTimezone, parseBackups } from '../../config/backup.ts';
import { openFile } from '../../services/backup-scheduler/file.ts';
import { VsError } from '../../shared/errors.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-backup-conf-'));
afterAll(() => rmSync(directory, { recursive: true }));
const one = (line: string) => parseBackups(line, 'b')[0]!;

test('the lines of 2007 are read as they are', () => {
  expect(parseBackups('web1:hot\ndb1:cold # stops\n\n# nothing\n', 'b')).toEqual([
    { name: 'web1', mode: 'hot', keep: {}, timezone: ownTimezone(), line: 1 },
    { name: 'db1', mode: 'cold', keep: {}, timezone: ownTimezone(), line: 2 },
  ]);
});

test('every option', () => {
  const line = one(
    '* : hot : schedule="30  2,14 * * 1-5" , timezone=Europe/Berlin,repository=usb, keep-last=3,keep-hourly=24,keep-daily=7,keep-weekly=4,keep-monthly=12,keep-yearly=5,bandwidth=50m,window=22:00-06:00,jitter=10m',
  );
  expect(line).toEqual({
    name: '*',
    mode: 'hot',
    line: 1,
    schedule: '30 2,14 * * 1-5',
    timezone: 'Europe/Berlin',
    repository: 'usb',
    keep: { last: 3, hourly: 24, daily: 7, weekly: 4, monthly: 12, yearly: 5 },
    bandwidth: 50 * 1024 * 1024,
    window: { from: 1320, to: 360 },
    jitter: 600_000,
  });
  expect(one('a:hot:window="0:30-6:00",schedule=none')).toMatchObject({ window: { from: 30, to: 360 } });
  expect(one('a:hot:schedule=none').schedule).toBeUndefined();
  for (const [word, expression] of [
    ['hourly', '0 * * * *'],
    ['daily', '0 0 * * *'],
    ['weekly', '0 0 * * 0'],
    ['monthly', '0 0 1 * *'],
  ])
    expect(one(`a:hot:schedule=${word}`).schedule).toBe(expression);
});

test('the own line counts, else that of *; none takes a vserver out', () => {
  const lines = parseBackups('*:hot\nweb9:none\ndb1:cold', 'b');
  expect(['web9', 'db1', 'web1'].map((name) => lineOf(lines, name)?.mode)).toEqual(['none', 'cold', 'hot']);
  expect(lineOf(lines.slice(1), 'web1')).toBeUndefined();
});

test.each([
  ['web1', 1, /expected vserver:hot\|cold\|none/],
  [':hot', 1, /no vserver/],
  ['  Web1:hot', 3, /"Web1" is no vserver/],
  ['web1:warm', 6, /"warm" is no way.*expected hot, cold or none/],
  ['web1: warm', 7, /"warm" is no way/],
  ['web1:none:keep-last=1', 10, /none has no options/],
  ['web1:hot:colour=red', 10, /unknown option "colour"; known are schedule, /],
  ['web1:hot:constructor=1', 10, /unknown option/],
  ['web1:hot:keep-last=1,keep-last=2', 22, /stands here twice/],
  ['web1:hot:keep-last=0', 20, /keep-last is a whole number from 1/],
  ['web1:hot:keep-daily=1e3', 21, /keep-daily is a whole number/],
  ['web1:hot:keep-daily=', 21, /keep-daily has no value/],
  ['web1:hot:keep-last=1,', 22, /another option after the comma/],
  ['web1:hot:keep-last=1 keep-daily=2', 20, /colon or a blank/],
  ['web1:hot:schedule="* * * *"', 20, /five fields/],
  ['web1:hot:schedule="* * * * * *"', 20, /five fields/],
  ['web1:hot:schedule="61 * * * *"', 20, /61/],
  ['web1:hot:schedule="0 0 31 2 *"', 20, /never comes/],
  ['web1:hot:schedule=@daily', 19, /five fields/],
  ['web1:hot:schedule=0 2 * * *', 19, /put it in double quotes/],
  ['web1:hot:schedule="0 2 * * *', 19, /a quote is not closed/],
  ['web1:hot:schedule="0 2 * * *"x', 30, /expected a comma/],
  ['web1:hot:timezone=Mars/Olympus', 19, /no time zone; expected one such as/],
  ['web1:hot:repository=USB', 21, /no name of a repository/],
  ['web1:hot:bandwidth=50', 20, /no bandwidth; expected one such as 50k/],
  ['web1:hot:window=22-06', 17, /no window; expected/],
  ['web1:hot:window=22:00-24:00', 17, /no window/],
  ['web1:hot:window=22:00-22:00', 17, /no window/],
  ['web1:hot:jitter=10', 17, /no jitter; expected/],
  ['web1:hot:jitter=25h', 17, /no jitter/],
])('%s is refused by file, line and column', (line, column, why) => {
  const attempt = () => parseBackups(`a:hot\n${line}\nb:hot`, 'backup.conf');
  expect(attempt).toThrow(why);
  expect(attempt).toThrow(`backup.conf:2:${column}: `);
});

test('every fault is told, and a vserver stands in one line', () => {
  expect(() => parseBackups('a:hot\nb\na:cold\nc:hot:x=1', 'f')).toThrow(
    /^f:2:1: .*\nf:3:1: a stands in line 1 already\nf:4:7: /,
  );
});

const good =
  'web1:hot:schedule="30 2 * * *",timezone=Europe/Berlin,keep-daily=7,window=22:00-06:00,jitter=10m';
test('whatever is done to a line, it is read or refused by its place, and never crashes', () => {
  const pieces = [...good.split(''), '"', ',', '=', ':', '#', '*', ' ', '\t', '\0', 'é', '\\', '1', 'x'];
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(good.length), fc.nat(2), fc.constantFrom(...pieces)), { maxLength: 4 }),
      (changes) => {
        let line = good;
        for (const [at, drop, text] of changes) line = line.slice(0, at) + text + line.slice(at + drop);
        try {
          for (const found of parseBackups(line, 'f')) expect(found.line).toBe(1);
        } catch (error) {
          expect(error).toBeInstanceOf(VsError);
          const column = /^f:1:(\d+): ./.exec((error as Error).message)?.[1];
          expect([
            line,
            column !== undefined && Number(column) >= 1 && Number(column) <= line.length + 1,
          ]).toEqual([line, true]);
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test('a long line of blanks, quotes or colons takes no time', () => {
  for (const piece of [' ', '"', ':', ',', '=', '#', '\t a'])
    for (const line of [piece.repeat(1999 / piece.length), `a:hot:${piece.repeat(1990 / piece.length)}x`]) {
      const begun = performance.now();
      expect(() => parseBackups(`${line}\nb:cool`, 'f')).toThrow(/f:2:3/);
      expect(performance.now() - begun).toBeLessThan(5000);
    }
});

test('any text at all is read or refused', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 100, unit: 'binary-ascii' }), (text) => {
      try {
        parseBackups(text, 'f');
      } catch (error) {
        expect(error).toBeInstanceOf(VsError);
      }
    }),
    { numRuns: 200 },
  );
});

test('the sample is a backup.conf, also without its comment signs', async () => {
  const samples = new URL('../../config/samples', import.meta.url).pathname;
  expect(await loadBackups({ CONFIG_DIR: samples })).toEqual([]);
  const text = readFileSync(join(samples, 'backup.conf'), 'utf8').replaceAll(
    /^# (?=[a-z0-9*]+:(hot|cold|none)(:[a-z]|$))/gm,
    '',
  );
  expect(parseBackups(text, 'sample').map((line) => line.name)).toEqual(['*', 'db1', 'scratch1']);
});

test('a file with a fault leaves the last good one in force, also over a restart; a mended one counts at once', async () => {
  const settings = { CONFIG_DIR: join(directory), STATE_DIR: join(directory, 'state') };
  const path = join(directory, 'backup.conf');
  const names = (file: ReturnType<typeof openFile>) => file.lines.map((line) => line.name);
  const file = openFile(settings);
  await file.look();
  expect([names(file), file.fault]).toEqual([[], undefined]);
  writeFileSync(path, 'web1:hot\n');
  await file.look();
  expect([names(file), file.fault]).toEqual([['web1'], undefined]);
  writeFileSync(path, 'web1:hot\nweb2:lukewarm\n');
  await file.look();
  expect(names(file)).toEqual(['web1']);
  expect(file.fault).toContain(`${path}:2:6: `);
  const later = openFile(settings);
  await later.look();
  expect(names(later)).toEqual(['web1']);
  expect(later.fault).toContain(`${path}:2:6: `);
  writeFileSync(path, 'web1:hot\nweb2:cold\n');
  await file.look();
  expect([names(file), file.fault]).toEqual([['web1', 'web2'], undefined]);
  rmSync(path);
  await file.look();
  expect([names(file), file.fault]).toEqual([[], undefined]);
});
