import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FirewallView } from '../../shared/contract/firewall.ts';
import { realLab } from './lab-kit.ts';

// web1 has the firewall, web2 is its neighbour; both serve a page at port 80, web1 at 81 too.
const lab = realLab('fw');
const work = mkdtempSync(join(tmpdir(), 'vslab-fw-real-'));
const conf = '/var/lib/vservers/web1/firewall.conf';
let host = 'host1';

const show = (): FirewallView => JSON.parse(lab.vs(['fw', 'show', 'web1', '--json']).stdout) as FirewallView;
const rules = (): string =>
  lab.on(
    host,
    `nsenter -t $(lxc-info -P /var/lib/vservers -n web1 -p -H) -n nft -s list table inet vs 2>/dev/null || true`,
  );
/** Does web2 get the page of web1 at this port? */
const page = (port: number): boolean =>
  lab.vs(['exec', 'web2', '--', 'sh', '-c', `timeout 2 wget -q -O - http://10.60.10.5:${port}/ || true`])
    .stdout === 'web1\n';
/** Edits the file as a person does, with an editor that puts this text in place of the old one. */
function edit(text: string, expected = 0): { stdout: string; stderr: string } {
  writeFileSync(join(work, 'text'), text);
  writeFileSync(join(work, 'editor'), `#!/bin/sh\ncat ${work}/text > "$1"\n`);
  chmodSync(join(work, 'editor'), 0o700);
  lab.environment['EDITOR'] = join(work, 'editor');
  return lab.vs(['fw', 'edit', 'web1'], expected);
}
async function eventually(what: string, look: () => boolean, seconds = 90): Promise<void> {
  for (const end = Date.now() + seconds * 1000; !look(); await sleep(300))
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
}
const serve81 = () => lab.vs(['exec', 'web1', '--', 'httpd', '-p', '81', '-h', '/var/www']);
const killAgent = async (meanwhile: () => void = () => undefined): Promise<void> => {
  const before = lab.pidOf(host, 'agent');
  process.kill(before, 'SIGKILL');
  meanwhile();
  await eventually('a new agent that answers', () => {
    if (lab.vs(['call', host, 'host-agent.list'], null).code !== 0) return false;
    return lab.pidOf(host, 'agent') !== before;
  });
};

beforeAll(async () => {
  lab.up();
  lab.on('host1', 'echo FIREWALL_RESOLVE_SECONDS=5 >> /etc/vs-tools/vs-tools.conf');
  await killAgent(); // it reads its settings anew
  for (const [name, address] of [
    ['web1', '10.60.10.5'],
    ['web2', '10.60.10.6'],
  ])
    lab.vs(['create', name ?? '', address ?? '', 'busybox', '--host', 'host1', '--start']);
  serve81();
});
afterAll(() => {
  lab.down();
  rmSync(work, { recursive: true, force: true });
});

test('without a firewall everything passes; up denies all but what is implied, down lets all pass', () => {
  expect([page(80), page(81)]).toEqual([true, true]);
  expect(lab.vs(['fw', 'show', 'web1']).stdout).toMatch(/not enabled: everything passes/);
  expect(lab.vs(['fw', 'up', 'web1']).stdout).toBe('web1 on host1: its firewall is on, in force now\n');
  expect([page(80), page(81)]).toEqual([false, false]);
  lab.vs(['lab', 'exec', '--name', lab.name, 'router', '--', 'ping', '-c1', '-W2', '10.60.10.5']);
  lab.vs(['fw', 'down', 'web1']);
  expect(rules()).toBe('');
  expect([page(80), page(81)]).toEqual([true, true]);
});

test('an edit is in force at once, counts, and is what vs fw test says', () => {
  edit('enable\nallow from 10.60.10.6 tcp/80\nallow from 0/0 tcp/8080\n');
  expect([page(80), page(81)]).toEqual([true, false]);
  const { rules: shown, denied, changed } = show();
  expect(shown.map(({ line, text }) => `${line} ${text}`)).toEqual([
    '2 allow from 10.60.10.6 tcp/80',
    '3 allow from 0/0 tcp/8080',
  ]);
  expect(shown[0]?.packets).toBeGreaterThan(0);
  expect(shown[1]?.packets).toBe(0);
  expect(denied?.packets).toBeGreaterThan(0);
  expect(changed).toBe(false);
  const asked = (packet: string) => lab.vs(['fw', 'test', 'web1', ...packet.split(' ')]).stdout;
  expect(asked('in tcp 10.60.10.6:5555 -> 80')).toBe(
    `accepted: in tcp 10.60.10.6:5555 -> 10.60.10.5:80\nby ${conf}:2: allow from 10.60.10.6 tcp/80\n`,
  );
  expect(asked('in tcp 10.60.10.6:5555 to 81')).toMatch(/^dropped/);
  expect(asked('out tcp to 10.60.10.6:80')).toMatch(/^dropped/);
  expect(
    JSON.parse(lab.vs(['fw', 'test', 'web1', 'in', 'tcp', '10.60.10.6', 'to', '80', '--json']).stdout),
  ).toMatchObject({ verdict: 'accept', rule: { line: 2 } });
  lab.vs(['fw', 'test', 'web1', 'in', 'tcp', '10.60.10.6'], 2);
});

