import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { DATA_VERSION, decide, prepareData, refuseNewer } from '../../shared/data-version.ts';
import { formatOf, upgrade, withSteps } from '../../shared/migrate.ts';
import { readJson, writeJson } from '../../shared/store.ts';
import { temporary } from './temporary.ts';

const two = withSteps(
  z.strictObject({ version: z.literal(3), names: z.array(z.string()), more: z.boolean() }),
  {
    1: ({ name }) => ({ names: [name] }),
    2: (value) => ({ ...value, more: false }),
  },
);

describe('the format of one file', () => {
  test('is that of the literal in its schema', () => {
    expect(formatOf(two)).toBe(3);
    expect(formatOf(z.object({ version: z.string() }))).toBeUndefined();
    expect(formatOf(z.object({ name: z.string() }))).toBeUndefined();
    expect(formatOf(z.array(z.string()))).toBeUndefined();
  });

  test('older ones go through each step; what is read is written in the format of today', async () => {
    const file = join(temporary('format'), 'one.json');
    writeFileSync(file, '{"version":1,"name":"web1"}');
    const value = await readJson(file, two);
    expect(value).toEqual({ version: 3, names: ['web1'], more: false });
    await writeJson(file, two, value!);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(value);
  });

  test('a newer one is refused with the file, both formats and what to do', async () => {
    const file = join(temporary('format'), 'one.json');
    writeFileSync(file, '{"version":4,"names":[]}');
    await expect(readJson(file, two)).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringMatching(/one\.json has format 4, .* up to 3: .*Install/),
    });
    expect(readFileSync(file, 'utf8')).toBe('{"version":4,"names":[]}');
  });

  test('one without a step, and what is no object, is judged by its schema', () => {
    for (const value of [{ version: 0 }, { version: 1.5 }, { version: '4' }, {}, [], null, 'x'])
      expect(upgrade('x', value, two)).toBe(value);
  });
});

