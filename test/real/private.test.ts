import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { realLab } from './lab-kit.ts';

const lab = realLab('private');
const data = (host: string) => `/var/lib/vslab-${lab.name}/${host}`;
const slaves = (text: string) => writeFileSync(`${data('master')}/etc/slaves.conf`, text);
/** All of a tree but what the runtime makes anew: kinds, owners, times and contents. */
const digest = (host: string) =>
  lab.on(
    host,
    `cd /var/lib/vservers/web1; find . -path ./config -prune -o -type f -printf '%P %m %U:%G %s %T@\\n' -o -type l -printf '%P %l\\n' -o -not -type d -printf '%P %y %m\\n' | LC_ALL=C sort; find rootfs -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum`,
  );
const title = (flags: string[], to: string) => lab.vs(['move', 'web1', to, ...flags]).stdout.split('\n')[0];

beforeAll(() => {
  lab.up('--storage', 'btrfs');
  lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1']);
});
afterAll(() => {
  for (const line of lab
    .on('host2', 'pgrep -f "[s]shd -f /etc/vs-tools" || true')
    .split('\n')
    .filter(Boolean))
    lab.on('host2', `kill ${Number(line)} || true`);
  lab.down();
});

test('in private unless the admin of the pool wants it otherwise; each way brings the same tree', () => {
  const before = digest('host1');
  expect(title([], 'host2')).toMatch(/, btrfs-send over TLS$/);
  expect(title(['--transport', 'rsyncd-tls'], 'host1')).toMatch(/, rsyncd over TLS$/);
  expect(digest('host1')).toBe(before);
  expect(lab.vs(['move', 'web1', 'host2', '--transport', 'rsyncd'], 1).stderr).toMatch(
    /rsyncd copies in the clear, and for host1 and host2 slaves.conf of the master wants rsyncd-tls/,
  );
  slaves('host1\nhost2:transport=rsyncd\n');
  expect(title([], 'host2')).toMatch(/, btrfs-send, not encrypted$/);
  expect(title(['--transport', 'rsyncd'], 'host1')).toMatch(/, rsyncd, not encrypted$/);
  expect(digest('host1')).toBe(before);
  slaves('host1:transport=rsyncd-tls\nhost2:transport=rsyncd\n');
  expect(lab.vs(['move', 'web1', 'host2', '--dry-run']).stdout).toMatch(/over TLS/); // the more private wish counts
});

test('through ssh: with a key that may do nothing but that, and not without a known host key', () => {
  slaves('host1:transport=ssh\nhost2\n');
  const before = digest('host1');
  const keys = `rm -f /etc/vs-tools/ssh.key*; ssh-keygen -q -t ed25519 -N '' -f /etc/vs-tools/ssh.key </dev/null; cat /etc/vs-tools/ssh.key.pub`;
  const [client, server] = [lab.on('host1', keys).trim(), lab.on('host2', keys).trim()];
  writeFileSync(
    `${data('host2')}/etc/authorized_keys`,
    `restrict,port-forwarding,permitopen="127.0.0.1:*" ${client}\n`,
    { mode: 0o600 },
  );
  writeFileSync(
    `${data('host2')}/etc/sshd_config`,
    'ListenAddress 10.98.0.12\nHostKey /etc/vs-tools/ssh.key\nAuthorizedKeysFile /etc/vs-tools/authorized_keys\nPidFile none\nUsePAM no\nPasswordAuthentication no\nStrictModes no\n',
  );
  lab.on(
    'host2',
    'mkdir -p /run/sshd; setsid /usr/sbin/sshd -f /etc/vs-tools/sshd_config -E /var/log/sshd.log',
  );
  lab.on(
    'host1',
    `mkdir -p /etc/ssh/ssh_config.d; printf 'IdentityFile /etc/vs-tools/ssh.key\\nUserKnownHostsFile none\\n' > /etc/ssh/ssh_config.d/vs.conf`,
  );
  expect(lab.vs(['move', 'web1', 'host2'], 1).stderr).toMatch(
    /Host key verification failed.*docs\/copying.md says what both hosts need/s,
  );
  lab.on(
    'host1',
    `printf '10.98.0.12 %s\\n' '${server.split(' ').slice(0, 2).join(' ')}' > /etc/ssh/ssh_known_hosts`,
  );
  expect(title([], 'host2')).toMatch(/, btrfs-send over ssh$/);
  expect(digest('host2')).toBe(before);
  slaves('host1\nhost2\n');
  lab.vs(['move', 'web1', 'host1']);
  expect(title(['--transport', 'ssh'], 'host2')).toMatch(/, rsync over ssh$/);
  expect(digest('host2')).toBe(before);
  expect(lab.leftovers()).toEqual([]);
});

test('a host without a certificate: refused before anything is touched, with what to do', () => {
  const journals = () => lab.on('master', 'ls /var/lib/vs-tools/sagas');
  const before = journals();
  const pem = `${data('host1')}/state/tls/host.pem`;
  expect(existsSync(pem)).toBe(true);
  rmSync(pem);
  expect(lab.vs(['move', 'web1', 'host1'], 1).stderr).toMatch(
    /host1 has no certificate .*host\.pem is missing.*"vs join" on host1 again, or .*host1:transport=rsyncd in slaves.conf/s,
  );
  expect(journals()).toBe(before);
  slaves('host1:transport=rsyncd\nhost2\n');
  expect(title([], 'host1')).toMatch(/not encrypted$/);
});

test('no secret of a copy stands in a log', () => {
  for (const host of ['host1', 'host2', 'master'])
    for (const file of lab
      .on(host, 'ls /var/log/*.log /var/lib/vs-tools/sagas/* 2>/dev/null || true')
      .split('\n'))
      if (file.startsWith('/')) expect(lab.on(host, `cat ${file}`)).not.toMatch(/"secret":"[^"]{20}/);
  expect(readFileSync(`${data('host1')}/state/tls/host.key`, 'utf8')).toContain('PRIVATE KEY');
});
