import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Data } from '../../shared/contract/commands.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { realLab } from './lab-kit.ts';

/** Files that a copy can get wrong. */
const makeTree = `set -e
d=/var/lib/vservers/web1/rootfs/kinds; mkdir -p $d/dir; cd $d
echo one > file; ln file hard; ln -s ../file dir/link; mkfifo fifo; truncate -s 5M sparse
printf 'odd' > "$(printf 'odd \\n name')"; chown 1000:2000 file; chmod 4755 dir; setfacl -m u:1234:rw sparse
setfattr -n user.note -v hello file; cp /bin/busybox capable; setcap cap_net_bind_service+ep capable
touch -d '2001-02-03 04:05:06.123456789' file dir
dd if=/dev/urandom of=random bs=1M count=12 status=none
echo "LIMITS" > /dev/null; echo "DISK=80" > /var/lib/vservers/web1/monitor.conf
mkdir -p ../etc/ssh; echo OLD > ../etc/ssh/ssh_host_ed25519_key; echo "192.0.2.1 other" >> ../etc/hosts`;
/** What a tree is, by other tools than those that copy. */
const oracle = (name: string) => `cd /var/lib/vservers/${name}/rootfs/kinds || exit 1
find . -printf '%P %y %m %U:%G %s %T@ %l %n\\n' | grep -av ' d ' | LC_ALL=C sort; find . -type d -printf '%P %m %U:%G %T@\\n' | LC_ALL=C sort
find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
find . -not -type l -print0 | LC_ALL=C sort -z | xargs -0 getfacl -n 2>/dev/null
find . -print0 | LC_ALL=C sort -z | xargs -0 getfattr -h -d -m- 2>/dev/null; getcap -r . | LC_ALL=C sort`;
type Shown = Data<'host-agent.show'>;

/** VS_TEST_FULL=1: every crash on both storages; else each on one. `npm run test:crash` has all lines of these sagas. */
const full = process.env['VS_TEST_FULL'] === '1';
if (!full)
  console.log(
    'crashes of copy, rename and restore on one storage each; VS_TEST_FULL=1: on both, 2 minutes more',
  );

