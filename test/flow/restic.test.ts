import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { backup, resticMaster, taken } from './restic-kit.ts';
import { dice, growing, mutate, oracle } from './tree-kit.ts';

const TIME = { timeout: 300_000 };
const of = (id: string) => ({ repository: 'far', vserver: 'web1', id });

/** A repository of its own for a test, and what is asked of it. */
function farOne() {
  const master = resticMaster('far:restic:@/repo\n');
  const env = {
    ...process.env,
    RESTIC_REPOSITORY: join(master.at, 'repo'),
    RESTIC_PASSWORD_FILE: join(master.at, 'state/restic/far/key'),
    RESTIC_CACHE_DIR: join(master.at, 'cache'),
  };
  return {
    master,
    env,
    list: async () => (await master.ask('repository.list', { repository: 'far' })).backups,
    restic: (...args: string[]) =>
      execFileSync('restic', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env }),
    async fetchOne(id: string, saga = 'restore-1') {
      const { tree } = await master.ask('repository.fetch', { ...of(id), saga });
      return join(tree, 'rootfs');
    },
  };
}
const far = (work: (far: ReturnType<typeof farOne>) => Promise<void>) => async () => {
  const one = farOne();
  try {
    await work(one);
  } finally {
    one.master.end();
  }
};

test.concurrent(
  'a tree with every kind of file comes back as it was, the second backup takes little, and both stay',
  TIME,
  far(async ({ master, list, fetchOne }) => {
    const random = dice(7);
    let before: string[] = [];
    const first = await master.take('backup-1', (root) => {
      writeFileSync(join(root, 'big'), randomBytes(3_000_000));
      mutate(root, random, 120, growing);
      execFileSync('truncate', ['-s', '40M', join(root, 'holes')]);
      execFileSync('setcap', ['cap_net_raw+ep', join(root, 'holes')]);
      execFileSync('touch', ['-d', '2001-02-03 04:05:06.123456789', join(root, 'holes')]);
      before = oracle(root, false);
    });
    expect(first.begun).toMatchObject({ resumed: false });
    expect(first.record).toMatchObject({
      id: '20261127T030000Z',
      epoch: 3,
      running: true,
      enabled: false,
      network: 'blue',
    });
    let after: string[] = [];
    const second = await master.take(
      'backup-2',
      (root) => {
        expect(oracle(root, false)).toEqual(before); // what came is kept, so a host sends only what changed
        mutate(root, random, 60);
        writeFileSync(join(root, 'one more'), 'more');
        after = oracle(root, false);
      },
      taken + 3_600_000,
    );
    expect(second.begun).toMatchObject({ basis: first.record.id, taken, resumed: false });
    expect(second.record.basis).toBe(first.record.id);
    expect(second.record.addedBytes).toBeLessThan(2_500_000);
    expect(await list()).toEqual([second.record, first.record]);
    const root = await fetchOne(first.record.id);
    expect(oracle(root, false)).toEqual(before);
    expect(lstatSync(join(root, 'holes')).blocks).toBeLessThan(100);
    expect(oracle(await fetchOne(second.record.id, 'restore-2'), false)).toEqual(after);
    const offered = await master.ask('repository.offer', of(first.record.id));
    expect(offered).toEqual({ backup: first.record, config: expect.objectContaining({ name: 'web1' }) });
    expect(await master.ask('repository.fetch', { ...of(first.record.id), saga: 'restore-1' })).toEqual({
      tree: join(root, '..'),
    });
    for (const saga of ['restore-1', 'restore-2'])
      await master.ask('repository.release', { repository: 'far', saga });
    expect(readdirSync(join(master.at, 'state/restic/far/.fetched'))).toEqual([]);
    // the same step again: the same answer; another life of the master, which has lost its state, finds all of it
    expect(
      (await master.ask('repository.seal', { repository: 'far', name: 'web1', saga: 'backup-2', backup }))
        .backup,
    ).toEqual(second.record);
    renameSync(join(master.at, 'state/restic/far/key'), join(master.at, 'key'));
    rmSync(join(master.at, 'state'), { recursive: true });
    master.conf('other:restic:@/repo key=@/key\n');
    const found = (await master.ask('repository.list', { repository: 'other' })).backups;
    expect(found.map((one) => ({ ...one, repository: 'far' }))).toEqual([second.record, first.record]);
  }),
);

