import { describe, expect, test } from 'vitest';
import { parseRepositories } from '../../config/repositories.ts';
import { damagedIn } from '../../services/repository/restic-check.ts';
import { recordIn, recordsIn, tagsOf } from '../../services/repository/restic-record.ts';
import { parseEnvironment } from '../../services/repository/restic-secrets.ts';
import { faultOf, parseOutput, sftpOptions } from '../../services/repository/restic.ts';
import { backupRecord } from '../../shared/contract/backup.ts';
import { RunError } from '../../shared/run.ts';
import { backupOf } from './backup-record.ts';

const at = Date.UTC(2026, 10, 27, 3);
const one = (line: string) => parseRepositories(line, 'f')[0];
const repository = {
  name: 'far',
  kind: 'restic' as const,
  path: '/s',
  home: '/s',
  location: '/srv/far',
  mount: false,
  mounted: false,
};

describe('repositories.conf: restic', () => {
  test('where it is, and its options', () => {
    expect(one('far:restic:/srv/far')).toEqual({
      ...repository,
      path: '/var/lib/vs-tools/restic/far',
      home: '/var/lib/vs-tools/restic/far',
    });
    expect(
      one('s : restic : s3:https://s3.example.org/bucket/a  env=/etc/s3 key=/root/k stage=/big # far away'),
    ).toMatchObject({
      name: 's',
      location: 's3:https://s3.example.org/bucket/a',
      env: '/etc/s3',
      key: '/root/k',
      path: '/big/s',
      home: '/var/lib/vs-tools/restic/s',
    });
    for (const location of [
      'sftp:backup@nas:/srv/x',
      'sftp:nas:x',
      'sftp://backup@[fd00::1]:2222//srv/x',
      'rest:https://backup.example.org:8000/x/',
      's3:s3.amazonaws.com/bucket',
    ])
      expect(one(`far:restic:${location}`)).toMatchObject({ location });
    expect(one('far:restic:/media/usb/x mount')).toMatchObject({ mounted: true });
  });
  test.each([
    ['far:restic:', /:1:12: there is no location; expected NAME:restic:LOCATION/],
    ['far:restic:srv', /:1:12: "srv" is no place for restic; expected \/path, sftp:, s3: or rest:/],
    ['far:restic: b2:bucket', /:1:13: "b2:bucket" is no place for restic/],
    ['far:restic:/srv/../etc', /:1:12: .* no absolute path/],
    ['far:restic:sftp:-oProxyCommand=x:/a', /:1:12: .* is no location of sftp/],
    ['far:restic:sftp:nas', /:1:12: .* is no location of sftp/],
    ['far:restic:rest:https://me:secret@h/x', /:1:12: a user and password do not belong here.*env=/],
    ['far:restic:/srv kay=/x', /:1:17: unknown option kay/],
    ['far:restic:/srv key=k', /:1:17: "key=k" names no absolute path/],
    ['far:restic:/srv key=/a key=/b', /:1:24: the option key stands here already/],
    ['far:restic:/srv env=/x', /:1:17: env= is for s3: and rest:/],
    ['far:restic:s3:h/b ssh=/x', /:1:19: ssh= is for sftp:/],
    ['far:restic:s3:h/b mount', /:1:19: mount is for a path/],
    ['\nfar:tape:/srv', /:2:5: "tape" is no kind of repository; known are tree and restic/],
  ])('%j is refused where the fault is', (text, fault) => {
    expect(() => parseRepositories(text, 'repositories.conf')).toThrow(fault);
    expect(() => parseRepositories(text, 'repositories.conf')).not.toThrow(/secret/);
  });
});