describe('the version of STATE_DIR', () => {
  const settings = () => ({ STATE_DIR: temporary('state') });
  const markerOf = (one: { STATE_DIR: string }) =>
    JSON.parse(readFileSync(join(one.STATE_DIR, 'data-version.json'), 'utf8')) as {
      data: number;
      by: string;
    };
  const at = (data: number) => ({ data, by: 'x', ts: 0 });

  test('what is to be done', () => {
    expect(decide(undefined, 1)).toBe('mark');
    expect(decide(undefined, 2)).toBe('migrate');
    expect(decide(at(1), 2)).toBe('migrate');
    expect(decide(at(2), 2)).toBe('nothing');
    expect(decide(at(3), 2)).toBe('refuse');
  });

  test('is written down at the first start, also where no directory is, and not again', async () => {
    const one = { STATE_DIR: join(temporary('state'), 'not', 'there') };
    expect(await prepareData(one, '0.1.0')).toBeUndefined();
    expect(markerOf(one)).toMatchObject({ data: 1, by: '0.1.0' });
    await prepareData(one, '0.1.1');
    expect(markerOf(one).by).toBe('0.1.0');
  });

  test('older data goes step by step, after a copy that has no vservers, with the modes of before', async () => {
    const one = settings();
    const file = (name: string) => join(one.STATE_DIR, name);
    mkdirSync(file('ca'));
    writeFileSync(file('ca/ca.key'), 'secret', { mode: 0o600 });
    mkdirSync(file('copies'));
    writeFileSync(file('copies/large'), 'x');
    const database = new DatabaseSync(file('archive.db'));
    database.exec('CREATE TABLE t (a); INSERT INTO t VALUES (7)');
    const steps = {
      1: () => Promise.resolve(writeFileSync(file('ca/ca.key'), 'one')),
      2: () =>
        Promise.resolve(writeFileSync(file('ca/ca.key'), `${readFileSync(file('ca/ca.key'), 'utf8')} two`)),
    };
    const both = await Promise.all([1, 2].map(() => prepareData(one, '0.3.0', { known: 3, steps })));
    database.close();
    expect(both.filter(Boolean)).toEqual([expect.stringContaining('version 3 now (it was 1)')]);
    expect(readFileSync(file('ca/ca.key'), 'utf8')).toBe('one two');
    const copy = file('before-data-2');
    expect(readdirSync(copy).toSorted()).toEqual(['archive.db', 'ca']);
    expect(readFileSync(join(copy, 'ca/ca.key'), 'utf8')).toBe('secret');
    expect(statSync(join(copy, 'ca/ca.key')).mode & 0o777).toBe(0o600);
    expect(new DatabaseSync(join(copy, 'archive.db')).prepare('SELECT a FROM t').get()).toEqual({ a: 7 });
    expect(markerOf(one)).toMatchObject({ data: 3, by: '0.3.0' });
  });

  test('what was cut off goes on at the step that was begun, and the copy stays that of before', async () => {
    const one = settings();
    const file = join(one.STATE_DIR, 'x');
    writeFileSync(file, 'old');
    const first = () => Promise.resolve(writeFileSync(file, 'first'));
    const fails = () => Promise.reject(new Error('no space left'));
    await expect(
      prepareData(one, '0.3.0', { known: 3, steps: { 1: first, 2: fails } }),
    ).rejects.toMatchObject({
      code: 'failed',
      message: expect.stringMatching(/from version 1 to 3: no space left/),
    });
    expect(markerOf(one).data).toBe(2);
    rmSync(join(one.STATE_DIR, 'before-data-3'), { recursive: true, force: true });
    const never = () => Promise.reject(new Error('twice'));
    await prepareData(one, '0.3.0', { known: 3, steps: { 1: never, 2: () => Promise.resolve() } });
    expect(markerOf(one).data).toBe(3);
    expect(readFileSync(join(one.STATE_DIR, 'before-data-2/x'), 'utf8')).toBe('old');
    expect(existsSync(join(one.STATE_DIR, 'before-data-3/x'))).toBe(true);
  });

  test('newer data is refused with both versions, and nothing is touched', async () => {
    const one = settings();
    await prepareData(one, '0.9.0', { known: 4 });
    const before = readFileSync(join(one.STATE_DIR, 'data-version.json'), 'utf8');
    const refused = {
      code: 'refused',
      message: expect.stringMatching(/0\.9\.0 .*version 4.* 0\.1\.0.*version 1\. Install 0\.9\.0/),
    };
    await expect(prepareData(one, '0.1.0')).rejects.toMatchObject(refused);
    await expect(refuseNewer(one.STATE_DIR, '0.1.0')).rejects.toMatchObject(refused);
    expect(readFileSync(join(one.STATE_DIR, 'data-version.json'), 'utf8')).toBe(before);
    await refuseNewer(join(one.STATE_DIR, 'nothing-here'), '0.1.0');
  });

  test('a damaged marker counts as none: vservers must start', async () => {
    const one = settings();
    writeFileSync(join(one.STATE_DIR, 'data-version.json'), '{');
    await prepareData(one, '0.1.0');
    expect(markerOf(one).data).toBe(1);
  });
});

describe('the scripts of the package refuse a downgrade before they change anything', () => {
  const text = (file: string) =>
    readFileSync(new URL(`../../deploy/package/files/${file}`, import.meta.url), 'utf8');
  const checkOf = (file: string) => /^knows=\d+\n[\s\S]*?^fi$/m.exec(text(file))?.[0] ?? 'exit 7';

  test.each(['debian/preinst', 'install.sh'])('%s knows the version of today', (file) => {
    expect(checkOf(file)).toContain(`knows=${DATA_VERSION}\n`);
  });

  test.each([
    [undefined, 0],
    ['{', 0],
    [`{\n  "data": ${DATA_VERSION},\n  "by": "0.1.0"\n}\n`, 0],
    [`{\n  "data": ${DATA_VERSION + 1},\n  "by": "0.9.0"\n}\n`, 1],
    ['{"data":12,"by":"2.0.0"}', 1],
  ])('with %j it ends with %i', (content, code) => {
    const root = temporary('root');
    mkdirSync(join(root, 'var/lib/vs-tools'), { recursive: true });
    if (content !== undefined) writeFileSync(join(root, 'var/lib/vs-tools/data-version.json'), content);
    const script = `set -eu\nroot=$1\nfail() { echo "$*" >&2; exit 1; }\n${checkOf('install.sh')}`;
    const ended = spawnSync('sh', ['-c', script, 'sh', root], { encoding: 'utf8' });
    expect([ended.status, ended.stderr !== '']).toEqual([code, code === 1]);
  });
});