test.concurrent(
  'a path of it comes alone; what a saga or a person reads stays; a lock is in the way while its process lives',
  TIME,
  far(async ({ master, env, list }) => {
    const { record } = await master.take('backup-1', (root) => {
      for (const one of ['etc/a*b', 'etc/aXb']) {
        mkdirSync(join(root, one), { recursive: true });
        writeFileSync(join(root, one, 'file'), one);
      }
    });
    const { tree } = await master.ask('repository.fetch', {
      ...of(record.id),
      saga: 'files-1',
      path: '/etc/a*b',
    });
    expect(readdirSync(join(tree, 'rootfs/etc'))).toEqual(['a*b']);
    expect(readFileSync(join(tree, 'rootfs/etc/a*b/file'), 'utf8')).toBe('etc/a*b');
    await expect(
      master.ask('repository.fetch', { ...of(record.id), saga: 'files-2', path: '/etc/none' }),
    ).rejects.toThrow(/backup 20261127T030000Z of web1 has no \/etc\/none/);
    await expect(master.ask('repository.offer', { ...of(record.id), saga: 'files-1' })).rejects.toThrow(
      /has not been fetched/,
    );
    await master.ask('repository.hold', { ...of(record.id), saga: 'backup-test-1' });
    await expect(master.ask('repository.remove', of(record.id))).rejects.toThrow(
      /saga backup-test-1 reads backup 20261127T030000Z of web1, so it stays/,
    );
    const proof = { ts: taken, ok: true, host: 'host1', saga: 'backup-test-1', ms: 900, checks: [] };
    await master.ask('repository.prove', { ...of(record.id), proof });
    expect(await list()).toEqual([{ ...record, proof }]);
    await master.ask('repository.free', { repository: 'far', saga: 'backup-test-1' });
    // shown to people: it stays while it is, also when the service looks after its things
    const directory = join('/mnt', basename(master.at));
    const brought = join(master.at, 'state/restic/far/.shown/web1');
    await master.ask('repository.mount', { ...of(record.id), directory });
    try {
      await master.tidy();
      expect(readFileSync(join(directory, 'etc/aXb/file'), 'utf8')).toBe('etc/aXb');
      expect((await master.ask('repository.mounts', {})).mounts).toEqual([{ ...of(record.id), directory }]);
      expect(() => writeFileSync(join(directory, 'etc/aXb/file'), 'other')).toThrow(/EROFS/);
      await expect(master.ask('repository.remove', of(record.id))).rejects.toThrow(
        /is mounted at \/mnt\/.*, so it stays/,
      );
    } finally {
      // as the end of the machine does: the service is not asked
      spawnSync('umount', [directory]);
      rmdirSync(directory);
    }
    expect(readdirSync(brought)).toEqual([record.id]);
    await master.tidy();
    expect(readdirSync(brought)).toEqual([]);
    const hold = () => {
      const child = spawn('restic', ['backup', '--quiet', '--stdin'], {
        stdio: ['pipe', 'ignore', 'ignore'],
        env,
      });
      child.stdin.on('error', () => undefined);
      return { child, ended: new Promise((resolve) => child.once('exit', resolve)) };
    };
    const { child, ended } = hold();
    for (let tries = 0; tries < 1000 && readdirSync(join(master.at, 'repo/locks')).length === 0; tries++)
      await sleep(20);
    await expect(master.ask('repository.remove', of(record.id))).rejects.toThrow(
      new RegExp(`repository far is locked by PID ${child.pid} on .*wait for it`),
    );
    child.kill('SIGKILL');
    await ended;
    expect(readdirSync(join(master.at, 'repo/locks')).length).toBeGreaterThan(0);
    expect(await master.ask('repository.remove', of(record.id))).toEqual({ removed: true });
    await expect(master.ask('repository.hold', { ...of(record.id), saga: 'backup-test-2' })).rejects.toThrow(
      /was removed from repository far meanwhile/,
    );
  }),
);

