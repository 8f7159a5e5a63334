import { readFileSync, renameSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realLab } from './lab-kit.ts';

const full = process.env['VS_TEST_FULL'] === '1';
if (!full) console.log('skipped: the loss of each NATS node in turn; VS_TEST_FULL=1 runs it');

const makeTree = `set -e; d=/var/lib/vservers/web1/rootfs/data; mkdir -p $d; cd $d
dd if=/dev/urandom of=big bs=1M count=150 status=none
for n in $(seq 200); do echo $n > file$n; done; ln file1 hard; ln -s file2 link; chown 1000:2000 file3; chmod 4755 file4
setfattr -n user.note -v hello file5; truncate -s 5M sparse`;
const oracle = `cd /var/lib/vservers/web1/rootfs/data
find . -printf '%P %y %m %U:%G %T@ %l %n\\n' | LC_ALL=C sort; find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
getfattr -d -m- file5`;

describe.each(['mosquitto', 'nats'] as const)('a lab with %s as its broker', (broker) => {
  const lab = realLab(`ex${broker.slice(0, 4)}`);
  const away = (from: string): string => (from === 'host1' ? 'host2' : 'host1');
  const here = (): string => lab.running('web1')[0] ?? '';

  beforeAll(() => {
    lab.up('--broker', broker);
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
    lab.on('host1', makeTree);
  });
  afterAll(() => lab.down());

  test('a vserver moves: done, one copy runs, its files are the same, nothing is left', async () => {
    const before = lab.on('host1', oracle);
    lab.vs(['move', 'web1', 'host2']);
    expect(lab.running('web1')).toEqual(['host2']);
    expect(lab.on('host2', oracle)).toBe(before);
    await lab.settled('host2');
    expect(lab.leftovers()).toEqual([]);
  });

  /** Where the master was connected last. */
  const nodeOfMaster = (): string => {
    const log = readFileSync(`/var/lib/vslab-${lab.name}/master/log/master.log`, 'utf8');
    const port = [...log.matchAll(/"url":"mqtts:[^"]*:(\d+)"[^\n]*"connected to the broker"/g)].at(-1)?.[1];
    return `n${(Number(port) - 8883) / 10 + 1}`;
  };

  test.runIf(broker === 'nats').each(full ? ['n1', 'n2', 'n3'] : ['that of the master'])(
    'node %s is killed in the middle of a move and stays away: the same result',
    async (which) => {
      const node = which.startsWith('n') ? which : nodeOfMaster();
      expect(node).toMatch(/^n[123]$/);
      const from = here();
      const before = lab.on(from, oracle);
      const conf = `/var/lib/vslab-${lab.name}/master/etc/nats/${node}/nats.conf`;
      const pid = lab.pidOf('master', `nats-${node}`);
      const id = await lab.begin(away(from), 'seed');
      renameSync(conf, `${conf}.away`); // or init would start it again
      process.kill(pid, 'SIGKILL');
      try {
        const ended = await lab.ended(400_000);
        expect([ended.id, ended.result]).toEqual([id, 'done']);
        expect(lab.running('web1')).toEqual([away(from)]);
        expect(lab.on(away(from), oracle)).toBe(before);
        await lab.settled(away(from));
        expect(lab.leftovers()).toEqual([]);
      } finally {
        renameSync(`${conf}.away`, conf);
      }
    },
  );
});
