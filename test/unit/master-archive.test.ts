import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isKept } from '../../services/master-archive/contents.ts';
import { restoreArchive } from '../../services/master-archive/restore.ts';
import { takeArchive } from '../../services/master-archive/take.ts';

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'vslab-archive-'))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

const places = (machine: string) => ({
  STATE_DIR: join(root, machine, 'state'),
  CONFIG_DIR: join(root, machine, 'etc'),
  TLS_DIR: join(root, machine, 'state', 'tls'),
  BROKER_USERS: join(root, machine, 'etc', 'broker-users.json'),
  BROKER_SOCKET: join(root, machine, 'broker.sock'),
});
function put(machine: string, files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, machine, path, '..'), { recursive: true });
    writeFileSync(join(root, machine, path), text, { mode: 0o600 });
  }
}
const read = (machine: string, path: string) => readFileSync(join(root, machine, path), 'utf8');
const ended = '{"ts":1,"kind":"begin"}\n{"ts":2,"kind":"end","result":"done"}\n';
const running = '{"ts":1,"kind":"begin"}\n{"ts":2,"kind":"started","step":"said \\"kind\\":\\"end\\""}\n';
const old = {
  'state/ca/ca.key': 'KEY',
  'state/ca/issued/01.pem': 'PEM',
  'state/epochs.json': '{"version":1,"epochs":{}}',
  'state/sagas/move-a.jsonl': ended,
  'state/sagas/move-b.jsonl': running,
  'state/copies/web1/rootfs/big': 'no',
  'state/broker.db': 'no database',
  'state/.store.tmp': 'no',
  'etc/vs-tools.conf': 'ROLE=master\n',
  'etc/groups/web.conf': 'allow from any tcp/80\n',
  'etc/broker-users.json': '{}',
};
const take = () =>
  takeArchive(places('old'), join(root, 'kept'), { version: '1.2.3', now: 1_700_000_000_000 });

describe('an archive of the master', () => {
  test('has what the master knows, and not what is large or comes by itself', async () => {
    put('old', old);
    const { file, files } = await take();
    expect(file).toBe(join(root, 'kept', 'vs-master-20231114T221320Z.tar.gz'));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const listed = execFileSync('tar', ['-tzf', file], { encoding: 'utf8' });
    for (const path of Object.keys(old))
      expect(listed.includes(path)).toBe(!old[path as keyof typeof old].startsWith('no'));
    expect(files).toBe(8);
    expect(readdirSync(join(root, 'kept'))).toEqual(['vs-master-20231114T221320Z.tar.gz']);
  });

  test('a database is as of one moment, although it is open', async () => {
    put('old', old);
    const file = join(root, 'old/state/sagas/archive.db');
    const open = new DatabaseSync(file);
    open.exec("PRAGMA journal_mode=WAL; CREATE TABLE t (a); INSERT INTO t VALUES ('in the log');");
    const { file: archive } = await take();
    open.close();
    await restoreArchive(places('new'), archive);
    const restored = new DatabaseSync(join(root, 'new/state/sagas/archive.db'), { readOnly: true });
    expect(restored.prepare('SELECT a FROM t').get()).toEqual({ a: 'in the log' });
    restored.close();
  });

  test('only so many are kept', async () => {
    put('old', old);
    for (const day of [1, 2, 3])
      await takeArchive(places('old'), join(root, 'kept'), { version: '1', keep: 2, now: day * 86_400_000 });
    expect(readdirSync(join(root, 'kept'))).toEqual([
      'vs-master-19700103T000000Z.tar.gz',
      'vs-master-19700104T000000Z.tar.gz',
    ]);
  });

  test('a machine that is no master, and keys that lie elsewhere, are refused', async () => {
    put('old', { 'etc/vs-tools.conf': '' });
    await expect(take()).rejects.toThrow(/not the master of a pool/);
    put('old', old);
    await expect(
      takeArchive({ ...places('old'), TLS_DIR: '/elsewhere' }, join(root, 'kept'), { version: '1' }),
    ).rejects.toThrow(/TLS_DIR \(\/elsewhere\) lies outside/);
  });

  test('figures only when they are asked for', () => {
    expect([isKept('history', false), isKept('history', true), isKept('ca', false)]).toEqual([
      false,
      true,
      true,
    ]);
    expect(
      ['broker.db-wal', 'before-restore-1', '.restore', 'templates'].filter((one) => isKept(one, true)),
    ).toEqual([]);
  });
});

