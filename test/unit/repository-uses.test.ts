import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { service } from '../../services/repository/main.ts';
import { mountsOf } from '../../services/repository/mounts.ts';
import { backupRecord } from '../../shared/contract/backup.ts';
import { VsError } from '../../shared/errors.ts';
import type { Call, Context } from '../../shared/service.ts';
import { writeJson } from '../../shared/store.ts';
import { backupOf } from './backup-record.ts';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'vs-uses-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const one = backupOf(Date.UTC(2026, 10, 27, 3));
const { id, vserver } = one;
const which = { repository: 'main', vserver, id };
const saga = 'backup-restore-1';

/** The repository service as it is in the master, with an orchestrator that says how sagas stand. */
async function begin(results: Record<string, string>) {
  const directory = join(root, 'backups', vserver, id);
  await rm(join(root, 'backups'), { recursive: true, force: true });
  await mkdir(join(root, 'backups'), { mode: 0o700 });
  await mkdir(join(directory, 'tree', 'rootfs'), { recursive: true });
  await writeJson(join(directory, 'backup.json'), backupRecord, one);
  const bus = {
    request: (_target: string, _command: string, { id: asked }: { id: string }) => {
      const result = results[asked];
      if (result === 'away') return Promise.reject(new VsError('unavailable', 'nobody answers'));
      if (result === undefined) return Promise.reject(new VsError('not-found', `there is no saga ${asked}`));
      return Promise.resolve({ saga: { id: asked, result } });
    },
  };
  const settings = { CONFIG_DIR: root, BACKUP_DIR: join(root, 'backups') };
  const { handlers, inner = {} } = service({ host: 'master', bus, settings, log: {} } as unknown as Context);
  const call = {} as Call;
  return {
    hold: () => inner['repository.hold']?.({ ...which, saga }, call),
    free: () => inner['repository.free']?.({ repository: 'main', saga }, call),
    remove: () => handlers['repository.remove']?.(which, call),
    holds: () => readdir(join(root, 'backups', '.holds')).catch(() => []),
  };
}

test('a backup that a saga reads is not removed while that runs or is stuck, also after a restart', async () => {
  const results: Record<string, string> = { [saga]: 'running' };
  const before = await begin(results);
  await before.hold();
  await before.hold();
  await expect(before.remove()).rejects.toThrow(
    /saga backup-restore-1 reads backup 20261127T030000Z of web1/,
  );
  for (const state of ['stuck', 'away', 'running']) {
    results[saga] = state;
    await expect(before.remove()).rejects.toMatchObject({ code: 'conflict' });
  }
  await before.free();
  expect(await before.remove()).toEqual({ removed: true });
});

test('what an ended saga, or one that nobody knows, has left holds nothing, and is cleared away', async () => {
  for (const state of ['done', 'undone', undefined]) {
    const repository = await begin(state === undefined ? {} : { [saga]: state });
    await repository.hold();
    expect(await repository.holds()).toEqual([`${saga}.json`]);
    expect(await repository.remove()).toEqual({ removed: true });
    expect(await repository.holds()).toEqual([]);
  }
});

test('of a restore and a prune at the same moment one wins, and the other is told', async () => {
  const repository = await begin({ [saga]: 'running' });
  const [removed, held] = await Promise.allSettled([repository.remove(), repository.hold()]);
  // who comes first is not known: each reads the configuration before
  expect([removed.status, held.status].toSorted()).toEqual(['fulfilled', 'rejected']);
  const other = await begin({ [saga]: 'running' });
  await other.remove();
  await expect(other.hold()).rejects.toMatchObject({
    code: 'not-found',
    message: expect.stringMatching(/was removed from repository main meanwhile/) as string,
  });
});

test('a damaged hold removes nothing', async () => {
  const repository = await begin({});
  await repository.hold();
  await writeFile(join(root, 'backups', '.holds', `${saga}.json`), '{"version"');
  await expect(repository.remove()).rejects.toThrow(/backup-restore-1\.json/);
});

test('where backups are mounted, by the kernel', () => {
  const text = [
    '36 25 254:0 / / rw,relatime - ext4 /dev/vda rw',
    '512 36 254:0 /srv/backups/web1/20261127T030000Z/tree/rootfs /mnt/web\\0401 ro,nosuid - ext4 /dev/vda rw',
    '513 36 254:0 /srv/backups/web1/latest/tree/rootfs /mnt/other ro - ext4 /dev/vda rw',
    '514 36 254:0 /web2/20261127T030000Z-2/tree /mnt/whole ro - ext4 /dev/vda rw',
  ].join('\n');
  expect(mountsOf(text)).toEqual([
    { vserver: 'web1', id: '20261127T030000Z', directory: '/mnt/web 1' },
    { vserver: 'web2', id: '20261127T030000Z-2', directory: '/mnt/whole' },
  ]);
});
