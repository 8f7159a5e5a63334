import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SagaState } from '../../shared/contract/saga.ts';
import { realLab } from './lab-kit.ts';

/** VS_TEST_FULL=1: on both storages also what has nothing to do with them. */
const full = process.env['VS_TEST_FULL'] === '1';
if (!full)
  console.log(
    'cut off, and back without a master, on btrfs alone; on dir with VS_TEST_FULL=1: a minute more',
  );

describe.each(['btrfs', 'dir'] as const)('a dead host with %s', (storage) => {
  const lab = realLab(`rv${storage}`);
  const thorough = full || storage === 'btrfs' ? [storage] : [];
  const node = (...words: string[]) => lab.vs(['lab', ...words, '--name', lab.name]);
  const inside = (...command: string[]) => lab.vs(['exec', 'web1', '--', ...command]).stdout.trim();
  const hostOf = () => lab.rows().filter((row) => row.vserver === 'web1' && row.state === 'running');
  const ownedBy = (host: string) =>
    JSON.parse(readFileSync(`/var/lib/vslab-${lab.name}/${host}/state/owned/web1.json`, 'utf8')) as {
      owner: boolean;
      epoch: number;
      releasedTo?: string;
    };
  async function until(what: string, within: number, check: () => boolean): Promise<void> {
    for (const end = Date.now() + within; Date.now() < end; await sleep(300)) if (check()) return;
    throw new Error(`not within ${within} ms: ${what}`);
  }
  const offline = (host: string) =>
    until(`${host} is offline`, 40_000, () =>
      lab.rows().some((row) => row.host === host && row.state === 'offline'),
    );

  beforeAll(() => {
    lab.up('--storage', storage);
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start', '--enable']);
    inside('sh', '-c', 'echo kept > /kept');
    lab.vs(['get', 'web1']);
    inside('sh', '-c', 'echo lost > /lost');
  });
  afterAll(() => lab.down());

  test.each(thorough)(
    'nothing is recovered while its host is online, or only cut off and the vserver answers',
    async () => {
      const refused = lab.vs(['recover', 'web1', '--host', 'host2', '--confirm', 'web1'], 1).stderr;
      expect(refused).toContain('web1 is on host1, which is online');
      node('cut', 'host1');
      await offline('host1');
      const answers = lab.vs(['recover', 'web1', '--host', 'host2', '--confirm', 'web1'], 1).stderr;
      expect(answers).toContain('host1 is not dead, only cut off from the master');
      expect(lab.running('web1')).toEqual(['host1']);
      node('heal');
      await until('host1 is back', 40_000, () => hostOf().length === 1);
      expect(lab.leftovers()).toEqual([]);
    },
  );

  test('a person confirms by the name; it runs elsewhere, as it was when the copy was taken', async () => {
    // a get that is at work when its host dies does not stand in the way
    lab.on(
      'host1',
      'dd if=/dev/urandom of=/var/lib/vservers/web1/rootfs/ballast bs=1M count=150 status=none',
    );
    const slaves = (host1: string) =>
      lab.on('master', `printf '${host1}\\nhost2\\n' > /etc/vs-tools/slaves.conf`);
    slaves('host1:bwlimit=10m'); // it is at work for 15 s
    const { id } = JSON.parse(lab.vs(['get', 'web1', '--no-follow', '--json']).stdout) as SagaState;
    const journal = `/var/lib/vslab-${lab.name}/master/state/sagas/${id}.jsonl`;
    await until('the copy has begun', 60_000, () =>
      readFileSync(journal, 'utf8').includes('"kind":"started","step":"copy"'),
    );
    node('kill', 'host1');
    slaves('host1');
    await offline('host1');
    expect(lab.vs(['put', 'web1', 'host2'], 1).stderr).toContain('vs recover web1 --host HOST');
    expect(lab.vs(['recover', 'web1', '--host', 'host2'], 2).stderr).toContain('give --confirm web1');
    lab.vs(['recover', 'web1', '--host', 'host2', '--confirm', 'web2'], 2);
    const call = ['call', 'master', 'orchestrator.recover'];
    lab.vs([...call, '{"name":"web1","host":"host2","confirm":"web2"}'], 2);
    lab.vs([...call, '{"name":"web1","host":"host2"}'], 2);
    const planned = lab.vs(['recover', 'web1', '--host', 'host2', '--dry-run']).stdout;
    expect(planned).toMatch(/from the copy on the master of .*; host1 is offline/);
    expect(hostOf()).toEqual([]);
    const { stdout } = lab.vs(['recover', 'web1', '--host', 'host2', '--confirm', 'web1']);
    expect(stdout).toMatch(/web1 runs on host2 as it was at .* with epoch 2/);
    expect(hostOf()).toMatchObject([{ host: 'host2', epoch: 2, enabled: true }]);
    expect(inside('sh', '-c', 'cat /kept; ls /lost 2>/dev/null; true')).toBe('kept');
    const { saga } = JSON.parse(lab.vs(['saga', 'show', id, '--json']).stdout) as { saga: SagaState };
    expect(saga.result).toBe('undone');
  });

  test('the old host comes back: it starts nothing, and what it has is owned by nobody', async () => {
    node('boot', 'host1');
    const watch = `for i in $(seq 200); do
  grep -o '@/var/lib/vservers/[^/]*/command' /proc/net/unix
  grep -q '"owner": *false' /var/lib/vs-tools/owned/web1.json && : $((given += 1))
  [ "$given" = 30 ] && break
  sleep 0.05
done | sort -u`;
    expect(lab.on('host1', watch)).toBe(''); // not for a moment
    expect(ownedBy('host1')).toMatchObject({ owner: false, epoch: 1, releasedTo: 'host2' });
    expect(lab.running('web1')).toEqual(['host2']);
    await until('host1 says so', 60_000, () =>
      lab.rows().some((row) => row.host === 'host1' && row.vserver === 'web1' && row.epoch === 0),
    );
    expect(lab.vs(['scan']).stdout).toMatch(/host1 +web1 +stopped +yes .* not owned/);
    expect(lab.vs(['start', 'web1', '--host', 'host1'], 1).stderr).toMatch(/it went to host2/);
    expect(lab.vs(['stop', 'web1']).stdout).toContain('web1 on host2: stopped'); // which a lookup finds
    lab.vs(['start', 'web1']);
    expect(lab.on('host1', 'cat /var/lib/vservers/web1/rootfs/lost')).toBe('lost\n');
    lab.vs(['remove', 'web1', '--host', 'host1', '--yes']); // a person has looked at it
    // nor of the get that was at work when its host died
    await until('nothing is left', 60_000, () => lab.leftovers().length === 0);
  });

  test('a newer copy in the trash of the host itself is taken, with all that was in it', async () => {
    inside('sh', '-c', 'echo newer > /newer');
    lab.vs(['move', 'web1', 'host1']); // host2 has an old copy in its trash now
    node('kill', 'host1');
    await offline('host1');
    const { stdout } = lab.vs(['recover', 'web1', '--host', 'host2', '--confirm', 'web1']);
    expect(stdout).toMatch(/from the old copy in the trash of host2 of .*, which is on that host/);
    expect(inside('cat', '/newer')).toBe('newer');
    expect(hostOf()).toMatchObject([{ host: 'host2', epoch: 4 }]);
  });

  test('what the dead host shows still keeps nobody from removing it and bringing it back', () => {
    lab.vs(['stop', 'web1']);
    lab.vs(['remove', 'web1', '--yes']);
    expect(lab.rows().filter((row) => row.vserver === 'web1')).toMatchObject([
      { host: 'host1', state: 'unknown', epoch: 3 },
    ]);
    const put = lab.vs(['put', 'web1', 'host2', '--dry-run']).stdout; // the master's copy
    expect(put).toContain('web1: master -> host2');
    lab.vs(['trash', 'restore', 'web1', '--start']);
    expect(inside('cat', '/newer')).toBe('newer');
    expect(hostOf()).toMatchObject([{ host: 'host2', epoch: 5 }]);
  });

  test.each(thorough)(
    'a host that comes back when the master is away starts what it believes to own only after it has waited, and not while the address answers',
    async () => {
      node('kill', 'master');
      try {
        node('boot', 'host1');
        const log = `/var/lib/vslab-${lab.name}/host1/log/agent.log`;
        // after BOOT_POOL_WAIT and the look at the network
        await until('host1 has tried to start it', 120_000, () =>
          /web1 did not start at boot: [^"]*answers already/.test(readFileSync(log, 'utf8')),
        );
        expect(lab.running('web1')).toEqual(['host2']);
        expect(ownedBy('host1')).toMatchObject({ owner: true, epoch: 3 });
      } finally {
        node('up');
      }
      await until('host1 gives it up', 60_000, () => !ownedBy('host1').owner);
      expect(lab.running('web1')).toEqual(['host2']);
      expect(lab.leftovers()).toEqual([]);
    },
  );

  /** Kills a host while the move is held in a step past its point of no return, and waits until the pool has heard of that. */
  async function diesIn(step: string, to: string, dead: string): Promise<void> {
    const orchestrator = lab.pidOf('master', 'master');
    await lab.begin(to, step);
    process.kill(orchestrator, 'SIGSTOP');
    try {
      node('kill', dead);
    } finally {
      process.kill(orchestrator, 'SIGCONT');
    }
    await offline(dead);
  }

  test.each(thorough)(
    'the target of a move dies past the point of no return: the source takes back what it had',
    async () => {
      lab.vs(['remove', 'web1', '--host', 'host1', '--yes']);
      await diesIn('take over', 'host1', 'host1');
      const wrong = lab.vs(['recover', 'web1', '--host', 'host1', '--confirm', 'web1'], 1).stderr;
      expect(wrong).toContain('vs recover web1 --host host2 takes it back there');
      const { stderr } = lab.vs(['recover', 'web1', '--host', 'host2', '--confirm', 'web1']);
      expect(stderr).toContain('web1 runs on host2 again, as it was when it was stopped for the move');
      expect(inside('cat', '/newer')).toBe('newer');
      expect(hostOf()).toMatchObject([{ host: 'host2', epoch: 7 }]);
      node('boot', 'host1');
      await until('host1 has heard of it', 40_000, () => lab.leftovers().length === 0);
      expect(lab.running('web1')).toEqual(['host2']);
    },
  );
});