test.concurrent(
  'one byte that is another is found and named, in each backup that has it; then it is whole again',
  TIME,
  far(async ({ master, list, fetchOne }) => {
    const first = await master.take('backup-1', (root) =>
      writeFileSync(join(root, 'old'), randomBytes(2_000_000)),
    );
    const packs = () =>
      execFileSync('find', [join(master.at, 'repo/data'), '-type', 'f', '-size', '+1000k'], {
        encoding: 'utf8',
      })
        .split('\n')
        .filter(Boolean);
    const [pack = ''] = packs();
    await master.take('backup-2', (root) => writeFileSync(join(root, 'new'), 'new'), taken + 1000);
    const last = await master.take(
      'backup-3',
      (root) => {
        rmSync(join(root, 'old'));
        writeFileSync(join(root, 'other'), randomBytes(2_000_000));
      },
      taken + 2000,
    );
    const content = readFileSync(pack);
    const damaged = Buffer.from(content);
    damaged[1_000_000] = (damaged[1_000_000] ?? 0) ^ 1;
    chmodSync(pack, 0o600);
    writeFileSync(pack, damaged);
    const looking = master.ask('repository.verify', of(last.record.id));
    const proof = { ts: taken, ok: true, host: 'host1', saga: 'backup-test-1', ms: 900, checks: [] };
    await master.ask('repository.prove', { ...of(last.record.id), proof });
    expect((await looking).backup).toMatchObject({ faults: [], proof });
    const bad = await master.ask('repository.verify', of(first.record.id));
    expect(bad.backup.faults).toEqual([
      expect.stringMatching(/^rootfs\/old is damaged: its data in pack [0-9a-f]{12}/),
    ]);
    expect((await list()).map((one) => one.faults?.length)).toEqual([0, 1, 1]);
    await expect(fetchOne(first.record.id)).rejects.toThrow(/repository far .*rootfs\/old/);
    expect(existsSync(join(master.at, 'state/restic/far/.fetched/restore-1'))).toBe(false);
    writeFileSync(pack, content);
    expect((await master.ask('repository.verify', of(first.record.id))).backup.faults).toEqual([]);
  }),
);

test.concurrent(
  'protected ones stay; what is removed gives its space back',
  TIME,
  far(async ({ master, list, restic }) => {
    const first = await master.take('backup-1', (root) =>
      writeFileSync(join(root, 'old'), randomBytes(5_000_000)),
    );
    await master.take('backup-2', (root) => rmSync(join(root, 'old')), taken + 1000);
    const size = () =>
      Number(execFileSync('du', ['-s', join(master.at, 'repo')], { encoding: 'utf8' }).split('\t')[0]);
    const full = size();
    const done = await master.ask('repository.protect', { ...of(first.record.id), on: true });
    expect(done.backup.protected).toBe(true);
    expect((await list()).map((one) => one.protected)).toEqual([false, true]);
    await expect(master.ask('repository.remove', of(first.record.id))).rejects.toThrow(
      /is protected; first: vs backup unprotect/,
    );
    await master.ask('repository.protect', { ...of(first.record.id), on: false });
    expect(await master.ask('repository.remove', of(first.record.id))).toEqual({ removed: true });
    expect(await master.ask('repository.remove', of(first.record.id))).toEqual({ removed: false });
    expect(await list()).toHaveLength(1);
    await master.tidy();
    expect(size()).toBeLessThan(full - 4000);
    expect(restic('check', '--read-data')).toContain('no errors were found');
    expect(readdirSync(join(master.at, 'state/restic/far'))).not.toContain('unpruned');
  }),
);