test('a fault changes nothing: not by edit, not by check, not by reload', () => {
  const before = [rules(), lab.on(host, `cat ${conf}`)];
  const { stderr } = edit('enable\nallow form 0/0\nallow from 0/0 tcp/99999\n', 2);
  expect(stderr).toMatch(new RegExp(`${conf}:2:7: [^]*${conf}:3:20: [^]*What you wrote is in `));
  writeFileSync(join(work, 'bad.conf'), 'enable\nallow\n');
  const { stdout } = lab.vs(['fw', 'check', 'web1', '--file', join(work, 'bad.conf')], 2);
  expect(stdout).toMatch(/^\/.*bad\.conf:2:6: /);
  expect([rules(), lab.on(host, `cat ${conf}`)]).toEqual(before);
  lab.on(host, `cp ${conf} ${conf}.good; echo nonsense >> ${conf}`);
  lab.vs(['fw', 'reload', 'web1'], 2);
  expect(lab.vs(['fw', 'show', 'web1']).stdout).toMatch(
    /has faults; the rules that were loaded before stay[^]*:4:1: /,
  );
  expect(rules()).toBe(before[0]);
  lab.on(host, `mv ${conf}.good ${conf}`);
});

test('nobody overwrites what another has changed meanwhile', () => {
  const { hash } = show();
  lab.on(host, `echo '# by hand' >> ${conf}`);
  const args = JSON.stringify({ name: 'web1', text: 'log\n', hash });
  expect(lab.vs(['call', host, 'firewall.save', args], 1).stderr).toMatch(/has changed meanwhile/);
  expect(show().changed).toBe(true);
  lab.vs(['fw', 'reload', 'web1']);
  expect(show().changed).toBe(false);
});

test('20 reloads lose no packet of what is allowed, and let none pass of what is not', async () => {
  const begin = (args: string[]) => {
    const child = spawn(lab.cli, args, { env: lab.environment, stdio: ['pipe', 'pipe', 'ignore'] });
    const { promise, resolve } = Promise.withResolvers<string>();
    let said = '';
    child.stdout.on('data', (data: Buffer) => (said += data.toString()));
    child.once('close', () => resolve(said));
    return { child, said: promise };
  };
  const pinging = 'ping -i 0.02 -q 10.60.10.5 & p=$!; cat > /dev/null; kill -INT $p; wait $p';
  const ping = begin(['lab', 'exec', '--name', lab.name, 'router', '--', 'sh', '-c', pinging]);
  const knocking =
    'n=0; tries=0; while ! [ -e /tmp/enough ]; do tries=$((tries+1)); timeout 0.2 nc 10.60.10.5 81 </dev/null && n=$((n+1)); done; echo "$n of $tries"';
  const knock = begin(['exec', '--timeout', '100', 'web2', '--', 'sh', '-c', knocking]);
  const before = rules();
  // another comment: another tag, so that the rules are others each time
  lab.on(
    host,
    `for n in $(seq 1 20); do echo "# round $n" >> ${conf}; ${lab.cli} fw reload web1 --local > /dev/null || exit 1; done; sed -i '/^# round/d' ${conf}`,
  );
  const after = rules();
  ping.child.stdin.end();
  lab.vs(['exec', 'web2', '--', 'touch', '/tmp/enough']);
  expect(after).not.toBe(before);
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(await ping.said) ?? [];
  expect(Number(sent)).toBeGreaterThan(100);
  expect(Number(sent) - Number(received)).toBeLessThanOrEqual(1); // the last one may be under way at its end
  expect(await knock.said).toMatch(/^0 of [1-9]\d*\n$/);
  expect(show().changed).toBe(true); // by what sed took away
  lab.vs(['fw', 'reload', 'web1']);
});

test('the agent is killed: the rules stay, and a change by hand is in force after it is back', async () => {
  const before = rules();
  await killAgent(() => expect(rules()).toBe(before));
  expect(rules()).toBe(before);
  expect([page(80), page(81)]).toEqual([true, false]);
  lab.on(host, `echo 'allow from 0/0 tcp/81' >> ${conf}`); // as if it had died between the file and the rules
  await killAgent();
  await eventually('the rule of the file', () => page(81));
  lab.on(host, `echo nonsense >> ${conf}`);
  const now = rules();
  await killAgent();
  await sleep(3000);
  expect(rules()).toBe(now);
  lab.on(host, `sed -i '/nonsense/d' ${conf}`);
});

