import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realLab } from './lab-kit.ts';

const ENDS_WITHIN = 90_000;

/** What of a tree must be kept, by other tools than those that copy. */
const oracle = (tree: string) => `cd ${tree}
find . -type d -printf '%P %y %m %U:%G %T@\\n' | LC_ALL=C sort
find . -not -type d -printf '%P %y %m %U:%G %s %T@ %l %n\\n' | LC_ALL=C sort
find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
find . -print0 | LC_ALL=C sort -z | xargs -0 getfattr -h -d -m- -e hex 2>/dev/null`;

/** A guest that never rests: links made and broken, files and directories renamed and replaced, contents behind old times. */
const restless = `mkdir -p /busy/a /busy/b; printf 00000000 > /busy/quiet; touch -t 200102030405 /busy/old; touch -r /busy/old /busy/quiet
(cd /busy; while :; do i=$((i+1))
  printf %08d $i | dd of=quiet conv=notrunc 2>/dev/null; touch -r old quiet
  echo $i > a/f$((i%7)); ln -f a/f$((i%7)) b/l$((i%5)); mv a c; mv b a; mv c b; rm -rf d$((i%3)); mkdir d$((i%3)); ln -s a d$((i%3))/s
  chmod $((600+i%7)) a/* 2>/dev/null; sleep 0.01; done) > /dev/null 2>&1 < /dev/null &`;

describe('a move of plain directories', () => {
  const lab = realLab('dtree');
  const here = () => lab.rows().find((row) => row.vserver === 'web1')?.host ?? '';
  beforeAll(() => {
    lab.up('--storage', 'dir');
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
    lab.on('host1', 'dd if=/dev/urandom of=/var/lib/vservers/web1/rootfs/ballast bs=1M count=40 status=none');
  });
  afterAll(() => lab.down());

  /** What arrived is what lay on the source when it had stopped. */
  async function expectEqual(from: string, to: string): Promise<void> {
    expect(lab.on(to, `lxc-freeze -P /var/lib/vservers -n web1 && true`)).toBe('');
    const [tree, old] = ['/var/lib/vservers/web1/rootfs/busy', '/var/lib/vservers/.trash/web1.*/rootfs/busy'];
    expect(lab.on(to, oracle(tree))).toBe(lab.on(from, oracle(old)));
    lab.on(to, 'lxc-unfreeze -P /var/lib/vservers -n web1');
    await lab.settled(to); // what was frozen by hand is told as paused until the host's next look
    lab.vs([
      'lab',
      'exec',
      '--name',
      lab.name,
      from,
      '--',
      'bash',
      '-c',
      'rm -rf /var/lib/vservers/.trash/web1.*',
    ]);
  }

  test('takes along all of a guest that never rests', async () => {
    lab.vs(['exec', 'web1', '--', 'sh', '-c', restless]);
    const { stdout } = lab.vs(['move', 'web1', 'host2']);
    // a live pass may have to (a directory was away under its nose while the pass before it ran), the one it is down for never
    expect(stdout.match(/^ +final .*$/m)?.[0]).toMatch(/final +[\d.]+ k?B /);
    await expectEqual('host1', 'host2');
    expect(lab.leftovers()).toEqual([]);
  });

  test.each([
    ['source', 'seed'],
    ['target', 'seed'],
    ['source', 'prepare'],
    ['master', 'final'],
  ] as const)('a SIGKILL of the %s in step %s: nothing is lost', async (victim, step) => {
    const from = here();
    const to = from === 'host1' ? 'host2' : 'host1';
    lab.vs(['exec', 'web1', '--', 'sh', '-c', restless]);
    const node = victim === 'master' ? 'master' : victim === 'source' ? from : to;
    const pid = lab.pidOf(node, node === 'master' ? 'master' : 'agent');
    await lab.begin(to, step);
    process.kill(pid, 'SIGKILL');
    const saga = await lab.ended(ENDS_WITHIN);
    expect(['done', 'undone'], JSON.stringify(saga, null, 1)).toContain(saga.result);
    const there = saga.result === 'done' ? to : from;
    await lab.settled(there);
    expect(lab.running('web1')).toEqual([there]);
    if (saga.result === 'done') await expectEqual(from, to);
    expect(lab.leftovers()).toEqual([]);
  });

  test('--full compares all, in every pass', () => {
    const to = here() === 'host1' ? 'host2' : 'host1';
    lab.vs(['move', 'web1', to, '--transport', 'rsync', '--full']);
    expect(lab.running('web1')).toEqual([to]);
  });
});
