import {
  appendFileSync,
  existsSync,
  mkdirSync,
  openSync,
  closeSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { compareManifest, writeManifest } from '../../services/repository/manifest.ts';
import { discardBackup, openBackup, placeIn, sealBackup } from '../../services/repository/open.ts';
import { pathsIn, requireUsable } from '../../services/repository/place.ts';
import { service } from '../../services/transfer/main.ts';
import type { BackupRecord } from '../../shared/contract/backup.ts';
import type { PassKind } from '../../shared/contract/transfer.ts';
import { seal, sealKey } from '../../shared/seal.ts';
import type { Context } from '../../shared/service.ts';
import { call, directory, host1, host2, root } from './copy-kit.ts';
import { dice, growing, mutate, oracle } from './tree-kit.ts';

afterAll(() => rmSync(directory, { recursive: true }));
const seeds = Number(process.env['VS_SEEDS'] ?? 2);
const first = Number(process.env['VS_SEED'] ?? 41);

/** A tree as text; a file of a repository has further names in other backups, so their number is left out, the groups in this tree not. */
const groups = (tree: string): string[] =>
  oracle(tree).map((line) => {
    if (!line.startsWith('[')) return line;
    const fields = JSON.parse(line) as string[];
    const kind = Number.parseInt(fields[1] ?? '', 8) & 0o170000;
    if (fields[0] === '') fields[3] = ''; // what was put aside in it has gone again
    return JSON.stringify(kind === 0o040000 ? fields : fields.toSpliced(-2, 1));
  });

const uuid = '5d2c7f0e-8f0a-4d0e-9d53-0f1f6f1b2a11';
const settled = { version: 1, uuid, network: 'blue', prefix: 24, enabled: true, created: 1 };
const more = { address: '10.60.10.5', mac: '02:1a:2b:3c:4d:5e' };

/** A vserver on host1, a repository beside host2 as the master, and backups as their saga takes them. */
async function backing(name: string) {
  const tree = join(host1.settings.VSERVER_DIR, name);
  const rootfs = join(tree, 'rootfs');
  mkdirSync(rootfs, { recursive: true });
  writeFileSync(join(tree, 'vserver.json'), JSON.stringify({ ...settled, ...more, name }));
  const repository = {
    name: 'main',
    kind: 'tree' as const,
    path: join(directory, `r-${name}`),
    mount: false,
  };
  await requireUsable(repository);
  const paths = pathsIn(repository);
  const bus = { request: async (_: string, _command: string, args: never) => placeIn(repository, args) };
  const { settings, refused } = host2;
  const log = { warn: () => undefined, debug: () => undefined };
  const source = host1.life();
  const target = service({ host: 'host2', settings, log, version: '0', bus } as unknown as Context);
  let serial = 0;
  expect(refused).toEqual([]);

  /** One backup by so many passes; between two of them something may happen. `fails`: it is given up before it is sealed. */
  async function take(passes: number, between: () => void = () => undefined, fails = false) {
    const saga = `backup-${++serial}`;
    const both = { name, saga };
    const opened = await openBackup(repository, { ...both, bytes: 1000 });
    let [since, sent] = [undefined as number | undefined, 0];
    let last: { full?: string | undefined; treeBytes?: number | undefined; treeFiles?: number | undefined } =
      {};
    for (let count = 1; count <= passes; count++) {
      if (count > 1) between();
      const begins: PassKind = opened.resumed ? 'full' : opened.basis === undefined ? 'stream' : 'list';
      const kind = since === undefined ? begins : 'list';
      const how = { ...both, copy: 'rsync' as const, channel: 'plain' as const };
      const into = { repository: 'main', basis: opened.basis, taken: opened.taken };
      const end = await target.handlers['transfer.open']?.(
        { ...how, fromHost: 'host1', from: '127.0.0.1', ttl: 60_000, kind, repository: 'main' },
        call,
      );
      const secret = seal(end?.secret ?? '', sealKey(host1.settings));
      const to = { toHost: 'host2', address: '127.0.0.1', port: end?.port ?? 0, secret };
      const final = count === passes && passes < 3; // three passes are of what runs
      const answer = await source.handlers['transfer.send']?.(
        { ...how, ...to, final, kind, into, ...(since === undefined ? {} : { since }) },
        call,
      );
      if (!answer) throw new Error('nothing was sent');
      last = answer;
      since = answer.began;
      sent += answer.bytes;
      await target.handlers['transfer.flush']?.({ ...both, repository: 'main' }, call);
    }
    const { treeBytes, treeFiles } = last;
    await target.handlers['transfer.verify']?.(
      { ...both, copy: 'rsync', treeBytes, treeFiles, repository: 'main' },
      call,
    );
    const changes = join(paths.partial(name, saga), 'changes');
    const lists = existsSync(changes) ? readdirSync(changes).toSorted() : [];
    if (fails) {
      for (const one of [source, target]) await one.handlers['transfer.close']?.(both, call);
      await discardBackup(repository, { ...both, keep: true });
      return { lists, sent, full: last.full };
    }
    const backup = {
      uuid,
      host: 'host1',
      epoch: 1,
      mode: 'hot' as const,
      kind: 'stopped' as const,
      running: false,
      enabled: true,
      taken: since ?? 0,
    };
    const record = await sealBackup(repository, { ...both, backup });
    await source.handlers['transfer.remember']?.({ ...both, repository: 'main', id: record.id }, call);
    for (const one of [source, target]) await one.handlers['transfer.close']?.(both, call);
    return { record, lists, sent, full: last.full };
  }
  /** What a record says, and its manifest, as one that looks at everything writes them. */
  async function anew({ id, basis }: BackupRecord) {
    const out = join(directory, `anew-${name}`);
    const of = basis && { tree: paths.tree(name, basis), manifest: paths.manifest(name, basis) };
    const { files, bytes } = await writeManifest(paths.tree(name, id), out, of || undefined);
    return { files, bytes, text: readFileSync(out, 'latin1') };
  }
  return { tree, rootfs, paths, take, anew, treeOf: (id: string) => paths.tree(name, id) };
}

describe.skipIf(!root)('backups of what changed', () => {
  test.each(Array.from({ length: seeds }, (_, number) => first + number))(
    'are whole, and so is their manifest, and none changes an older one: seed %i',
    { timeout: 120_000 },
    async (seed) => {
      const random = dice(seed);
      const one = await backing(`b${seed}`);
      mutate(one.rootfs, random, 120, growing);
      const older: { id: string; was: string[] }[] = [];
      for (let count = 0; count < 5; count++) {
        const passes = count === 0 ? 2 : random.below(2) * 2 + 1;
        const cut = count === 3 ? await one.take(1, undefined, true) : undefined; // and the next one goes on from there
        if (cut) mutate(one.rootfs, random, 10);
        const { record, lists, full } = await one.take(passes, () => mutate(one.rootfs, random, 15));
        if (!record) throw new Error('no backup');
        const why = `VS_SEED=${seed}, backup ${count} in ${passes} passes`;
        expect(groups(one.treeOf(record.id)), why).toEqual(groups(one.tree));
        const manifest = one.paths.manifest(`b${seed}`, record.id);
        const { files, bytes, text } = await one.anew(record);
        expect(readFileSync(manifest, 'latin1'), why).toBe(text);
        expect({ files: record.files, bytes: record.bytes }, why).toEqual({ files, bytes });
        if (count > 0 && !cut) {
          expect(full).toBeUndefined();
          expect(lists).toEqual(Array.from({ length: passes }, (_, number) => String(number)));
        }
        expect((await compareManifest(one.treeOf(record.id), manifest)).faults, why).toEqual([]);
        for (const { id, was } of older) expect(groups(one.treeOf(id)), `${why}: ${id}`).toEqual(was);
        older.push({ id: record.id, was: groups(one.treeOf(record.id)) });
        mutate(one.rootfs, random, random.below(3) * 20);
      }
    },
  );

  test('a large file of which little changed goes as what is different, and the older backup keeps its own', async () => {
    const one = await backing('large');
    const file = join(one.rootfs, 'large');
    writeFileSync(file, randomBytes(8_000_000));
    await sleep(2500); // more than the margin of a list
    const before = await one.take(2);
    const was = readFileSync(file);
    await sleep(2500);
    const to = openSync(file, 'r+');
    writeSync(to, 'changed', 4_000_000);
    closeSync(to);
    appendFileSync(file, 'longer');
    const { record, sent } = await one.take(1);
    expect(sent).toBeLessThan(200_000);
    expect(readFileSync(join(one.treeOf(record?.id ?? ''), 'rootfs/large')).equals(readFileSync(file))).toBe(
      true,
    );
    expect(readFileSync(join(one.treeOf(before.record?.id ?? ''), 'rootfs/large')).equals(was)).toBe(true);
    expect(statSync(join(one.treeOf(record?.id ?? ''), 'rootfs/large')).nlink).toBe(1);
    expect(existsSync(join(one.treeOf(record?.id ?? ''), '.begun'))).toBe(false);
  });

  test('a tree that has lost a file is no backup, though no list names it', async () => {
    const one = await backing('lost');
    for (const name of ['a', 'b', 'c']) writeFileSync(join(one.rootfs, name), name);
    mkdirSync(join(one.rootfs, 'quiet'));
    writeFileSync(join(one.rootfs, 'quiet/file'), 'file');
    await sleep(2500);
    const { record } = await one.take(2);
    rmSync(join(one.treeOf(record?.id ?? ''), 'rootfs/quiet/file'));
    await sleep(2500);
    await expect(one.take(1)).rejects.toThrow(/rootfs\/quiet\/file is not there any more/);
  });
});
