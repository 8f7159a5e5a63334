import { afterAll, beforeAll, expect, test } from 'vitest';
import { realLab } from './lab-kit.ts';

const lab = realLab('space');
/** Leaves so many MB free on a host, whatever its file system. */
const leave = (host: string, megabytes: number) =>
  lab.on(
    host,
    `cd /var/lib/vservers; rm -f .ballast; sync -f .; free=$(df -BM --output=avail . | tail -1 | tr -dc 0-9); fallocate -l $((free - ${megabytes}))M .ballast; sync -f .`,
  );
const slaves = (host1: string, host2: string) =>
  lab.on('master', `printf '${host1}\\n${host2}\\n' > /etc/vs-tools/slaves.conf`);

beforeAll(() => {
  lab.up('--storage', 'mixed');
  lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
  lab.on('host1', 'dd if=/dev/urandom of=/var/lib/vservers/web1/rootfs/ballast bs=1M count=600 status=none');
});
afterAll(() => lab.down());

test('a target that is too full refuses before anything is copied', () => {
  leave('host2', 60);
  const { stderr } = lab.vs(['move', 'web1', 'host2'], 1);
  expect(stderr).toMatch(
    /step "stage" failed on host2: no space left in \/var\/lib\/vservers on host2 \(6\d\d(\.\d)? MB needed, \d\d(\.\d)? MB free/,
  );
  expect(lab.running('web1')).toEqual(['host1']);
  expect(lab.leftovers()).toEqual([]);
});

test('a target that fills up during the copy: undone, named as the target, nothing left', async () => {
  leave('host2', 900);
  slaves('host1:bwlimit=20m', 'host2:bwlimit=20m'); // else the copy may be there before the target is full
  await lab.begin('host2', 'seed');
  leave('host2', 3);
  const saga = await lab.ended(60_000);
  slaves('host1', 'host2');
  expect(saga).toMatchObject({ result: 'undone', error: { step: 'seed', host: 'host2' } });
  expect(saga.message).toMatch(/no space left/);
  await lab.settled('host1');
  expect(lab.running('web1')).toEqual(['host1']);
  expect(lab.leftovers()).toEqual([]);
});

test('an attribute that the target cannot hold is never left out: refused by its name, and nothing is lost', () => {
  lab.on('host2', 'rm -f /var/lib/vservers/.ballast');
  lab.on(
    'host1',
    'cd /var/lib/vservers/web1/rootfs; touch large; setfattr -n user.big -v "$(head -c 12000 /dev/zero | tr "\\0" x)" large; sync -f .',
  );
  const named = /the attribute user\.big of \S*large cannot be kept: it is larger than the target's file/;
  expect(lab.vs(['move', 'web1', 'host2'], 1).stderr).toMatch(named);
  expect(lab.vs(['backup', 'run', 'web1'], 1).stderr).toMatch(named);
  expect(lab.running('web1')).toEqual(['host1']);
  expect(lab.leftovers()).toEqual([]);
  lab.on('host1', 'setfattr -x user.big /var/lib/vservers/web1/rootfs/large');
});

test('between btrfs and ext4 it moves by rsyncd; btrfs-send is refused with a sentence', async () => {
  lab.on('host2', 'rm -f /var/lib/vservers/.ballast');
  expect(lab.vs(['move', 'web1', 'host2', '--transport', 'btrfs-send'], 1).stderr).toMatch(
    /btrfs-send needs btrfs on both sides \(host1: btrfs, host2: dir\); use --transport rsyncd-tls/,
  );
  lab.vs(['move', 'web1', 'host2']);
  lab.vs(['move', 'web1', 'host1']);
  await lab.settled('host1');
  expect(lab.leftovers()).toEqual([]);
});
