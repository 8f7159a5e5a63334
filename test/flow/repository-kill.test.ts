import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  closeSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compareManifest } from '../../services/repository/manifest.ts';
import { discardBackup, openBackup, sealBackup, tidy } from '../../services/repository/open.ts';
import { pathsIn, requireUsable } from '../../services/repository/place.ts';
import { listRecords } from '../../services/repository/records.ts';
import { run } from '../../shared/run.ts';

let directory = '';
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'vslab-repository-'))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));
const repository = () => ({
  name: 'main',
  kind: 'tree' as const,
  path: join(directory, 'backups'),
  mount: false,
});
const paths = () => pathsIn(repository());
const isRoot = process.getuid?.() === 0;

const uuid = '5d2c7f0e-8f0a-4d0e-9d53-0f1f6f1b2a11';
const where = { network: 'blue', address: '10.60.10.5', prefix: 24, mac: '02:1a:2b:3c:4d:5e' };
const config = { version: 1, uuid, name: 'web1', ...where, enabled: true, created: 1 };
const taken = Date.UTC(2026, 10, 27, 3);
const how = { mode: 'hot' as const, kind: 'stopped' as const, running: false, enabled: true };
const backupAt = (at: number) => ({ uuid, host: 'host1', epoch: 1, ...how, taken: at });

async function open(saga: string, files: number): Promise<Awaited<ReturnType<typeof openBackup>>> {
  await requireUsable(repository());
  const opened = await openBackup(repository(), { name: 'web1', saga, bytes: 1000 });
  const rootfs = join(paths().partial('web1', saga), 'tree', 'rootfs');
  rmSync(join(rootfs, '..', 'vserver.json'), { force: true }); // it is that of the backup before, too
  writeFileSync(join(rootfs, '..', 'vserver.json'), JSON.stringify(config));
  mkdirSync(rootfs, { recursive: true });
  for (let number = 0; number < files; number++)
    writeFileSync(join(rootfs, `a file with a name that is long ${saga} ${number}`), 'x'.repeat(5000));
  return opened;
}
const seal = (saga: string, at = taken) =>
  sealBackup(repository(), { name: 'web1', saga, backup: backupAt(at) });
const listed = async () => {
  const { backups, faults } = await listRecords(repository(), 'web1');
  expect(faults).toEqual([]);
  return backups;
};
const faultsOf = async (id: string) =>
  (await compareManifest(paths().tree('web1', id), paths().manifest('web1', id))).faults;

const living: ChildProcess[] = [];
/** The master's process at such a command, and what it has begun, in a group of its own. */
function begun(command: string, id: string): { kill: () => void; ended: Promise<number | null> } {
  const program = new URL('repository-child.ts', import.meta.url).pathname;
  const args = JSON.stringify({ repository: 'main', vserver: 'web1', id });
  const child = spawn(process.execPath, [program, directory, command, args], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  living.push(child);
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { kill: () => process.kill(-(child.pid ?? 0), 'SIGKILL'), ended };
}
afterEach(() => {
  for (const child of living.splice(0))
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid ?? 0), 'SIGKILL');
});

/** Looks so often that it does not miss what lasts a few milliseconds. */
async function seen(what: () => boolean, why: string): Promise<void> {
  for (const end = Date.now() + 60_000; !what(); await sleep(1))
    if (Date.now() > end) throw new Error(`waited in vain: ${why}`);
}

describe('kill -9 of the master', { timeout: 120_000 }, () => {
  test('while it verifies: nothing is said of the backup, and the next one says all', async () => {
    await open('backup-aaaa', 1200);
    const { id } = await seal('backup-aaaa');
    const beside = join(paths().manifest('web1', id), '..');
    const before = readFileSync(paths().record('web1', id), 'utf8');
    const verifying = begun('repository.verify', id);
    await seen(
      () => readdirSync(beside).some((one) => one.startsWith('manifest.list')),
      'its files are read',
    );
    verifying.kill();
    expect(await verifying.ended).toBeNull();
    expect(readFileSync(paths().record('web1', id), 'utf8')).toBe(before);
    expect((await listed()).map((one) => [one.id, one.verified])).toEqual([[id, undefined]]);
    expect(await begun('repository.verify', id).ended).toBe(0);
    expect((await listed())[0]).toMatchObject({ verified: expect.any(Number) as number, faults: [] });
  });

  test('while it removes a backup: that is one no more, the other one is whole, and the rest of it goes', async () => {
    await open('backup-aaaa', 6000);
    const old = await seal('backup-aaaa');
    await open('backup-bbbb', 10);
    const young = await seal('backup-bbbb', taken + 3_600_000);
    const removing = begun('repository.remove', old.id);
    const aside = join(paths().partials, `.removed.web1.${old.id}`);
    await seen(() => existsSync(aside), 'it is taken out of the list');
    removing.kill();
    expect(await removing.ended).toBeNull();
    expect(existsSync(aside)).toBe(true);
    expect((await listed()).map((one) => one.id)).toEqual([young.id]);
    expect(await faultsOf(young.id)).toEqual([]);
    await tidy(repository(), Date.now());
    expect(readdirSync(paths().partials)).toEqual([]);
    expect(await faultsOf(young.id)).toEqual([]);
  });
});

describe.skipIf(!isRoot)('a repository that is full', { timeout: 120_000 }, () => {
  const full = () => join(repository().path, 'others');
  beforeEach(async () => {
    mkdirSync(repository().path, { mode: 0o700 });
    const image = join(directory, 'image');
    await run(['truncate', '-s', '24M', image]);
    await run(['mkfs.ext4', '-q', '-m', '0', image]);
    await run(['mount', '-o', 'loop', image, repository().path]);
    await run(['chmod', '700', repository().path]);
  });
  afterEach(() => run(['umount', repository().path]));
  /** Somebody else takes all that is left. */
  function fill(): void {
    const to = openSync(full(), 'w');
    for (const size of [65_536, 4096, 512])
      try {
        for (;;) writeSync(to, Buffer.alloc(size));
      } catch (error) {
        expect(error).toMatchObject({ code: 'ENOSPC' });
      }
    closeSync(to);
  }

  test('lists no backup that is not whole; with room the same one is finished', async () => {
    await open('backup-aaaa', 500);
    fill();
    await expect(seal('backup-aaaa')).rejects.toThrow(/[Nn]o space left/);
    expect(await listed()).toEqual([]);
    rmSync(full());
    const { id } = await seal('backup-aaaa');
    expect((await listed()).map((one) => one.id)).toEqual([id]);
    expect(await faultsOf(id)).toEqual([]);
  });

  test('keeps nothing of one that failed, the older one stays whole, and the next one goes on from that', async () => {
    await open('backup-aaaa', 500);
    const old = await seal('backup-aaaa');
    await open('backup-bbbb', 300);
    fill();
    await expect(seal('backup-bbbb', taken + 1000)).rejects.toThrow(/[Nn]o space left/);
    await discardBackup(repository(), { name: 'web1', saga: 'backup-bbbb', keep: true });
    expect(readdirSync(paths().partials)).toEqual([]);
    expect((await listed()).map((one) => one.id)).toEqual([old.id]);
    expect(await faultsOf(old.id)).toEqual([]);
    rmSync(full());
    expect(await open('backup-cccc', 10)).toMatchObject({ basis: old.id, resumed: false });
    const young = await seal('backup-cccc', taken + 2000);
    expect((await listed()).map((one) => one.id)).toEqual([young.id, old.id]);
    expect(await faultsOf(young.id)).toEqual([]);
  });
});