test.concurrent(
  'an interrupted one goes on from what has come, and nothing of an open snapshot is listed',
  TIME,
  far(async ({ master, list, restic }) => {
    const first = await master.take('backup-1', (root) => writeFileSync(join(root, 'a'), 'a'));
    const of2 = { repository: 'far', name: 'web1', saga: 'backup-2' };
    await master.ask('repository.open', { ...of2, bytes: 1e6 });
    const { path } = await master.ask('repository.place', of2);
    writeFileSync(join(path, 'rootfs/half'), 'half');
    restic('backup', '--quiet', '--tag', 'vs-open', '--tag', 'vserver=web1', '--tag', 'saga=backup-2', path);
    await master.ask('repository.discard', { ...of2, keep: true });
    expect((await list()).map((one) => one.id)).toEqual([first.record.id]);
    const next = await master.take(
      'backup-3',
      (root) => expect(readFileSync(join(root, 'half'), 'utf8')).toBe('half'),
      taken + 1000,
    );
    expect(next.begun).toMatchObject({ resumed: true, basis: first.record.id });
    expect(restic('snapshots', '--json')).not.toContain('vs-open');
    await master.ask('repository.open', { ...of2, saga: 'backup-4', bytes: 1e6 });
    await master.ask('repository.discard', { ...of2, saga: 'backup-4' });
    await expect(master.ask('repository.place', { ...of2, saga: 'backup-4' })).rejects.toThrow(
      /no open backup of web1/,
    );
    const anew = await master.ask('repository.open', { ...of2, saga: 'backup-5', bytes: 1e6 });
    expect(anew).toMatchObject({ resumed: false });
    expect(anew.basis).toBeUndefined();
  }),
);

test.concurrent(
  'the key is made for root alone, and one that is open, gone, or of another repository is refused',
  TIME,
  far(async ({ master, restic }) => {
    const info = async () => (await master.ask('repository.info', { repository: 'far' })).repositories[0];
    expect(await info()).toMatchObject({ kind: 'restic', path: join(master.at, 'repo'), backups: 0 });
    await master.take('backup-1', (root) => writeFileSync(join(root, 'a'), 'a'));
    expect(await info()).toMatchObject({ backups: 1, free: expect.any(Number), last: expect.any(Number) });
    const key = join(master.at, 'state/restic/far/key');
    expect(statSync(key).mode & 0o777).toBe(0o600);
    const secret = readFileSync(key, 'utf8').trim();
    expect(secret.length).toBeGreaterThan(40);
    const say = async () => (await info())?.fault ?? '';
    chmodSync(key, 0o640);
    expect(await say()).toMatch(/the key of repository far .*\/key is open to others than root: .*chmod 600/);
    chmodSync(key, 0o600);
    writeFileSync(key, 'another\n');
    expect(await say()).toMatch(/the key of repository far is not the one of .*repo/);
    expect(await say()).not.toContain('another');
    renameSync(key, `${key}.away`);
    expect(await say()).toMatch(/key .*\/key of repository far is gone.*bring back your copy/);
    expect(existsSync(key)).toBe(false); // a new one would not help
    renameSync(`${key}.away`, key);
    writeFileSync(key, `${secret}\n`);
    renameSync(join(master.at, 'repo'), join(master.at, 'away'));
    expect(await say()).toMatch(/there is no restic repository at .*repo/);
    await expect(
      master.ask('repository.open', { repository: 'far', name: 'web1', saga: 'backup-2', bytes: 1 }),
    ).rejects.toThrow(/no restic repository at .* any more .*rm .*repository\.json/);
    restic('init');
    await expect(
      master.ask('repository.open', { repository: 'far', name: 'web1', saga: 'backup-2', bytes: 1 }),
    ).rejects.toThrow(/is another restic repository than before/);
    master.conf('far:restic:@/repo mount\n');
    expect(await say()).toMatch(/nothing is mounted at .*repo, where repository far is/);
  }),
);

