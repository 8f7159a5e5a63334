import { describe, expect, test } from 'vitest';
import { newestGood, parseMoment } from '../../cli/backup/words.ts';
import { parseRepositories } from '../../config/repositories.ts';
import { takingOf } from '../../services/orchestrator/plans/backup.ts';
import { chooseBackup } from '../../services/orchestrator/plans/backup-chosen.ts';
import { fitting, freeId, newestFirst } from '../../services/repository/records.ts';
import type { BackupRecord } from '../../shared/contract/backup.ts';
import { backupOf } from './backup-record.ts';

const at = Date.UTC(2026, 10, 27, 3);
const record = (id: string, taken: number, more: Partial<BackupRecord> = {}): BackupRecord =>
  backupOf(taken, { id, ...more });

describe('repositories.conf', () => {
  const faultOf = (text: string): string => {
    try {
      parseRepositories(text, 'repositories.conf');
    } catch (error) {
      return (error as Error).message;
    }
    return '';
  };
  test('lines, comments and the option mount', () => {
    expect(
      parseRepositories('# where\nmain:tree:/srv/backups/\nusb : tree : /media/usb : mount # a disk\n', 'f'),
    ).toEqual([
      { name: 'main', kind: 'tree', path: '/srv/backups', mount: false },
      { name: 'usb', kind: 'tree', path: '/media/usb', mount: true },
    ]);
    expect(parseRepositories('far:tree:host3\n', 'f')).toEqual([
      { name: 'far', kind: 'tree', path: '', mount: false, host: 'host3' },
    ]);
  });
  test.each([
    ['Main:tree:/srv', /^repositories\.conf:1:1: "Main" is no name/],
    ['\nmain:tape:/srv', /^repositories\.conf:2:6: "tape" is no kind/],
    ['main:tree:srv/x', /^repositories\.conf:1:11: "srv\/x" is neither an absolute path nor a host/],
    ['main:tree:/srv/../etc', /:1:11: .* neither an absolute path nor a host/],
    ['far:tree:host3:mount', /:1:16: there is more than NAME:tree:HOST; .* BACKUP_MOUNT of that host/],
    ['main:tree:/', /:1:11: /],
    ['main:tree:/srv:moint', /:1:16: unknown option moint/],
    ['main:tree:/srv:mount:x', /:1:22: there is more/],
    ['main:tree:/a\nmain:tree:/b', /:2:1: repository main stands here already/],
  ])('%j is refused where the fault is', (text, fault) => {
    expect(faultOf(text)).toMatch(fault);
  });
});

test('an id is the moment in UTC; one of the same second gets a number', () => {
  expect(freeId(at + 999, new Set())).toBe('20261127T030000Z');
  expect(freeId(at, new Set(['20261127T030000Z', '20261127T030000Z-2']))).toBe('20261127T030000Z-3');
});

test('the newest first; as many as fit into a reply', () => {
  const some = [record('20261127T030000Z', at), record('20261128T030000Z', at + 86_400_000)];
  expect(some.toSorted(newestFirst).map((one) => one.id)).toEqual(['20261128T030000Z', '20261127T030000Z']);
  const many = Array.from({ length: 5000 }, () => record('20261127T030000Z', at));
  const { backups, leftOff } = fitting(many);
  expect(JSON.stringify(backups).length).toBeLessThan(1_000_000);
  expect(backups.length + (leftOff ?? 0)).toBe(5000);
  expect(fitting(some)).toEqual({ backups: some });
});

test('how a backup is taken: what a person stopped or paused stays as it is', () => {
  const of = (state: string, mode: 'hot' | 'cold', bySnapshot: boolean) =>
    takingOf({ name: 'web1', state } as Parameters<typeof takingOf>[0], mode, bySnapshot);
  expect(of('running', 'hot', true)).toEqual({ kind: 'snapshot', stop: false });
  expect(of('running', 'hot', false)).toEqual({ kind: 'live', stop: false });
  expect(of('running', 'cold', true)).toEqual({ kind: 'snapshot', stop: true });
  expect(of('running', 'cold', false)).toEqual({ kind: 'stopped', stop: true });
  expect(of('stopped', 'cold', false)).toEqual({ kind: 'stopped', stop: false });
  expect(of('frozen', 'cold', true)).toEqual({ kind: 'snapshot', stop: false });
  expect(() => of('starting', 'hot', true)).toThrow(/is starting/);
});

test('which backup is restored: the newest of that moment without a fault, or the one that is named', () => {
  const all = [
    record('20261129T030000Z', at + 2 * 86_400_000, { faults: ['rootfs/a is gone'] }),
    record('20261128T030000Z', at + 86_400_000),
    record('20261127T030000Z', at),
  ];
  expect(chooseBackup(all, { name: 'web1' }).id).toBe('20261128T030000Z');
  expect(chooseBackup(all, { name: 'web1', at: at + 1000 }).id).toBe('20261127T030000Z');
  expect(chooseBackup(all, { name: 'web1', id: '20261129T030000Z' }).id).toBe('20261129T030000Z');
  expect(() => chooseBackup(all, { name: 'web1', at: at - 1 })).toThrow(/no backup of .* or before/);
  expect(() => chooseBackup(all.slice(0, 1), { name: 'web1' })).toThrow(/has faults/);
});

test('a moment that a person gives', () => {
  expect(parseMoment('20261127T030000Z')).toBe(at + 999);
  expect(parseMoment('2026-11-27 03:00')).toBe(new Date(2026, 10, 27, 3).getTime());
  expect(parseMoment('2026-11-27')).toBe(new Date(2026, 10, 27, 23, 59, 59, 999).getTime());
  for (const wrong of ['yesterday', '2026-13-40', '5', ''])
    expect(() => parseMoment(wrong)).toThrow(/is no moment/);
});

test('single files come from the newest backup in which no fault was found, as a whole restore does', () => {
  const [bad, good, older] = [
    record('20261127T030000Z', at + 2, { faults: ['rootfs/a differs'] }),
    record('20261126T030000Z', at + 1),
    record('20261125T030000Z', at),
  ];
  expect(newestGood([bad, good, older], 'web1')).toBe(good);
  expect(newestGood([bad, good, older], 'web1', at)).toBe(older);
  expect(() => newestGood([bad], 'web1')).toThrow(/Every backup of web1 has faults .* --id/);
  expect(() => newestGood([older], 'web1', at - 1)).toThrow(/no backup of web1 of that moment or before/);
});
