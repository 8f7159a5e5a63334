import {
  chmod,
  link,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { linkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  compareManifest,
  countManifest,
  isCurrent,
  writeManifest,
} from '../../services/repository/manifest.ts';
import { discardBackup, openBackup, removeBackup, sealBackup } from '../../services/repository/open.ts';
import { pathsIn, requireUsable } from '../../services/repository/place.ts';
import { listRecords } from '../../services/repository/records.ts';
import { openMarkers } from '../../services/transfer/markers.ts';
import { run } from '../../shared/run.ts';
import { ASIDE, dropAside, setAside } from '../../services/transfer/aside.ts';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'vs-repository-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const uuid = '5d2c7f0e-8f0a-4d0e-9d53-0f1f6f1b2a11';
const repository = () => ({ name: 'main', kind: 'tree' as const, path: join(root, 'backups'), mount: false });
const config = {
  version: 1,
  uuid,
  name: 'web1',
  network: 'blue',
  address: '10.60.10.5',
  prefix: 24,
  mac: '02:1a:2b:3c:4d:5e',
  enabled: true,
  created: 1,
};
const taken = Date.UTC(2026, 10, 27, 3);
const backup = {
  uuid,
  host: 'host1',
  epoch: 1,
  mode: 'hot' as const,
  kind: 'stopped' as const,
  running: false,
  enabled: true,
  taken,
};

/** A backup as a saga takes it; `change` is what comes. */
async function take(saga: string, change: (tree: string) => Promise<void>, at = taken) {
  const one = repository();
  await requireUsable(one);
  const begun = await openBackup(one, { name: 'web1', saga, bytes: 1000 });
  const tree = join(pathsIn(one).partial('web1', saga), 'tree');
  await change(tree);
  const record = await sealBackup(one, { name: 'web1', saga, backup: { ...backup, taken: at } });
  return { begun, record };
}
const fill = async (tree: string) => {
  await writeFile(join(tree, 'vserver.json'), JSON.stringify(config));
  await mkdir(join(tree, 'rootfs'));
  await writeFile(join(tree, 'rootfs', 'odd \\ \n name'), 'odd');
  await writeFile(join(tree, 'rootfs', 'same'), 'same');
  await link(join(tree, 'rootfs', 'same'), join(tree, 'rootfs', 'other name'));
  await symlink('same -> there', join(tree, 'rootfs', 'a link'));
};

test('a manifest has a line for each path, in order, and names what is another', async () => {
  const tree = join(root, 'tree');
  await mkdir(tree);
  await fill(tree);
  const manifest = join(root, 'manifest');
  expect(await writeManifest(tree, manifest)).toMatchObject({ files: 6, read: 3 }); // same and other name are one file
  const all = (await readFile(manifest, 'utf8')).trimEnd().split('\n');
  expect(all[0]).toBe('# vs-manifest 2');
  expect(all.filter((line) => line.startsWith('h '))).toEqual(['h 1 rootfs/other name', 'h 1 rootfs/same']);
  const lines = all.filter((line) => !/^[#hx] /.test(line));
  expect(lines).toHaveLength(6);
  expect(lines.map((line) => line.split(' ').slice(6).join(' '))).toEqual(
    [
      'rootfs',
      'rootfs/a\\040link -> same -> there',
      'rootfs/odd \\\\ \\n name',
      'rootfs/other name',
      'rootfs/same',
      'vserver.json',
    ].toSorted(),
  );
  expect(lines.at(-2)).toMatch(
    /^f 0644 \d+:\d+ 4 \d+ 0967115f2813a3541eaef77de9d9d5773f1c0c04314b0bbfe4ff3b3b1c55b5d5 rootfs\/same$/,
  );
  expect((await compareManifest(tree, manifest)).faults).toEqual([]);
  const { mtime } = await stat(join(tree, 'rootfs', 'same'));
  await writeFile(join(tree, 'rootfs', 'same'), 'sama');
  await utimes(join(tree, 'rootfs', 'same'), mtime, mtime);
  await rm(join(tree, 'rootfs', 'odd \\ \n name'));
  await writeFile(join(tree, 'rootfs', 'new'), '');
  await chmod(join(tree, 'vserver.json'), 0o600);
  const { faults } = await compareManifest(tree, manifest);
  expect(faults.join('\n')).toMatch(/rootfs\/same has another content/);
  expect(faults.join('\n')).toMatch(/rootfs\/other name has another content/);
  expect(faults.join('\n')).toMatch(/odd .* name is gone/);
  expect(faults.join('\n')).toMatch(/vserver\.json has another mode \(0600, not 0644\)/);
  expect(faults.join('\n')).toMatch(/rootfs\/new is not in the manifest/);
});

test('checksums of many files come whole, by more than one thread, also to one that reads slowly', async () => {
  const names = Array.from(
    { length: 1200 },
    (_, number) => `a file with a name that is somewhat long ${number}`,
  );
  for (const name of names) await writeFile(join(root, name), name.repeat(name.endsWith('7') ? 20_000 : 1));
  const list = join(root, 'list');
  await writeFile(list, [...names, 'none'].map((name) => `${name}\0`).join(''));
  const program = new URL('../../services/repository/sums.ts', import.meta.url).pathname;
  const script = '"$1" "$2" list | (sleep 0.7; cat)';
  const { stdout } = await run(['bash', '-c', script, 'bash', process.execPath, program], { cwd: root });
  const sums = await run(['sha256sum', '-z', '--', ...names], { cwd: root });
  expect(stdout.split('\0').toSorted()).toEqual(sums.stdout.split('\0').toSorted());
});

test('a file with so many names that two backups cannot share it is backed up again and again, with all of them', async () => {
  const many = async (tree: string) => {
    await fill(tree);
    for (let number = 0; number < 33_000; number++)
      linkSync(join(tree, 'rootfs', 'same'), join(tree, 'rootfs', `name ${number}`));
  };
  await take('backup-1', many);
  for (const [saga, gone] of [
    ['backup-2', 7],
    ['backup-3', 8],
  ] as const) {
    const { record } = await take(saga, (tree) => rm(join(tree, 'rootfs', `name ${gone}`)));
    expect(record).toMatchObject({ files: 33_012 - gone });
    const paths = pathsIn(repository());
    const tree = paths.tree('web1', record.id);
    expect((await stat(join(tree, 'rootfs', 'name 9'))).ino).toBe(
      (await stat(join(tree, 'rootfs', 'same'))).ino,
    );
    expect((await compareManifest(tree, paths.manifest('web1', record.id))).faults).toEqual([]);
  }
}, 60_000);

test('the second backup shares what is the same and reads only what is new; the first stays as it was', async () => {
  const first = await take('backup-1', fill);
  expect(first.record).toMatchObject({ id: '20261127T030000Z', files: 6, address: '10.60.10.5' });
  const second = await take('backup-2', async (tree) => {
    await rm(join(tree, 'rootfs', 'odd \\ \n name'));
    await writeFile(join(tree, 'rootfs', 'new'), 'new');
  });
  expect(second.begun).toMatchObject({ basis: first.record.id, taken, resumed: false });
  expect(second.record).toMatchObject({ id: '20261127T030000Z-2', basis: first.record.id });
  const paths = pathsIn(repository());
  const inode = async (id: string) => (await stat(join(paths.tree('web1', id), 'rootfs', 'same'))).ino;
  expect(await inode(first.record.id)).toBe(await inode(second.record.id));
  for (const { id } of [first.record, second.record])
    expect((await compareManifest(paths.tree('web1', id), paths.manifest('web1', id))).faults).toEqual([]);
  const again = await writeManifest(paths.tree('web1', second.record.id), join(root, 'again'), {
    tree: paths.tree('web1', first.record.id),
    manifest: paths.manifest('web1', first.record.id),
  });
  expect(again.read).toBe(1);
  expect(await readFile(join(root, 'again'), 'utf8')).toBe(
    await readFile(paths.manifest('web1', second.record.id), 'utf8'),
  );
  expect((await listRecords(repository())).backups).toHaveLength(2);
});

test('a step that is done again gives the same answer; what was cut off is no backup and goes on', async () => {
  const one = repository();
  const { record } = await take('backup-1', fill);
  expect(await sealBackup(one, { name: 'web1', saga: 'backup-1', backup })).toEqual(record);
  const again = { name: 'web1', saga: 'backup-2', bytes: 1000 };
  const begun = await openBackup(one, again);
  expect(await openBackup(one, again)).toEqual({ ...begun, free: expect.any(Number) as number });
  await writeFile(join(pathsIn(one).partial('web1', 'backup-2'), 'tree', 'rootfs', 'half'), 'half');
  await discardBackup(one, { name: 'web1', saga: 'backup-2', keep: true });
  expect((await listRecords(one)).backups).toHaveLength(1);
  const next = await openBackup(one, { ...again, saga: 'backup-3' });
  expect(next).toMatchObject({ resumed: true, basis: record.id });
  expect(await readdir(join(pathsIn(one).partial('web1', 'backup-3'), 'tree', 'rootfs'))).toContain('half');
  await discardBackup(one, { name: 'web1', saga: 'backup-3' });
  expect(await readdir(pathsIn(one).partials)).toEqual([]);
  expect(await removeBackup(one, 'web1', record.id)).toBe(true);
  expect(await removeBackup(one, 'web1', record.id)).toBe(false);
  expect(await listRecords(one)).toEqual({ backups: [], faults: [] });
});

test('what does not fit, what is another vserver, and what others may read is refused', async () => {
  const one = repository();
  await requireUsable(one);
  await expect(openBackup(one, { name: 'web1', saga: 'x', bytes: 1e18 })).rejects.toThrow(/MB are needed/);
  await expect(
    take('backup-1', async (tree) => {
      await writeFile(join(tree, 'vserver.json'), JSON.stringify({ ...config, name: 'web2' }));
    }),
  ).rejects.toThrow(/calls itself web2/);
  await chmod(one.path, 0o755);
  await expect(requireUsable(one)).rejects.toThrow(/is open to others than root/);
  await expect(requireUsable({ ...one, mount: true })).rejects.toThrow(/nothing is mounted at/);
  expect(await listRecords(one)).toEqual({ backups: [], faults: [] });
});

test('what came before is put aside, also when that was cut off between any two of its steps', async () => {
  const tree = join(root, 'tree');
  await mkdir(join(tree, 'a'), { recursive: true });
  await setAside(tree);
  expect(await readdir(tree)).toEqual([ASIDE]);
  await setAside(tree); // nothing has come since
  expect(await readdir(join(tree, ASIDE))).toEqual(['a']);
  await mkdir(join(tree, 'b'));
  await setAside(tree);
  expect(await readdir(join(tree, ASIDE))).toEqual([ASIDE, 'b'].toSorted());
  expect(await readdir(join(tree, ASIDE, ASIDE))).toEqual(['a']);
  await rm(join(root, 'tree.next'), { recursive: true, force: true });
  await mkdir(join(root, 'tree.next', ASIDE), { recursive: true });
  await rm(tree, { recursive: true }); // between the two renames
  await setAside(tree);
  expect(await readdir(tree)).toEqual([ASIDE]);
  await dropAside(tree);
  expect(await readdir(tree)).toEqual([]);
});

test('what the last backup has seen counts for that one, for this tree, and while the clock was not set back', async () => {
  const tree = join(root, 'web1');
  const directory = join(root, 'marks');
  const index = join(root, 'index');
  await mkdir(tree);
  await writeFile(index, '0:1 .');
  const markers = openMarkers(directory);
  const id = '20261127T030000Z';
  await markers.remember('web1.main', { id, mark: 5, tree, index });
  const known = { mark: 5, index: join(directory, 'web1.main.index') };
  expect(await markers.recall('web1.main', id, tree)).toEqual(known);
  expect(await markers.recall('web1.usb', id, tree)).toMatch(/does not know/);
  expect(await markers.recall('web1.main', '20261127T030000Z-2', tree)).toMatch(/does not know/);
  const later = openMarkers(directory); // of the next life of the agent
  expect(await later.recall('web1.main', id, tree)).toEqual(known);
  const file = join(directory, 'web1.main.json');
  const text = await readFile(file, 'utf8');
  const change = (more: object) =>
    writeFile(file, JSON.stringify({ ...(JSON.parse(text) as object), ...more }));
  await change({ ahead: (JSON.parse(text) as { ahead: number }).ahead + 5000 });
  expect(await later.recall('web1.main', id, tree)).toMatch(/clock was set back/);
  await change({ boot: 'another' });
  expect(await later.recall('web1.main', id, tree)).toMatch(/was started anew/);
  await change({});
  await rm(tree, { recursive: true });
  await mkdir(join(root, 'first')); // so that the inode is another one
  await mkdir(tree);
  expect(await later.recall('web1.main', id, tree)).toMatch(/another tree lies there/);
  await markers.remember('web1.main', undefined);
  expect(await later.recall('web1.main', id, tree)).toMatch(/does not know/);
  markers.stop();
  later.stop();
});

test('verify names attributes, ACLs, capabilities and names of one file that are not as they were; older manifests are read', async () => {
  const tree = join(root, 'tree');
  await mkdir(join(tree, 'rootfs'), { recursive: true });
  const at = (name: string) => join(tree, 'rootfs', name);
  for (const name of ['ping', 'note', 'acl', 'same', 'a b', 'alone'])
    await writeFile(at(name), name === 'alone' ? 'same' : name);
  await link(at('same'), at('other'));
  await run(['setcap', 'cap_net_raw+ep', at('ping')]);
  await run(['setfattr', '-n', 'user.note', '-v', 'one', at('note')]);
  await run(['setfattr', '-n', 'user.empty', at('a b')]);
  await run(['setfacl', '-m', 'u:1000:r', at('acl')]);
  const manifest = join(root, 'manifest');
  await writeManifest(tree, manifest);
  const faults = async (file = manifest) => (await compareManifest(tree, file)).faults;
  expect(await faults()).toEqual([]);
  const text = await readFile(manifest, 'utf8');
  expect(text).toMatch(/^x user\.note 6f6e65 rootfs\/note$/m);
  expect(text).toMatch(/^x user\.empty - rootfs\/a b$/m);
  const old = join(root, 'old');
  await writeFile(old, text.replaceAll(/^[#xh] .*\n/gm, ''));
  // the next one is not made of it by lists: that would lack what it lacks
  expect([await isCurrent(manifest), await isCurrent(old)]).toEqual([true, false]);
  expect(await countManifest(manifest)).toEqual(await countManifest(old));
  await run(['setcap', '-r', at('ping')]);
  await run(['setfattr', '-n', 'user.note', '-v', 'two', at('note')]);
  await run(['setfattr', '-n', 'user.new', '-v', 'x', at('a b')]);
  await run(['setfacl', '-m', 'u:1001:r', at('acl')]);
  await run(['cp', '-p', '--remove-destination', at('same'), at('other')]);
  await run(['ln', '-f', at('same'), at('alone')]);
  await run(['touch', '-r', manifest, at('alone')]);
  const named = (await faults()).join('\n');
  for (const fault of [
    'rootfs/ping has no attribute security.capability any more',
    'rootfs/note has another value of its attribute user.note',
    'rootfs/a b has an attribute user.new that it had not',
    'rootfs/acl has another value of its attribute system.posix_acl_access',
    'rootfs/same is not the same file as rootfs/other any more',
    'rootfs/same is the same file as rootfs/alone, and was not',
  ])
    expect(named).toContain(fault);
  expect((await faults(old)).join('\n')).not.toMatch(/attribute|same file/);
  // its files are still checked by other tools alone
  const sed = String.raw`sed -n 's/^f [^ ]* [^ ]* [^ ]* [^ ]* \([0-9a-f]*\) /\1  /p' ${manifest} | sha256sum --check --quiet`;
  await run(['sh', '-c', sed], { cwd: tree });
});