describe.each(['btrfs', 'dir'] as const)('copy, rename and trash on %s', (storage) => {
  const lab = realLab(`nm${storage}`);
  const show = (name: string) => JSON.parse(lab.vs(['show', name, '--json']).stdout) as Shown;
  const row = (name: string) => lab.rows().filter((one) => one.vserver === name);
  const trash = () =>
    JSON.parse(lab.vs(['trash', 'list', '--json']).stdout) as Data<'orchestrator.trash'>['entries'];
  const guest = (name: string, file: string) => lab.vs(['exec', name, '--', 'cat', file]).stdout;
  /** Begins a saga and answers its id once its journal says that a step has begun. */
  async function begin(args: string[], step: string): Promise<string> {
    const { id } = JSON.parse(lab.vs([...args, '--no-follow', '--json']).stdout) as SagaState;
    const journal = `/var/lib/vslab-${lab.name}/master/state/sagas/${id}.jsonl`;
    for (const end = Date.now() + 120_000; Date.now() < end;) {
      const text = existsSync(journal) ? readFileSync(journal, 'utf8') : '';
      if (text.includes(`"kind":"started","step":"${step}"`)) return id;
      await sleep(5);
    }
    throw new Error(`${id} did not come to step ${step}`);
  }
  /** It is on host1 alone, and runs. */
  async function runs(name: string): Promise<void> {
    for (let tries = 0; ; tries++) {
      const rows = row(name);
      if (rows.length === 1 && rows[0]?.host === 'host1' && rows[0].state === 'running') return;
      if (tries > 60) throw new Error(`${name} does not run on host1: ${JSON.stringify(rows)}`);
      await sleep(500);
    }
  }
  /** What kills it at once. Its pid is asked for before, for that takes longer than some steps. */
  function killing(node: string): () => void {
    const pid = lab.pidOf(node, node === 'master' ? 'master' : 'agent');
    return () => void process.kill(pid, 'SIGKILL');
  }
  async function powerCut(node: string): Promise<void> {
    lab.vs(['lab', 'kill', node, '--name', lab.name]);
    lab.vs(['lab', 'boot', node, '--name', lab.name]);
    for (let tries = 0; ; tries++) {
      const hosts = JSON.parse(lab.vs(['host', 'list', '--json']).stdout) as {
        host: string;
        state: string;
      }[];
      if (hosts.find((one) => one.host === node)?.state === 'online') return;
      if (tries > 60) throw new Error(`${node} does not come back`);
      await sleep(500);
    }
  }

  beforeAll(() => {
    lab.up('--storage', storage);
    lab.vs([
      'create',
      'web1',
      '10.60.10.5',
      'busybox',
      '--host',
      'host1',
      '--memory',
      '256M',
      '--start',
      '--enable',
    ]);
    lab.on('host1', makeTree);
  });
  afterAll(() => lab.down());

  test('a running vserver is copied on its host and to another one; it stays as it was', () => {
    const before = lab.on('host1', oracle('web1'));
    const idBefore = show('web1');
    lab.vs(['copy', 'web1', 'web2', '--address', '10.60.10.6', '--host', 'host1', '--start']);
    lab.vs(['copy', 'web1', 'web3', '--address', '10.60.10.7,fd60:10::77', '--host', 'host2', '--start']);
    expect(lab.on('host1', oracle('web1'))).toBe(before);
    expect(lab.on('host1', oracle('web2'))).toBe(before);
    expect(lab.on('host2', oracle('web3'))).toBe(before);
    const [one, two, three] = [show('web1'), show('web2'), show('web3')];
    expect(one.config).toEqual(idBefore.config);
    expect(one.state.state).toBe('running');
    expect(new Set([one, two, three].map((each) => each.config.uuid)).size).toBe(3);
    expect(new Set([one, two, three].map((each) => each.config.mac)).size).toBe(3);
    expect(two.config.limits).toEqual(one.config.limits);
    expect(three.config).toMatchObject({ address: '10.60.10.7', address6: 'fd60:10::77', enabled: false });
    expect(one.config.enabled).toBe(true);
    expect(three.state).toMatchObject({ state: 'running', epoch: 1 });
    expect(guest('web2', '/etc/hostname')).toBe('web2\n');
    expect(guest('web3', '/etc/hosts')).toMatch(/192\.0\.2\.1 other\n10\.60\.10\.7 web3\..* web3\n/);
    expect(guest('web3', '/etc/hosts')).not.toContain('web1');
    expect(guest('web1', '/etc/ssh/ssh_host_ed25519_key')).toBe('OLD\n');
    const keys = ['web2', 'web3'].map((name) => guest(name, '/etc/ssh/ssh_host_ed25519_key'));
    expect(keys[0]).toContain('OPENSSH PRIVATE KEY');
    expect(keys[0]).not.toBe(keys[1]);
    expect(lab.on('host2', 'cat /var/lib/vservers/web3/monitor.conf')).toBe('DISK=80\n');
    expect(lab.leftovers()).toEqual([]);
  });

  test('refusals change nothing', () => {
    const before = lab.rows();
    const refused = (args: string[], why: RegExp) => expect(lab.vs(args, 1).stderr).toMatch(why);
    refused(['copy', 'web1', 'web2', '--address', '10.60.10.9'], /there is a vserver web2 already, on host1/);
    refused(['copy', 'web1', 'web9', '--address', '10.60.10.6'], /belongs to web2/);
    refused(['copy', 'web1', 'web9', '--address', '192.0.2.9'], /is in no network/);
    refused(['rename', 'web1', 'web3', '--restart'], /there is a vserver web3 already, on host2/);
    refused(['rename', 'web1', 'web9'], /runs on host1; .*--restart/);
    refused(['trash', 'restore', 'web1'], /has no web1|there is a vserver/);
    lab.vs(['copy', 'web1', 'web9'], 2);
    lab.vs(['remove', 'web1', '--purge'], 2); // nobody is there to type its name
    expect(lab.vs(['copy', 'web1', 'web9', '--address', '10.60.10.9', '--dry-run']).stdout).toMatch(
      /It should take about \d+ s/,
    );
    expect(lab.rows()).toEqual(before);
    expect(lab.leftovers()).toEqual([]);
  });

  const victims = [
    ['master', 'host2', 'dir'],
    ['host2', 'host2', 'btrfs'],
    ['host1', 'host1', 'dir'],
  ] as const;
  test('a SIGKILL of the orchestrator and of the agent during a copy: done, or undone with nothing left', async () => {
    for (const [victim, host, on] of victims) {
      if (!full && on !== storage) continue;
      const kill = killing(victim);
      await begin(['copy', 'web1', 'web4', '--address', '10.60.10.8', '--host', host], 'copy');
      kill();
      const saga = await lab.ended(60_000);
      await lab.agentIsBack(host);
      expect(['done', 'undone'], JSON.stringify(saga)).toContain(saga.result);
      if (saga.result === 'done') {
        expect(lab.on(host, oracle('web4'))).toBe(lab.on('host1', oracle('web1')));
        lab.vs(['remove', 'web4', '--purge', '--yes']);
      }
      expect(row('web4')).toEqual([]);
      expect(lab.leftovers()).toEqual([]);
      expect(lab.running('web1')).toEqual(['host1']);
    }
  });

  test('a stopped one is renamed stopped, a running one with --restart; nothing of the old name is left', () => {
    const before = lab.on('host1', oracle('web1'));
    const { config } = show('web1');
    const down = lab.vs(['rename', 'web1', 'shop', '--restart']).stdout;
    expect(down).toMatch(/web1 is called shop now, and runs on host1. It was down for \d/);
    expect(row('shop')).toMatchObject([{ host: 'host1', state: 'running', epoch: 2, address: '10.60.10.5' }]);
    expect(row('web1')).toEqual([]);
    expect(show('shop').config).toEqual({ ...config, name: 'shop' });
    expect(lab.on('host1', oracle('shop'))).toBe(before);
    expect(guest('shop', '/etc/hostname')).toBe('shop\n');
    expect(guest('shop', '/etc/hosts')).not.toContain('web1');
    expect(guest('shop', '/etc/ssh/ssh_host_ed25519_key')).toBe('OLD\n');
    const heard = lab.vs(['listen', 'hosts/+/vservers/web1/#', '--for', '2', '--json'], null).stdout;
    expect(heard.trim()).toBe('');
    expect(
      lab.on(
        'host1',
        'ls -d /var/lib/vservers/*web1* /run/vs/web1 /var/lib/vs-tools/rules/web1 2>/dev/null; true',
      ),
    ).toBe('');
    lab.vs(['stop', 'shop']);
    lab.vs(['rename', 'shop', 'web1']);
    expect(row('web1')).toMatchObject([{ state: 'stopped', epoch: 3 }]);
    lab.vs(['start', 'web1']);
    expect(guest('web1', '/etc/hostname')).toBe('web1\n');
    expect(lab.leftovers()).toEqual([]);
  });

  const crashes = [
    ['a SIGKILL of the orchestrator', 'stop', () => killing('master'), 'btrfs'],
    ['a SIGKILL of the agent', 'rename', () => killing('host1'), 'dir'],
    ['a power cut of the host', 'give up', () => () => powerCut('host1'), 'btrfs'],
    ['a power cut of the host', 'adopt', () => () => powerCut('host1'), 'dir'],
  ] as const;
  test.each(crashes.filter((one) => full || one[3] === storage))(
    '%s in step %s of a rename: one name, one copy',
    async (_what, step, prepared) => {
      const before = lab.on('host1', oracle('web1'));
      const strike: () => void | Promise<void> = prepared();
      await begin(['rename', 'web1', 'shop', '--restart'], step);
      await strike();
      const saga = await lab.ended(90_000);
      await lab.agentIsBack('host1');
      expect(['done', 'undone'], JSON.stringify(saga)).toContain(saga.result);
      const [name, other] = saga.result === 'done' ? ['shop', 'web1'] : ['web1', 'shop'];
      await runs(name); // when the saga was faster than the power cut, its host starts it
      expect(row(other)).toEqual([]);
      expect(lab.running(name)).toEqual(['host1']);
      expect(lab.running(other)).toEqual([]);
      expect(lab.on('host1', oracle(name))).toBe(before);
      const left = lab.leftovers();
      if (name === 'shop') lab.vs(['rename', 'shop', 'web1', '--restart']);
      expect(left).toEqual([]);
    },
  );

  test('what was removed comes back as it was, with a higher epoch', async () => {
    const before = lab.on('host1', oracle('web1'));
    const was = show('web1');
    lab.vs(['stop', 'web1']);
    expect(lab.vs(['remove', 'web1', '--dry-run']).stdout).toMatch(/the only copy in the pool/);
    lab.vs(['remove', 'web1', '--yes']);
    expect(row('web1')).toEqual([]);
    expect(lab.vs(['trash', 'list']).stdout).toMatch(/web1 +host1 +.* removed +[\d.]+ MB +\d+ days +remove-/);
    expect(trash()).toMatchObject([{ name: 'web1', host: 'host1', only: true, epoch: was.state.epoch }]);
    lab.vs(['trash', 'restore', 'web1', '--start']);
    expect(show('web1').config).toEqual(was.config);
    expect(row('web1')).toMatchObject([{ state: 'running', epoch: was.state.epoch + 1 }]);
    expect(lab.on('host1', oracle('web1'))).toBe(before);
    expect(trash()).toEqual([]);
    expect(lab.leftovers()).toEqual([]);
  });

  test.each(full || storage === 'btrfs' ? [storage] : [])(
    'a power cut of the host in a restore: back, or still in the trash',
    async () => {
      const before = lab.on('host1', oracle('web1'));
      lab.vs(['stop', 'web1']);
      lab.vs(['remove', 'web1', '--yes']);
      await begin(['trash', 'restore', 'web1', '--start'], 'recall');
      await powerCut('host1');
      const saga = await lab.ended(90_000);
      expect(['done', 'undone'], JSON.stringify(saga)).toContain(saga.result);
      if (saga.result === 'undone') {
        expect(trash()).toMatchObject([{ name: 'web1' }]);
        lab.vs(['trash', 'restore', 'web1', '--start']);
      }
      await runs('web1');
      expect(lab.running('web1')).toEqual(['host1']);
      expect(lab.on('host1', oracle('web1'))).toBe(before);
      expect(trash()).toEqual([]);
      expect(lab.leftovers()).toEqual([]);
    },
  );

  test('the old copy of what was moved comes back as a vserver of its own only, and can be emptied', () => {
    const before = lab.on('host1', oracle('web1'));
    lab.vs(['move', 'web1', 'host2']);
    expect(trash()).toMatchObject([{ name: 'web1', host: 'host1', why: 'moved to host2', only: false }]);
    expect(lab.vs(['trash', 'restore', 'web1'], 1).stderr).toMatch(/web1 already, on host2.*--as NAME/);
    lab.vs(['trash', 'restore', 'web1', '--as', 'old1', '--address', '10.60.10.30', '--start']);
    const [old, now] = [show('old1'), show('web1')];
    expect(old.config.uuid).not.toBe(now.config.uuid);
    expect(old.config.mac).not.toBe(now.config.mac);
    expect(old.state).toMatchObject({ host: 'host1', state: 'running', epoch: 1 });
    expect(lab.on('host1', oracle('old1'))).toBe(before);
    expect(lab.running('web1')).toEqual(['host2']);
    lab.vs(['move', 'web1', 'host1']);
    expect(lab.vs(['trash', 'empty', 'web1'], 2).stderr).toMatch(/give --yes/);
    expect(lab.vs(['trash', 'empty', '--older', '1d', '--yes']).stdout).toMatch(/nothing to empty/);
    expect(trash()).toHaveLength(1);
    expect(lab.vs(['trash', 'empty', 'web1', '--yes']).stdout).toMatch(/1 of 1 destroyed/);
    expect(trash()).toEqual([]);
    expect(lab.on('host2', 'ls -A /var/lib/vservers/.trash')).toBe('');
    expect(lab.vs(['events', '-n', '50']).stdout).toMatch(
      /the copy of web1 .* is gone from the trash of host2/,
    );
    lab.vs(['stop', 'old1']);
    lab.vs(['remove', 'old1', '--purge', '--yes']);
    expect(trash()).toEqual([]);
    expect(lab.leftovers()).toEqual([]);
  });
});
