import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { templates as store } from '../../deploy/lab/model.ts';
import type { Template } from '../../shared/contract/template.ts';
import { realLab } from './lab-kit.ts';

// The store of templates is that of all labs of this machine, so every name here begins with bct-.
const lab = realLab('bctmpl');
const work = mkdtempSync(join(tmpdir(), 'vslab-bct-'));
const path = (file: string) => join(work, file);
const kinds = ['tar', 'tar.gz', 'tar.zst'] as const;
const nameOf = (kind: string) => `bct-${kind.replace(/.*\./, '')}`;
const addressOf = (kind: string) => `10.60.10.${20 + kinds.indexOf(kind as 'tar')}`;

function shell(script: string): void {
  const { status, stderr } = spawnSync('bash', ['-ec', script], {
    cwd: work,
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect(status, stderr).toBe(0);
}
const sha256 = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
const list = () => JSON.parse(lab.vs(['template', 'list', '--json']).stdout) as Template[];
const ours = () => list().filter((one) => /^(bct-|file-)/.test(one.name));
/** Tarballs and records of ours in the store, and half-written ones of anybody; not the locks, which stay. */
const stored = () =>
  readdirSync(store).filter((file) => /^\.?(bct-|file-)/.test(file) && !file.endsWith('.lock'));
const importAs = (file: string, name: string, expected: number | null = 0) =>
  lab.vs(['template', 'import', path(file), '--name', name], expected);
const createFrom = (name: string, address: string, source: string, expected: number | null = 0) =>
  lab.vs(['create', name, address, source, '--host', 'host1', '--start'], expected);
/** Nothing of a vserver is on any host: no row, no tree, no ownership, no network of it. */
function expectNothingOf(name: string): void {
  expect(lab.rows().map((row) => row.vserver)).not.toContain(name);
  expect(lab.leftovers()).toEqual([]);
  expect(lab.on('host1', `ls -A /var/lib/vservers /run/vs /var/lib/vs-tools/rules`)).not.toContain(name);
}

beforeAll(() => {
  shell(`mkdir root; cd root; mkdir -p bin sbin etc/init.d proc sys dev tmp root run var/www
cp /bin/busybox bin/; chmod 755 bin/busybox
for a in sh cat stat hostname httpd sleep reboot poweroff; do ln -s busybox bin/$a; done
ln -s /bin/busybox sbin/init
printf '::sysinit:/etc/init.d/rcS\\n::respawn:/bin/httpd -f -p 80 -h /var/www\\n' > etc/inittab
printf '#!/bin/sh\\nhostname -F /etc/hostname\\n' > etc/init.d/rcS; chmod 755 etc/init.d/rcS
echo page > var/www/index.html; printf 'root:x:0:0:root:/root:/bin/sh\\n' > etc/passwd
echo of-the-template > etc/hostname; echo 0123456789abcdef0123456789abcdef > etc/machine-id
echo mine > kept; chown 1000:2000 kept; chmod 4750 kept; ln kept hard; ln -s kept link; setfattr -n user.note -v hello kept
cd ..; tar --xattrs -C root -cf base.tar .; gzip -k base.tar; zstd -q base.tar; xz -k -0 base.tar`);
  lab.up();
  removeOurs(); // of a run that was killed
});
const removeOurs = () => {
  for (const { name } of ours()) lab.vs(['template', 'remove', name], null);
};
afterAll(() => {
  removeOurs();
  lab.down();
  rmSync(work, { recursive: true, force: true });
});

test('tarballs are imported, listed with size and checksum, and a second time is no harm', () => {
  for (const kind of kinds) {
    importAs(`base.${kind}`, nameOf(kind));
    importAs(`base.${kind}`, nameOf(kind));
  }
  for (const kind of kinds) {
    const file = path(`base.${kind}`);
    const one = list().find((template) => template.name === nameOf(kind));
    expect(one).toMatchObject({ sha256: sha256(file), bytes: readFileSync(file).length, source: file });
    expect(sha256(join(store, `${nameOf(kind)}.${kind}`))).toBe(sha256(file));
  }
  expect(lab.vs(['template', 'list']).stdout).toMatch(/^NAME +SIZE +MADE +SOURCE\n/);
});

test.each(kinds)('a vserver from a .%s has its files as they are in it, and its own name', (kind) => {
  const name = `web-${kind.replace('.', '-')}`;
  createFrom(name, addressOf(kind), nameOf(kind));
  const look = 'cd /; stat -c "%n %u:%g %a %h" kept bin/busybox; cat link hard; hostname; cat /etc/hostname';
  expect(lab.vs(['exec', name, '--', 'sh', '-c', look]).stdout).toBe(
    `kept 1000:2000 4750 2\nbin/busybox 0:0 755 1\nmine\nmine\n${name}\n${name}\n`,
  );
  const tree = `cd /var/lib/vservers/${name}/rootfs`;
  expect(lab.on('host1', `${tree}; getfattr --only-values -n user.note kept; wc -c < etc/machine-id`)).toBe(
    'hello0\n',
  );
});

test('the path of a tarball is a source too, and is imported once', () => {
  const file = path('base.tar.xz');
  const name = `file-${sha256(file).slice(0, 12)}`;
  createFrom('web-path', '10.60.10.30', file);
  expect(lab.vs(['exec', 'web-path', '--', 'cat', '/kept']).stdout).toBe('mine\n');
  expect(list().find((one) => one.name === name)).toMatchObject({ sha256: sha256(file) });
  const before = stored();
  const again = ['create', 'web-again', '10.60.10.31', path('base.tar.gz'), '--host', 'host1'];
  lab.vs(again); // this one is here as a template already
  expect(stored()).toEqual(before);
});

test('a removed template is gone, and its vservers stay', () => {
  importAs('base.tar', 'bct-gone', 0);
  lab.vs(['template', 'remove', 'bct-gone']);
  expect(ours().map((one) => one.name)).not.toContain('bct-gone');
  expect(stored().filter((file) => file.includes('bct-gone'))).toEqual([]);
  expect(lab.vs(['template', 'remove', 'bct-gone'], 1).stderr).toMatch(/there is no template bct-gone/);
  expect(createFrom('web-no', '10.60.10.40', 'bct-gone', 1).stderr).toMatch(/there is no template bct-gone/);
  lab.vs(['template', 'remove', nameOf('tar')]);
  expect(lab.vs(['exec', 'web-tar', '--', 'cat', '/kept']).stdout).toBe('mine\n');
  expectNothingOf('web-no');
});

test('names and paths that are wrong change nothing', () => {
  const before = stored();
  for (const name of ['Upper', '../up', '.dot', 'a'.repeat(33), 'sp ace', 'sl/ash', ''])
    expect(importAs('base.tar', name, 2).stderr).toMatch(/template name/);
  expect(lab.vs(['template', 'remove', '../base'], 2).stderr).toMatch(/template name/);
  expect(importAs('base.tar', 'busybox', 1).stderr).toMatch(/busybox is built in/);
  expect(importAs('base.tar', nameOf('tar.gz'), 1).stderr).toMatch(/there is another template bct-gz/);
  expect(importAs('nofile.tar', 'bct-x', 1).stderr).toMatch(/there is no file .*nofile\.tar on the master/);
  writeFileSync(path('rootfs.zip'), 'PK');
  expect(importAs('rootfs.zip', 'bct-x', 2).stderr).toMatch(/is none of \.tar\.zst, /);
  expect(lab.vs(['template', 'import', work, '--name', 'bct-x'], 2).stderr).toMatch(/is none of/);
  for (const source of ['nosuch', 'no such', '/nosuch.tar', 'sub/base.tar', '../base.tar']) {
    const refused = createFrom('web-no', '10.60.10.40', source, null);
    expect([1, 2], `${source}: ${refused.stdout}${refused.stderr}`).toContain(refused.code);
  }
  expect(createFrom('web-no', '10.60.10.40', 'nosuch', 1).stderr).toMatch(/there is no template nosuch/);
  expectNothingOf('web-no');
  expect(stored()).toEqual(before);
});

test('what is no tarball of its kind is refused and leaves nothing', () => {
  const before = stored();
  for (const file of ['text.tar', 'text.tar.gz', 'text.tar.zst']) {
    writeFileSync(path(file), 'these are words, not an archive\n'.repeat(20));
    expect(importAs(file, 'bct-bad', 1).stderr).toMatch(/is no tar.* file, whatever its name says/);
    expect(createFrom('web-no', '10.60.10.40', path(file), 1).stderr).toMatch(/whatever its name says/);
  }
  writeFileSync(path('empty.tar'), '');
  expect(importAs('empty.tar', 'bct-bad', 1).stderr).toMatch(/is no tar file/);
  expectNothingOf('web-no');
  expect(stored()).toEqual(before);
});

const damage: Record<string, string> = {
  'cut.tar.gz': 'head -c 300000 base.tar.gz > cut.tar.gz',
  'cut.tar.zst': 'head -c 300000 base.tar.zst > cut.tar.zst',
  'bits.tar.gz':
    'cp base.tar.gz bits.tar.gz; printf XXXXXXXX | dd of=bits.tar.gz bs=1 seek=200000 conv=notrunc status=none',
};
test.each(Object.keys(damage))('a damaged tarball (%s) is refused by import and leaves nothing', (file) => {
  const before = stored();
  shell(damage[file] ?? '');
  const { code, stdout, stderr } = importAs(file, `bct-${file}`, null);
  expect(code, stdout + stderr).toBe(1);
  lab.vs(['create', 'web-bad', '10.60.10.41', path(file), '--host', 'host1'], 1);
  expect(stored()).toEqual(before);
});

test('a damaged tarball never becomes a vserver', () => {
  for (const [file, script] of Object.entries(damage)) {
    shell(script);
    const create = ['create', 'web-bad', '10.60.10.41', path(file), '--host', 'host1']; // not started: it must not even lie there
    expect(lab.vs(create, 1).stderr).toMatch(/web-bad was not created/);
    expectNothingOf('web-bad');
  }
});

test('a template that was changed on the master after its import is never used', () => {
  importAs('base.tar', 'bct-rot');
  const file = join(store, 'bct-rot.tar');
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  lab.on('host1', 'rm -rf /var/lib/vs-tools/cache/templates'); // so that it is fetched
  expect(createFrom('web-rot', '10.60.10.42', 'bct-rot', 1).stderr).toMatch(/arrived damaged/);
  expectNothingOf('web-rot');
  expect(lab.on('host1', 'ls /var/lib/vs-tools/cache/templates')).toBe('');
});

test('a tarball cannot write outside of the vserver', () => {
  const out = path('outside');
  shell(`mkdir outside; cp -a root links; rm -r links/etc; ln -s ${out} links/etc; tar -C links -cf links.tar .
mkdir -p up/a; echo bad > up/escape; tar -C root -cf up.tar .; tar -P -C up/a -rf up.tar ../escape`);
  expect(createFrom('web-out', '10.60.10.43', path('links.tar'), 1).stderr).toMatch(
    /web-out was not created/,
  );
  expectNothingOf('web-out');
  expect(readdirSync(out)).toEqual([]);
  createFrom('web-up', '10.60.10.44', path('up.tar'), null);
  expect(lab.on('host1', 'find /var/lib/vservers -name escape -not -path "*/rootfs/*"')).toBe('');
  expect(existsSync('/escape')).toBe(false);
});