test('a record goes into tags and comes back; what is none of ours is told', () => {
  const record = backupRecord.parse(
    backupOf(at, {
      repository: 'far',
      address6: 'fd60:10::5',
      addedBytes: 5,
      basis: '20261126T030000Z',
      protected: true,
    }),
  );
  const tags = tagsOf(record);
  expect(tags.filter((tag) => tag.includes(','))).toEqual([]); // a comma parts tags
  const snapshot = { id: 'a'.repeat(64), time: '', tags };
  expect(recordIn(snapshot, 'far')).toEqual(record);
  const half = { ...snapshot, tags: tags.filter((tag) => !tag.startsWith('uuid=')) };
  expect(recordIn(half, 'far')).toBe(
    'snapshot aaaaaaaa of repository far has a tag that is none of ours: uuid',
  );
  const { protected: _, ...rest } = record;
  const other = { id: 'b'.repeat(64), time: '', tags: tagsOf({ ...rest, protected: false }) };
  const open = { id: 'c'.repeat(64), time: '', tags: ['vs-open', 'vserver=web1'] };
  expect(recordsIn([snapshot, other, half, open], 'far')).toEqual({
    all: [{ record, snapshots: [snapshot.id, other.id] }],
    faults: [expect.stringContaining('uuid')],
  });
});

test('what a server asks for comes from a file, whose lines are never shown', () => {
  expect(parseEnvironment('# s3\nAWS_ACCESS_KEY_ID=me\nAWS_SECRET_ACCESS_KEY="a b"\n', 'f')).toEqual({
    AWS_ACCESS_KEY_ID: 'me',
    AWS_SECRET_ACCESS_KEY: 'a b',
  });
  for (const wrong of ['LD_PRELOAD=/x', 'secret', 'AWS_SECRET_ACCESS_KEY='])
    expect(() => parseEnvironment(`\n${wrong}`, 'f')).toThrow(/^f:2:1: expected KEY=value(?!.*(secret|\/x))/);
});

test('ssh never asks, and a location cannot give it options', () => {
  expect(sftpOptions({ location: '/srv' })).toEqual([]);
  const [, command = ''] = sftpOptions({ location: 'sftp://me@[fd00::1]:2222//srv', ssh: '/etc/c' });
  expect(command).toMatch(
    /^sftp\.command=ssh -F \/etc\/c -o BatchMode=yes .* -l me -p 2222 fd00::1 -s sftp$/,
  );
  expect(sftpOptions({ location: 'sftp:nas:x' })[1]).toMatch(/ nas -s sftp$/);
});

test('what restic says becomes a sentence, without secrets', () => {
  const fault = (code: number, said: string) =>
    faultOf(repository, new RunError(['restic'], code, said, `restic ended: ${said}`), ['hush']);
  expect(fault(1, 'Fatal: wrong password or no key found').message).toMatch(
    /the key of repository far is not the one/,
  );
  expect(
    fault(
      1,
      'Fatal: unable to open config file: stat: no such file or directory\nIs there a repository at the following location?\n/x',
    ),
  ).toMatchObject({
    details: { restic: 'missing' },
  });
  expect(
    fault(
      1,
      'Fatal: unable to open config file: connection refused\nIs there a repository at the following location?\n',
    ).details,
  ).toBeUndefined(); // nothing is made where one only cannot be reached
  expect(fault(1, 'repository is already locked exclusively by PID 7 on vm')).toMatchObject({
    code: 'conflict',
    retryable: true,
  });
  expect(fault(1, 'Fatal: https://me:hush@h: no').message).toBe(
    'repository far (/srv/far): Fatal: https://me:***@h: no',
  );
  expect(() => parseOutput('no JSON', backupRecord, 'snapshots')).toThrow(
    /restic snapshots did not answer with JSON/,
  );
  expect(() => parseOutput('[1]', backupRecord, 'snapshots')).toThrow(/answered in an unknown form/);
});

test('the packs that a check names', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((letter) => letter.repeat(64));
  const text = `load indexes
Load(<data/5dfd179b1f>, 3146091, 0) returned error, retrying after 552ms: open ...
pack ${a}: does not exist
Pack ID does not match, want ${b}, got ${c}
error for tree 1f77af72:
  tree 1f77af72: file "x" blob 0 not found in index
Fatal: repository contains errors`;
  expect(damagedIn(text)).toEqual({
    packs: [a, b],
    other: ['error for tree 1f77af72:', '  tree 1f77af72: file "x" blob 0 not found in index'],
  });
});