describe('a master that is brought back', () => {
  test('on a new machine: state, settings and modes; what ran is not resumed', async () => {
    put('old', old);
    const { file } = await take();
    const restored = await restoreArchive(places('new'), file);
    expect(restored).toMatchObject({ taken: 1_700_000_000_000, files: 8, unfinished: ['move-b'] });
    expect(restored.aside).toBeUndefined();
    expect(read('new', 'state/ca/ca.key')).toBe('KEY');
    expect(statSync(join(root, 'new/state/ca/ca.key')).mode & 0o777).toBe(0o600);
    expect(read('new', 'etc/groups/web.conf')).toBe('allow from any tcp/80\n');
    expect(read('new', 'state/sagas/move-a.jsonl')).toBe(ended);
    expect(existsSync(join(root, 'new/state/sagas/move-b.jsonl'))).toBe(false);
    expect(read('new', 'state/sagas/not-resumed/move-b.jsonl')).toBe(running);
    expect(existsSync(join(root, 'new/state/.restore'))).toBe(false);
  });

  test('over a master only with replace, which keeps what was there', async () => {
    put('old', old);
    const { file } = await take();
    put('new', {
      'state/ca/ca.key': 'OTHER',
      'state/broker.db': 'theirs',
      'state/mine.json': '{}',
      'etc/vs-tools.conf': 'theirs',
    });
    await expect(restoreArchive(places('new'), file)).rejects.toThrow(/master already .*--replace/);
    expect(read('new', 'state/ca/ca.key')).toBe('OTHER');
    const { aside = '' } = await restoreArchive(places('new'), file, { replace: true });
    expect(readFileSync(join(aside, 'state/ca/ca.key'), 'utf8')).toBe('OTHER');
    expect(readFileSync(join(aside, 'state/broker.db'), 'utf8')).toBe('theirs');
    expect(readFileSync(join(aside, 'etc/vs-tools.conf'), 'utf8')).toBe('theirs');
    expect(read('new', 'state/ca/ca.key')).toBe('KEY');
    expect(read('new', 'state/mine.json')).toBe('{}');
  });

  test('a host of a pool is refused', async () => {
    put('old', old);
    const { file } = await take();
    put('new', { 'state/owned/web1.json': '{}' });
    await expect(restoreArchive(places('new'), file, { replace: true })).rejects.toThrow(
      /is a host of a pool/,
    );
  });

  /** An archive with other contents, made by hand. */
  function repack(file: string, change: (directory: string) => void): string {
    const directory = mkdtempSync(join(root, 'repack-'));
    execFileSync('tar', ['-C', directory, '-xzf', file]);
    change(directory);
    execFileSync('tar', ['-C', directory, '-czf', `${directory}.tar.gz`, '.']);
    return `${directory}.tar.gz`;
  }
  test.each<[string, (directory: string) => void, RegExp]>([
    [
      'a changed file',
      (at) => writeFileSync(join(at, 'state/epochs.json'), '{}'),
      /state\/epochs\.json .* damaged/,
    ],
    ['a missing file', (at) => rmSync(join(at, 'etc/vs-tools.conf')), /etc\/vs-tools\.conf is missing/],
    [
      'a file too many',
      (at) => writeFileSync(join(at, 'etc/evil.conf'), ''),
      /etc\/evil\.conf is in the archive, but not/,
    ],
    [
      'a link',
      (at) => execFileSync('ln', ['-s', '/etc/shadow', join(at, 'etc/shadow')]),
      /more than files and directories/,
    ],
    ['no manifest', (at) => rmSync(join(at, 'manifest.json')), /no manifest\.json/],
  ])('%s is named, and nothing is changed', async (_, change, expected) => {
    put('old', old);
    const { file } = await take();
    await expect(restoreArchive(places('new'), repack(file, change))).rejects.toThrow(expected);
    expect(readdirSync(places('new').STATE_DIR)).toEqual([]);
    await restoreArchive(places('new'), file); // and the whole one works after it
    expect(read('new', 'state/ca/ca.key')).toBe('KEY');
  });

  test('a file cut off, or no archive at all, is a sentence', async () => {
    put('old', old);
    const { file } = await take();
    writeFileSync(join(root, 'cut.tar.gz'), readFileSync(file).subarray(0, 200));
    await expect(restoreArchive(places('new'), join(root, 'cut.tar.gz'))).rejects.toThrow(/no whole archive/);
    await expect(restoreArchive(places('new'), join(root, 'none.tar.gz'))).rejects.toThrow(/cannot be read/);
  });

  test('cut off in its middle, it goes on with the same command', async () => {
    put('old', old);
    const { file } = await take();
    put('new', { 'state/ca/ca.key': 'OTHER' });
    // what is there when the power goes behind the first rename: the staging, its marks, one entry in its place
    const stage = join(root, 'new/state/.restore');
    mkdirSync(stage, { recursive: true });
    execFileSync('tar', ['-C', stage, '-xzf', file]);
    writeFileSync(join(stage, 'stamp'), '5');
    writeFileSync(
      join(stage, 'placing'),
      execFileSync('sha256sum', [file], { encoding: 'utf8' }).slice(0, 64),
    );
    mkdirSync(join(root, 'new/state/before-restore-5/state'), { recursive: true });
    renameSync(join(root, 'new/state/ca'), join(root, 'new/state/before-restore-5/state/ca'));
    renameSync(join(stage, 'state/ca'), join(root, 'new/state/ca'));
    const restored = await restoreArchive(places('new'), file);
    expect(restored).toMatchObject({
      aside: join(root, 'new/state/before-restore-5'),
      unfinished: ['move-b'],
    });
    expect(read('new', 'state/before-restore-5/state/ca/ca.key')).toBe('OTHER');
    expect(read('new', 'state/ca/ca.key')).toBe('KEY');
    expect(existsSync(join(root, 'new/state/sagas/move-b.jsonl'))).toBe(false);
  });

  test('cut off while its staging was cleared away, all is there, and the same command says what it would take', async () => {
    put('old', old);
    const { file } = await take();
    await restoreArchive(places('new'), file);
    const hash = execFileSync('sha256sum', [file], { encoding: 'utf8' }).slice(0, 64);
    put('new', { 'state/.restore/placing': hash }); // its manifest went first
    await expect(restoreArchive(places('new'), file)).rejects.toThrow(/master already .*--replace/);
    expect(read('new', 'state/ca/ca.key')).toBe('KEY');
  });
});