test('names resolve, again on a timer, and keep their last addresses with an alert', async () => {
  lab.on(host, `echo '10.60.10.99 friend.example' >> /etc/hosts`);
  edit('enable\nallow from friend.example tcp/80\n');
  expect(show().names).toEqual([{ name: 'friend.example', addresses: ['10.60.10.99'], stale: false }]);
  expect(page(80)).toBe(false);
  lab.on(
    host,
    `sed 's/^10.60.10.99 /10.60.10.6 /' /etc/hosts > /tmp/$$; cat /tmp/$$ > /etc/hosts; rm /tmp/$$`,
  );
  await eventually('the new address', () => page(80));
  lab.on(host, `sed '/friend/d' /etc/hosts > /tmp/$$; cat /tmp/$$ > /etc/hosts; rm /tmp/$$`);
  const alert = () =>
    lab.vs(
      ['listen', `hosts/${host}/alerts/web1/firewall-names`, '--count', '1', '--for', '2', '--json'],
      null,
    ).stdout;
  await eventually('the alert', () => alert().includes('friend.example'));
  expect(page(80)).toBe(true);
  const began = Date.now();
  lab.vs(['restart', 'web1']); // DNS answers nobody here
  expect(Date.now() - began).toBeLessThan(60_000);
  await eventually('the page after a restart', () => page(80));
  edit('enable\nallow from 10.60.10.6 tcp/80\n');
  await eventually('the end of the alert', () => !alert().includes('friend.example'));
});

test('what is denied stands in the log of the kernel, and only that of this vserver is shown', () => {
  edit('enable\nlog\nallow from 10.60.10.6 tcp/80\n');
  expect(rules()).toMatch(/log prefix "vs\/web1 vs-deny "/);
  // whether the kernel logs for this namespace is a matter of the machine; here it is told as the kernel would
  lab.on(
    host,
    `echo '<4>vs/web1 vs-deny IN=eth0 OUT= SRC=192.0.2.77' > /dev/kmsg; echo '<4>vs/web11 vs-deny IN=eth0 OUT= SRC=192.0.2.78' > /dev/kmsg`,
  );
  const { stdout } = lab.vs(['fw', 'log', 'web1', '-n', '5']);
  expect(stdout).toContain('vs-deny IN=eth0 OUT= SRC=192.0.2.77');
  expect(stdout).not.toContain('192.0.2.78');
});

test("the guest's root cannot touch the rules", () => {
  const rootfs = '/var/lib/vservers/web1/rootfs';
  lab.on(
    host,
    `for f in /usr/sbin/nft $(ldd /usr/sbin/nft | grep -o '/[^ ]*' | grep -v ':$' | sort -u); do mkdir -p ${rootfs}$(dirname $f); cp -L $f ${rootfs}$f; done`,
  );
  const before = rules();
  for (const command of [
    'nft flush ruleset',
    'nft delete table inet vs',
    'nft add table inet mine',
    'unshare -r nft flush ruleset',
  ])
    expect(lab.vs(['exec', 'web1', '--', 'sh', '-c', command], null).code, command).not.toBe(0);
  expect(rules()).toBe(before);
});

test('figures of the firewall are published with those of the vserver', async () => {
  const figures = () =>
    lab.vs(['listen', `hosts/${host}/vservers/web1/metrics`, '--count', '1', '--for', '15', '--json'], null)
      .stdout;
  page(81);
  const counted =
    /"fw_accepted_packets_total":\d+.*"fw_denied_packets_total":[1-9].*"fw_rule_line3_packets_total":\d+/;
  let last = '';
  await eventually('figures', () => counted.test((last = figures())), 200);
  expect(last).toMatch(counted);
});

test('it works by the socket of the host, and moves with the vserver', async () => {
  const local = lab.on(host, `${lab.cli} fw show web1 --local`);
  expect(local).toContain('allow from 10.60.10.6 tcp/80');
  expect(page(80)).toBe(true);
  lab.vs(['move', 'web1', 'host2']);
  host = 'host2';
  expect(show()).toMatchObject({ enabled: true, loaded: true, changed: false });
  serve81();
  expect([page(80), page(81)]).toEqual([true, false]);
  lab.vs(['fw', 'down', 'web1']);
  expect(page(81)).toBe(true);
  lab.vs(['restart', 'web1']);
  expect(show()).toMatchObject({ enabled: false, loaded: false });
  lab.vs(['fw', 'up', 'web1']);
  lab.vs(['restart', 'web1']);
  expect(show()).toMatchObject({ enabled: true, loaded: true });
  expect([page(80), page(81)]).toEqual([true, false]);
});

