import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Alert, PastEvent } from '../../shared/contract/host.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { realLab } from './lab-kit.ts';

describe('mending', () => {
  const lab = realLab('mend');
  async function until(what: () => boolean, why: string): Promise<void> {
    for (let left = 240; !what(); left--) {
      if (left === 0) throw new Error(`waited in vain: ${why}`);
      await sleep(250);
    }
  }
  /** Of a host whose agent was just killed nothing is known for a moment. */
  const stateOf = (name: string): Partial<VserverState> => {
    const { stdout, code } = lab.vs(['show', name, '--json'], null);
    return code === 0 ? (JSON.parse(stdout) as { state: VserverState }).state : {};
  };
  const eventsOf = (event: string) =>
    lab
      .vs(['events', '-n', '1000', '--json'])
      .stdout.split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as PastEvent)
      .filter((one) => one.event === event);
  const events = (of: string, event: string) => eventsOf(event).filter(({ vserver }) => vserver === of);
  /** By subject and check: what the host says now, without the minute that the master waits with an end. */
  const alerts = new Map<string, Alert>();
  let listener: ChildProcess | undefined;
  const alertOf = (subject: string, check: string) => alerts.get(`${subject}/${check}`);
  const inside = (name: string, script: string, expected: number | null = 0) =>
    lab.vs(['exec', name, '--', 'sh', '-c', script], expected);
  const conf = (name: string, text: string) =>
    lab.on('host1', `cat > /var/lib/vservers/${name}/monitor.conf <<'END'\n${text}\nEND`);
  const killInit = async (name: string) => {
    await until(() => stateOf(name).state === 'running', `${name} runs`);
    const { pid } = stateOf(name);
    lab.on('host1', `kill -9 ${pid}`);
    return pid;
  };
  const runsAnew = (name: string, pid: number | undefined) => {
    const now = stateOf(name);
    return now.state === 'running' && now.pid !== pid;
  };
  const keptOf = (name: string) => lab.on('host1', `cat /var/lib/vs-tools/monitor/${name}.json || true`);

  beforeAll(() => {
    lab.up('--hosts', '1');
    const options = lab.vs(['lab', 'mqtt', '--name', lab.name, 'viewer']).stdout.trim().split(' ');
    listener = spawn('mosquitto_sub', [...options, '-t', 'vs/1/hosts/host1/alerts/+/+', '-F', '%t %p'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    createInterface({ input: listener.stdout! }).on('line', (line) => {
      const [topic = '', ...words] = line.split(' ');
      const key = topic.split('/').slice(-2).join('/');
      const text = words.join(' ');
      if (text === '') alerts.delete(key);
      else alerts.set(key, JSON.parse(text) as Alert);
    });
    for (const [name, last] of [
      ['web1', 5],
      ['web2', 6],
      ['web3', 7],
    ] as const)
      lab.vs([
        'create',
        name,
        `10.60.10.${last}`,
        'busybox',
        '--host',
        'host1',
        '--enable',
        '--start',
        '--yes',
      ]);
    inside(
      'web1',
      `echo 'echo x >> /root/again; httpd -p 8080 -h /var/www' > /root/start; chmod 755 /root/start`,
    );
    inside('web2', `echo 'echo x >> /root/again; exit 7' > /root/start`);
  });
  afterAll(() => {
    listener?.kill();
    lab.down();
  });

  test('a daemon that is killed is restarted, and its alert ends; one that cannot be: rests, its vserver, in one alert; what is tried in vain too often is given up; the agent is killed meanwhile, and counts on', async () => {
    inside('web1', 'httpd -p 8080 -h /var/www');
    conf(
      'web1',
      'MONITOR_POOLING=1\nDAEMON=web tcp=8080 restart="exec:/bin/sh /root/start"\nDAEMON=lost tcp=9 restart=exec:/bin/false restarts=1',
    );
    await until(() => keptOf('web1').includes('"good"'), 'its file is in force');
    inside('web1', `kill $(ps | grep "[h]ttpd -p 8080" | while read p rest; do echo $p; done)`);
    conf(
      'web2',
      'MONITOR_POOLING=1\nDAEMON=web tcp=8080 restart="exec:/bin/sh /root/start" restarts=2 restart_vserver=yes',
    );
    const before = stateOf('web2').pid;
    await until(() => events('web1', 'mended').length === 1, 'the daemon of web1 is restarted');
    await until(() => keptOf('web2').includes('exit code 7'), 'the one of web2 is tried');
    process.kill(lab.pidOf('host1', 'agent'), 'SIGKILL');
    await until(() => runsAnew('web2', before), 'its vserver is restarted');
    expect(inside('web2', 'cat /root/again').stdout).toBe('x\nx\n');
    await until(() => alertOf('web1', 'daemon-web') === undefined, 'its alert ends');
    expect(inside('web1', 'cat /root/again').stdout).toBe('x\n');
    expect(events('web1', 'crashed')).toEqual([]);
    await until(() => alertOf('web1', 'daemon-lost')?.severity === 'critical', 'it is given up');
    expect(alertOf('web1', 'daemon-lost')?.message).toMatch(
      /restarted at \S+ \(exit code 1\); given up: a person has to look at it$/,
    );
    expect(events('web1', 'gave-up')).toHaveLength(1);
    const told = () => alertOf('web2', 'daemon-web')?.message ?? '';
    await until(() => told().includes('its vserver'), 'that its vserver was restarted is told');
    expect(told()).toMatch(
      /restarted at \S+ \(exit code 7\), \S+ \(exit code 7\); its vserver restarted at \S+$/,
    );
  });

  test('init is killed: its vserver is started again, and told; powered off from inside, stopped or disabled it stays down; the agent is killed in between', async () => {
    const before = await killInit('web3');
    await until(
      () => alertOf('web3', 'crashed')?.message.includes('started again') === true,
      'it is told that it was started again',
    );
    expect(runsAnew('web3', before)).toBe(true);
    expect(alertOf('web3', 'crashed')).toMatchObject({ severity: 'warning' });
    expect(alertOf('web3', 'crashed')?.message).toMatch(
      /ended by signal 9 \(Killed\); started again at \S+$/,
    );
    inside('web1', 'poweroff', null);
    await until(() => events('web1', 'powered-off').length === 1, 'it is known to be powered off');
    lab.vs(['disable', 'web3']);
    await killInit('web3');
    await until(() => alertOf('web3', 'crashed')?.severity === 'critical', 'it is left down');
    expect(alertOf('web3', 'crashed')?.message).toMatch(/it is not started again: it is disabled$/);
    lab.vs(['stop', 'web3']);
    await until(() => alertOf('web3', 'crashed') === undefined, 'its alert ends by a stop');
    process.kill(lab.pidOf('host1', 'agent'), 'SIGKILL');
    await until(() => stateOf('web3').state === 'stopped', 'the agent is back');
    lab.vs(['enable', 'web3']);
    // a saga holds it: what it does with it is its own matter
    lab.vs([
      'call',
      'host1',
      'host-agent.lock',
      JSON.stringify({ name: 'web2', saga: 'test-saga', ttl: 600_000 }),
    ]);
    const held = await killInit('web2');
    await until(() => stateOf('web2').state === 'stopped', 'it is down');
    await sleep(7000);
    expect(stateOf('web2').state).toBe('stopped');
    lab.vs(['call', 'host1', 'host-agent.unlock', JSON.stringify({ name: 'web2', saga: 'test-saga' })]);
    await until(() => runsAnew('web2', held), 'the saga is over');
    expect([stateOf('web1').state, stateOf('web3').state]).toEqual(['stopped', 'stopped']);
    expect(lab.running('web3')).toEqual([]);
  });

  test('a host that is paused mends nothing of all that is on it, and says so; afterwards it does', async () => {
    lab.vs(['start', 'web3']);
    expect(lab.vs(['monitor', 'pause', '--host', 'host1', '--for', '1h']).stdout).toMatch(
      /^all that is on host1: nothing is mended until \S+ \S+\. What is wrong is told as ever\n$/,
    );
    expect(lab.on('host1', 'cat /etc/vs-tools/host-monitor.conf')).toMatch(/^MEND_PAUSE_UNTIL=\S+Z\n$/);
    await until(
      () => lab.vs(['monitor', 'show', 'web3']).stdout.includes('Nothing is mended until'),
      'its monitor knows',
    );
    const before = await killInit('web3');
    await until(
      () => alertOf('web3', 'crashed')?.message.endsWith('while mending is paused') === true,
      'it is told that it is left',
    );
    process.kill(lab.pidOf('host1', 'agent'), 'SIGKILL'); // a pause is none of its memory
    await until(() => stateOf('web3').state === 'stopped', 'the agent is back');
    await sleep(9000);
    expect(stateOf('web3').state).toBe('stopped');
    expect(lab.vs(['monitor', 'resume', '--host', 'host1']).stdout).toBe(
      'all that is on host1: mended again\n',
    );
    await until(() => runsAnew('web3', before), 'it is started again');
    await until(
      () => /started again at (?:\S+, )*\S+$/.test(alertOf('web3', 'crashed')?.message ?? ''), // of an earlier crash, too
      'it is told that it was started again',
    );
    expect(['paused', 'resumed'].map((one) => eventsOf(one).length)).toEqual([1, 1]);
  });

  test('memory of the host is short: the least important vserver is held back by its cgroup, one that is spared is not; then it is let go', async () => {
    lab.vs(['boot', 'web2', '--order', '1']);
    const eat = 'x=$(head -c 90000000 /dev/zero | tr "\\0" x); touch /root/full; sleep 1000; :'; // the shell stays, and so does what it holds
    for (const name of ['web2', 'web3']) inside(name, `(${eat}) >/dev/null 2>&1 &`);
    /** Above how many bytes of memory the kernel holds it back, as its cgroup says it. */
    const heldAt = (name: string): number => {
      const { pid } = stateOf(name);
      if (pid === undefined) return Number.NaN; // nothing is known of it for a moment
      const path = (directory: string) =>
        `/sys/fs/cgroup/${directory}/$(sed -n 's/^[0-9]*:memory:.//p; s/^0::.//p' /proc/${pid}/cgroup | head -n 1)`;
      const text = lab.on(
        'host1',
        `cat ${path('memory')}/memory.soft_limit_in_bytes 2>/dev/null || cat ${path('')}/memory.high`,
      );
      return text.trim() === 'max' ? Number.POSITIVE_INFINITY : Number(text);
    };
    const free = heldAt('web3');
    expect(free).toBeGreaterThan(1e12);
    // it is held back by what it uses then
    await until(() => inside('web3', 'test -e /root/full', null).code === 0, 'web3 has its memory');
    const file = '/etc/vs-tools/host-monitor.conf';
    lab.on('host1', `printf 'MONITOR_POOLING=1\\nPRESSURE=limit memory=2 clear=1 spare=5\\n' > ${file}`);
    await until(() => heldAt('web3') < 90e6, 'web3 is held back');
    await until(
      () => /; held back: web3 at \d+(\.\d)? MiB$/.test(alertOf('host', 'pressure')?.message ?? ''),
      'it is told',
    );
    expect(heldAt('web3')).toBeGreaterThan(40e6);
    expect(heldAt('web2')).toBe(free);
    lab.on('host1', `rm ${file}`);
    await until(() => heldAt('web3') === free && alertOf('host', 'pressure') === undefined, 'it is let go');
    expect([events('web3', 'held-back').length > 0, events('web3', 'let-go').length]).toEqual([true, 1]);
    expect(events('web2', 'held-back')).toEqual([]);
    expect(['web2', 'web3'].map((name) => stateOf(name).state)).toEqual(['running', 'running']);
  });
});
