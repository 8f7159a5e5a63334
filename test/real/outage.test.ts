import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PastEvent } from '../../shared/contract/host.ts';
import { realLab } from './lab-kit.ts';

describe('an outage', () => {
  const lab = realLab('outage');
  const node = (verb: 'kill' | 'boot', name: string) => lab.vs(['lab', verb, '--name', lab.name, name]);
  const end = (name: string, process: string) => globalThis.process.kill(lab.pidOf(name, process), 'SIGKILL');
  /** Asks each half second, for at most half a minute, until the answer is good; the last one. */
  async function becomes<T>(ask: () => T, good: (answer: T) => boolean): Promise<T> {
    for (let left = 60; ; left--) {
      const answer = ask();
      if (good(answer) || left === 0) return answer;
      await sleep(500);
    }
  }
  const events = () => {
    const { stdout } = lab.vs(['events', '-n', '1000', '--json'], null);
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as PastEvent);
  };
  const rebooted = () => events().filter((one) => one.event === 'rebooted');
  const alerts = () => {
    const options = lab.vs(['lab', 'mqtt', '--name', lab.name, 'viewer']).stdout.trim().split(' ');
    const argv = [...options, '-t', 'vs/1/hosts/host1/alerts/web1/+', '-F', '%t', '-W', '5'];
    return spawnSync('mosquitto_sub', argv, { encoding: 'utf8' }).stdout.split('\n').filter(Boolean);
  };
  const alert = 'vs/1/hosts/host1/alerts/web1/configuration';
  const config = '/var/lib/vservers/web1/vserver.json';

  beforeAll(() => {
    lab.up();
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
  });
  afterAll(() => lab.down());

  test('what happened while the master was away is told later; an alert that fires no more ends', async () => {
    lab.on('host1', `cp ${config} /tmp/vslab-outage.json; echo '{' > ${config}`);
    expect(await becomes(alerts, (all) => all.length > 0)).toEqual([alert]);
    node('kill', 'master');
    lab.on('host1', `cp /tmp/vslab-outage.json ${config}; rm /tmp/vslab-outage.json`);
    await sleep(1500); // the agent looks each second
    const begun = Date.now();
    lab.on('host1', 'lxc-attach -P /var/lib/vservers -n web1 -- /bin/busybox reboot');
    const waiting = () => lab.on('host1', 'cat /var/lib/vs-tools/outbox/host-agent.events.jsonl || true');
    expect(await becomes(waiting, (text) => text.includes('rebooted'))).toContain('rebooted');
    const ended = Date.now();
    lab.on('host1', 'echo ALERT_SETTLE_SECONDS=1 >> /etc/vs-tools/vs-tools.conf');
    end('host1', 'agent');
    await sleep(1500);
    expect(lab.running('web1')).toEqual(['host1']); // it needs none of them
    node('boot', 'master');
    const [one, ...more] = await becomes(rebooted, (all) => all.length > 0);
    expect(more).toEqual([]);
    expect(one).toMatchObject({ from: 'host1', vserver: 'web1' });
    expect(one?.ts).toBeGreaterThanOrEqual(begun);
    expect(one?.ts).toBeLessThanOrEqual(ended);
    expect(await becomes(alerts, (all) => all.length === 0)).toEqual([]);
    expect(await becomes(waiting, (text) => text === '')).toBe('');
  });

  test('the orchestrator alone is away: what hosts say meanwhile is in its history', async () => {
    const before = rebooted().length;
    const pid = lab.pidOf('master', 'master');
    process.kill(pid, 'SIGSTOP'); // its connections end, and it is not started again meanwhile
    await sleep(1000);
    lab.on('host1', 'lxc-attach -P /var/lib/vservers -n web1 -- /bin/busybox reboot');
    await sleep(3000);
    process.kill(pid, 'SIGKILL');
    expect(await becomes(rebooted, (all) => all.length > before)).toHaveLength(before + 1);
  });
});