test.concurrent(
  'a repository that cannot be reached hides no other, and is told',
  TIME,
  far(async ({ master }) => {
    master.conf('far:restic:@/repo\ngone:restic:rest:http://127.0.0.1:9/x/\n');
    const { record } = await master.take('backup-1', (root) => writeFileSync(join(root, 'a'), 'a'));
    const { backups, faults } = await master.ask('repository.list', {});
    expect(backups).toEqual([record]);
    expect(faults).toEqual([
      expect.stringMatching(/^repository gone \(rest:http:\/\/127\.0\.0\.1:9\/x\/\): .*connection refused/),
    ]);
  }),
);

// alone: it looks for moments
test(
  'killed at any moment: never listed, no lock in the way, and the next one is whole',
  TIME,
  far(async ({ master, list, fetchOne }) => {
    const first = await master.take('backup-1', (root) => writeFileSync(join(root, 'a'), 'a'));
    const of2 = { repository: 'far', name: 'web1', saga: 'backup-2' };
    await master.ask('repository.open', { ...of2, bytes: 1e6 });
    const { path } = await master.ask('repository.place', of2);
    // so much that restic is at work for long after it was seen to be
    writeFileSync(join(path, 'rootfs/b'), randomBytes(200_000_000));
    const program = `
import { resticMaster, backup } from '${new URL('restic-kit.ts', import.meta.url).pathname}';
const master = resticMaster('far:restic:@/repo\\n', '${master.at}');
await master.ask('repository.seal', { ...${JSON.stringify(of2)}, backup });`;
    const running = () =>
      readdirSync('/proc')
        .filter((one) => /^\d+$/.test(one))
        .filter((pid) => {
          try {
            return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(
              `RESTIC_REPOSITORY=${master.at}/repo`,
            );
          } catch {
            return false;
          }
        });
    for (const moment of ['repo/locks', 'data']) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit' });
      const ended = new Promise((resolve) => child.once('exit', resolve));
      const before = Number(
        execFileSync('du', ['-s', join(master.at, 'repo')], { encoding: 'utf8' }).split('\t')[0],
      );
      for (let tries = 0; tries < 4000; tries++) {
        const locked = readdirSync(join(master.at, 'repo/locks')).length > 0;
        const grown =
          Number(execFileSync('du', ['-s', join(master.at, 'repo')], { encoding: 'utf8' }).split('\t')[0]) >
          before + 3000;
        if (moment === 'data' ? grown : locked) break;
        await sleep(5);
      }
      const killed = running();
      child.kill('SIGKILL');
      await ended;
      for (let tries = 0; tries < 100 && running().length > 0; tries++) await sleep(20);
      // until somebody has heard of its end, restic takes a dead process for one that holds its lock
      for (let tries = 0; tries < 500 && killed.some((pid) => existsSync(`/proc/${pid}`)); tries++)
        await sleep(20);
      expect(running()).toEqual([]); // restic does not outlive it
      expect((await list()).map((one) => one.id)).toEqual([first.record.id]);
    }
    expect(readdirSync(join(master.at, 'repo/locks')).length).toBeGreaterThan(0);
    const sealed = await master.ask('repository.seal', {
      ...of2,
      backup: { ...backup, taken: taken + 5000 },
    });
    expect((await list()).map((one) => one.id)).toEqual([sealed.backup.id, first.record.id]);
    expect((await master.ask('repository.verify', of(sealed.backup.id))).backup.faults).toEqual([]);
    expect(readFileSync(join(await fetchOne(sealed.backup.id), 'b')).length).toBe(200_000_000);
  }),
);