test('counts go on over a reload and a restart; they and the last addresses of names move along', async () => {
  lab.on(host, `echo '10.60.10.6 friend.example' >> /etc/hosts`);
  edit('enable\nallow from friend.example tcp/80\n');
  expect(page(80)).toBe(true);
  const counted = () => show().rules.find(({ text }) => text.includes('friend'))?.packets ?? 0;
  const before = counted();
  expect(before).toBeGreaterThan(0);
  edit('enable\nallow from 10.60.10.7 tcp/82\nallow  from friend.example tcp/80 # a line further down\n');
  expect(show().rules.map(({ packets }) => packets)).toEqual([0, before]);
  lab.vs(['restart', 'web1']);
  expect(counted()).toBe(before);
  expect(page(80)).toBe(true);
  const after = counted();
  expect(after).toBeGreaterThan(before);
  lab.vs(['fw', 'reload', 'web1']); // what was counted is written then, else within a minute or two
  expect(counted()).toBe(after);
  // host1 never knew this name, and there is no name server here
  expect(lab.on('host1', 'grep -c friend /etc/hosts || true')).toBe('0\n');
  lab.vs(['move', 'web1', 'host1']);
  host = 'host1';
  expect(show().names).toEqual([{ name: 'friend.example', addresses: ['10.60.10.6'], stale: true }]);
  expect(counted()).toBe(after);
  await eventually('the page by the last address', () => page(80));
  const alert = ['listen', 'hosts/host1/alerts/web1/firewall-names', '--count', '1', '--for', '2', '--json'];
  await eventually('the alert of the new host', () =>
    lab.vs(alert, null).stdout.includes('their last addresses stay in force'),
  );
  lab.vs(['stop', 'web1']);
  lab.vs(['rename', 'web1', 'web9']);
  lab.vs(['start', 'web9']);
  expect((JSON.parse(lab.vs(['fw', 'show', 'web9', '--json']).stdout) as FirewallView).names).toMatchObject([
    { addresses: ['10.60.10.6'] },
  ]);
  lab.vs(['stop', 'web9']);
  lab.vs(['rename', 'web9', 'web1']);
  lab.vs(['start', 'web1']);
});

test('a vserver that does not run takes the change at its start', () => {
  lab.vs(['stop', 'web1']);
  edit('enable\nallow from 10.60.10.7 tcp/80\n');
  expect(show()).toMatchObject({ enabled: true, running: false, loaded: false });
  lab.vs(['start', 'web1']);
  expect(page(80)).toBe(false);
  expect(rules()).toContain('10.60.10.7');
});

test('the file that new vservers get: a fault is told before anything is made; its groups count', async () => {
  const put = (file: string, text: string) =>
    lab.on('host1', `mkdir -p /etc/vs-tools/groups; printf '${text}' > /etc/vs-tools/${file}`);
  put('firewall.conf', 'enable\\nallow form any\\n');
  const flags = ['create', 'web3', '10.60.10.7', 'busybox', '--host', 'host1'];
  expect(lab.vs(flags, 1).stderr).toContain('/etc/vs-tools/firewall.conf:2:7: found "form"');
  expect(lab.rows().some((row) => row.vserver === 'web3')).toBe(false);
  put('firewall.conf', 'enable\\ninclude web\\nallow from @office tcp/22\\n');
  put('groups/web.conf', 'allow from any tcp/80\\n');
  put('sets.conf', 'office: 192.0.2.0/24\\n');
  lab.vs([...flags, '--start']);
  const asked = (packet: string, ...more: string[]) =>
    lab.vs(['fw', 'test', 'web3', ...more, ...packet.split(' ')]).stdout.split(':')[0];
  for (const send of [[], ['--send']])
    expect([
      asked('in tcp 192.0.2.7 to 22', ...send),
      asked('in tcp 198.51.100.7 to 22', ...send),
      asked('in tcp 198.51.100.7 to 80', ...send),
    ]).toEqual(['accepted', 'dropped', 'accepted']);
  put('sets.conf', 'office: 198.51.100.0/24\\n');
  expect(lab.vs(['fw', 'show', 'web3']).stdout).toContain('have changed since the rules were loaded');
  lab.vs(['fw', 'reload', 'web3']);
  expect(lab.vs(['fw', 'show', 'web3']).stdout).not.toContain('have changed');
  // host2 has neither the group nor the set
  expect(lab.vs(['move', 'web3', 'host2'], 1).stderr).toMatch(
    /could not be in force on host2[^]*firewall\.conf:2:9: found "web"[^]*firewall\.conf:3:12: found "@office"/,
  );
  expect(lab.running('web3')).toEqual(['host1']);
});
