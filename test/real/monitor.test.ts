import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openProbe } from '../../services/monitor/checks/probe.ts';
import type { Alert } from '../../shared/contract/host.ts';
import { realLab } from './lab-kit.ts';

describe('connections from inside of a network namespace', () => {
  /** One port for each kind of server, in a namespace of its own. */
  const servers = `
import socket, threading, time
def serve(port, answer):
    s = socket.socket(); s.bind(('127.0.0.1', port)); s.listen(50)
    while True:
        c, _ = s.accept(); threading.Thread(target=answer, args=(c,), daemon=True).start()
def says(data):
    def answer(c):
        c.recv(4096)
        try:
            for part in data: c.sendall(part); time.sleep(0.05)
        except OSError: pass
        c.close()
    return answer
for port, answer in ((80, says([b'HTT', b'P/1.1 204 No', b' Content\\r\\n\\r\\n'])), (81, lambda c: time.sleep(99)), (82, says([b'SSH-2.0\\r\\n'])), (83, lambda c: c.close()), (84, says([b'x' * 100000]))):
    threading.Thread(target=serve, args=(port, answer), daemon=True).start()
print('ready', flush=True); time.sleep(600)
`;
  test('what answers, refuses, hangs, or speaks no HTTP; the one that hangs delays no other', async () => {
    const guest = spawn('unshare', ['-n', 'sh', '-c', 'ip link set lo up; exec python3 -c "$0"', servers], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const probe = openProbe();
    try {
      await new Promise((resolve) => guest.stdout.once('data', resolve));
      const pid = guest.pid ?? 0;
      const http = { host: 'localhost', path: '/' };
      const order: number[] = [];
      const look = async (port: number, ask: boolean, ms = 30_000, address = '127.0.0.1') => {
        const answer = await probe.look(pid, { address, port }, ms, ask ? http : undefined);
        order.push(port);
        return answer.ok ? (answer.status ?? 'connected') : answer.why;
      };
      const all = await Promise.all([
        look(81, true, 5000),
        look(80, false),
        look(80, true),
        look(82, true),
        look(83, true),
        look(84, true),
        look(85, false),
        look(80, false, 5000, '::1'),
      ]);
      expect(all).toEqual([
        'connected, but no answer came',
        'connected',
        204,
        'no answer of HTTP',
        'the connection was closed before an answer',
        'no answer of HTTP',
        'the connection was refused',
        'the connection was refused',
      ]);
      expect(order.at(-1)).toBe(81);
      const own = await probe.look(process.pid, { address: '127.0.0.1', port: 80 }, 1000);
      expect(own).toMatchObject({
        ok: false,
        unknown: true,
        why: expect.stringMatching(/is no vserver any more/),
      });
    } finally {
      probe.close();
      guest.kill('SIGKILL');
    }
  });
});

describe('checks of a vserver', () => {
  const lab = realLab('monitor');
  let listener: ChildProcess;
  /** What was told of web1's checks, in its order: retained or not, each payload once. */
  const told: { check: string; alert: Alert | null }[] = [];
  const of = (check: string) => told.filter((one) => one.check === check);
  const words = (check: string) => of(check).map(({ alert }) => (alert ? 'begin' : 'end'));
  async function becomes(check: string, wanted: string[]): Promise<void> {
    for (let left = 240; left > 0 && words(check).length < wanted.length; left--) await sleep(500);
    expect(words(check), `${check}: ${JSON.stringify(of(check))}`).toEqual(wanted);
  }
  const inside = (script: string) =>
    lab.on('host1', `lxc-attach -P /var/lib/vservers -n web1 -- /bin/sh -c '${script}' </dev/null`);
  const conf = (text: string) =>
    lab.on('host1', `cat > /var/lib/vservers/web1/monitor.conf <<'END'\n${text}\nEND`);
  const base = `MONITOR_POOLING=2
MONITOR_MAILTO=anna@example.org
RSS_THRESHOLD=80 clear=60 hits=2 clear_hits=2
TMPFS_THRESHOLD=80 severity=critical
DISK_THRESHOLD=80
MONITOR_SOCKETS=yes settle=5
DAEMON=own process=httpd min=2 tcp=8080 hits=2 clear_hits=2
DAEMON=mute tcp=8081 http=http://localhost:8081/ timeout=5s hits=2
DAEMON=check exec="/bin/test -e /run/well" timeout=20s
DAEMON=slow exec="/bin/sh /run/slow" timeout=30s`;

  beforeAll(() => {
    lab.up('--storage', 'btrfs');
    const limits = '--memory 64M --tmp 60M --disk 40M'.split(' ');
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', ...limits, '--start', '--yes']);
    const options = lab.vs(['lab', 'mqtt', '--name', lab.name, 'viewer']).stdout.trim().split(' ');
    const argv = [...options, '-t', 'vs/1/hosts/host1/alerts/web1/+', '-F', '%t %p'];
    listener = spawn('mosquitto_sub', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface({ input: listener.stdout as NonNullable<ChildProcess['stdout']> }).on('line', (line) => {
      const [topic = '', ...payload] = line.split(' ');
      const text = payload.join(' ');
      const check = topic.split('/').at(-1) ?? '';
      const last = of(check).at(-1);
      const alert = text === '' ? null : (JSON.parse(text) as Alert);
      // an agent that comes back publishes what fires again as it was
      if (JSON.stringify(last?.alert ?? null) !== JSON.stringify(alert)) told.push({ check, alert });
    });
    inside('touch /run/well; echo exit 0 > /run/slow; httpd -p 8080 -h /var/www');
    inside('httpd -p 8081 -h /var/www');
    conf(base);
  }, 300_000);
  afterAll(() => {
    listener?.kill('SIGKILL');
    lab.down();
  });

  test('vs monitor: check runs all once, stop and start are for good, edit is checked', async () => {
    const check = JSON.parse(lab.vs(['monitor', 'check', 'web1', '--json']).stdout) as {
      checks: { check: string; result: string }[];
    };
    expect(check.checks.map((one) => one.check).join(' ')).toBe(
      'memory tmp disk sockets daemon-own daemon-mute daemon-check daemon-slow',
    );
    expect(check.checks.filter(({ result }) => result === 'bad')).toEqual([]);
    expect(lab.vs(['monitor', 'stop', 'web1']).stdout).toBe('web1 on host1: it is not watched\n');
    expect(lab.vs(['monitor', 'show', 'web1']).stdout).toMatch(/^web1 on host1: not watched/);
    expect(lab.vs(['monitor', 'start', 'web1']).stdout).toBe(
      'web1 on host1: watched by 8 checks, from now on\n',
    );
    lab.environment['EDITOR'] = 'sed -i s/DISK_THRESHOLD=80/DISK_THRESHOLD=800/';
    const { stderr } = lab.vs(['monitor', 'edit', 'web1'], 2);
    expect(stderr).toMatch(/monitor\.conf:6:16: found "800", expected a number of percent/);
    lab.environment['EDITOR'] = 'sed -i s/DISK_THRESHOLD=80/DISK_THRESHOLD=85/';
    expect(lab.vs(['monitor', 'edit', 'web1']).stdout).toMatch(/watched by 8 checks/);
    expect(lab.on('host1', 'cat /var/lib/vservers/web1/monitor.conf')).toContain('DISK_THRESHOLD=85');
  }, 120_000);

  test('a daemon that is killed, one that accepts and never answers, a check that fails: each begins and ends once, and one that hangs delays none', async () => {
    // what listens usually is known from the first poll on; before it nothing can differ from that
    const kept = () => lab.on('host1', 'cat /var/lib/vs-tools/monitor/web1.json || true');
    for (let left = 120; left > 0 && !/"usual":.*:8080 httpd.*:8081 httpd/s.test(kept()); left--)
      await sleep(500);
    // a moment in which this machine was too slow for an answer is not what is meant here
    for (let left = 240; left > 0 && words('daemon-mute').at(-1) === 'begin'; left--) await sleep(500);
    told.splice(0, told.length, ...told.filter(({ check }) => check !== 'daemon-mute'));
    inside('echo sleep 1000 > /run/slow');
    const pid = (port: number) => `$(ps | grep "[h]ttpd -p ${port}" | while read p rest; do echo $p; done)`;
    inside(`kill ${pid(8080)} ${pid(8081)}`);
    inside('rm /run/well; nc -ll -p 8081 -e sleep 1000 >/dev/null 2>&1 &');
    await becomes('daemon-own', ['begin']);
    await becomes('daemon-check', ['begin']);
    await becomes('daemon-mute', ['begin']);
    const [own, mute, check] = ['own', 'mute', 'check'].map((one) => of(`daemon-${one}`)[0]?.alert);
    expect(own).toMatchObject({
      severity: 'warning',
      vserver: 'web1',
      mailto: ['anna@example.org'],
      value: 1,
    });
    expect(own?.message).toMatch(
      /^web1: own: [01] processes httpd, expected at least 2; tcp 127.0.0.1 port 8080: the connection was refused$/,
    );
    expect(mute?.message).toMatch(/http:\/\/localhost:8081\/: .*(no answer|refused)/);
    expect(check?.message).toBe('web1: check: /bin/test ended with exit code 1');
    inside(
      'kill $(ps | grep "[n]c -ll" | while read p rest; do echo $p; done) $(pidof sleep); touch /run/well',
    );
    inside('echo exit 0 > /run/slow; httpd -p 8080 -h /var/www; httpd -p 8081 -h /var/www');
    for (const one of ['own', 'mute', 'check']) await becomes(`daemon-${one}`, ['begin', 'end']);
    // those of the daemons have gone and come, one after the other: that was told in between
    for (let left = 240; left > 0 && words('sockets').at(-1) === 'begin'; left--) await sleep(500);
    expect(words('sockets').at(-1) ?? 'end').toBe('end');
  });

  test('memory, /tmp and disk that fill up; the agent is killed meanwhile: nothing is told twice, nothing is lost', async () => {
    inside(
      'dd if=/dev/zero of=/tmp/big bs=1M count=54 2>/dev/null; dd if=/dev/zero of=/root/big bs=1M count=37 2>/dev/null; sync',
    );
    await becomes('memory', ['begin']);
    await becomes('tmp', ['begin']);
    await becomes('disk', ['begin']);
    expect(of('tmp')[0]?.alert).toMatchObject({ severity: 'critical', threshold: 80 });
    expect(of('tmp')[0]?.alert?.message).toMatch(/^web1: \/tmp at \d+(\.\d)? % of 60 MiB, threshold 80 %$/);
    expect(of('disk')[0]?.alert).toMatchObject({ threshold: 85 });
    process.kill(lab.pidOf('host1', 'agent'), 'SIGKILL');
    await sleep(15_000);
    expect(['memory', 'tmp', 'disk'].map(words)).toEqual([['begin'], ['begin'], ['begin']]);
    process.kill(lab.pidOf('host1', 'agent'), 'SIGKILL');
    inside('rm /tmp/big /root/big; sync'); // while nobody looks
    for (const check of ['memory', 'tmp', 'disk']) await becomes(check, ['begin', 'end']);
  }, 600_000);

  test('a socket that is opened is told with its process, and ends when it is closed', async () => {
    const before = words('sockets').length;
    inside('nc -ll -p 9999 -e cat >/dev/null 2>&1 &');
    await becomes('sockets', [...words('sockets').slice(0, before), 'begin']);
    expect(of('sockets').at(-1)?.alert?.message).toMatch(
      /^web1: listening sockets have changed: .*\+ tcp6? \S+:9999 nc/,
    );
    const { details } = of('sockets').at(-1)?.alert ?? {};
    expect(details).toMatchObject({
      'Sockets that appeared (+) and vanished (-)': expect.stringMatching(/^\+ tcp6? \S+:9999 nc/) as string,
      Processes: expect.stringMatching(/ {2}\\_ nc$/m) as string,
    });
    inside('kill $(ps | grep "[n]c -ll" | while read p rest; do echo $p; done)');
    await becomes('sockets', [...words('sockets').slice(0, before), 'begin', 'end']);
  }, 300_000);

  test('a file with a fault is told, and the checks of before stay; a vserver that stops has no alerts', async () => {
    conf(`${base}\nNONSENSE=1`);
    await becomes('monitor', ['begin']);
    expect(of('monitor')[0]?.alert?.message).toMatch(/monitor\.conf:11:1: found "NONSENSE", expected one of/);
    inside('rm /run/well');
    await becomes('daemon-check', ['begin', 'end', 'begin']);
    conf(base);
    await becomes('monitor', ['begin', 'end']);
    lab.vs(['stop', 'web1']);
    await becomes('daemon-check', ['begin', 'end', 'begin', 'end']);
  }, 300_000);
});
