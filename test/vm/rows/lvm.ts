import { at, inside, proofs, row, say, slow, until, vms } from '../kit.ts';

const web4 = '10.60.10.8';
const MiB = 1024 ** 2;
const last = (text: string) => text.trim().split('\n').at(-1) ?? '';
const vs = (script: string) => at('master', `vs ${script}`);
/** Like vs, but it must work. */
const must = (script: string) => vms().on('master', `vs ${script}`, slow);

/** The mount of VSERVER_DIR of a host is another one, with the settings that belong to it; what ran there before does not any more. */
async function storage(host: string, prepare: string, device: string, settings: string): Promise<void> {
  const wanted = /STORAGE=(\S+)/.exec(settings)?.[1] ?? '';
  await vms().on(
    host,
    `set -e
systemctl stop vs-agent
for name in $(lxc-ls -P /var/lib/vservers --running); do lxc-stop -k -P /var/lib/vservers -n $name; done
rm -rf /var/lib/vs-tools/owned /var/lib/vs-tools/adopted
for place in $(findmnt -rno TARGET | grep '^/run/vs/[a-z]\\|/.volumes/') /var/lib/vservers; do umount $place || true; done
sed -i '/ \\/var\\/lib\\/vservers /d' /etc/fstab
${prepare}
${device ? `mount -o ${device.endsWith('vdd') ? 'prjquota' : 'defaults'} ${device} /var/lib/vservers` : 'true'}
sed -i '/^STORAGE=\\|^LVM_/d' /etc/vs-tools/vs-tools.conf
printf '${settings.replaceAll('\n', '\\n')}\\n' >> /etc/vs-tools/vs-tools.conf
systemctl start vs-agent`,
    slow,
  );
  await until(vms(), 'master', `vs host list | grep '^${host} ' | grep -q ' online .* ${wanted} '`, 900_000);
  say(`${host} has ${wanted}`);
}

/** web4 is backed up, hot and cold, and comes back as another one with the same files. */
async function backupRows(host: string, how: string): Promise<void> {
  const count = async () => Number((await vs('backup list web4 --json | grep -c \'"id"\'')).stdout);
  for (const mode of ['hot', 'cold'])
    await row(`${how}: a ${mode} backup is taken from a snapshot, and none is left`, async () => {
      const { code, stdout, stderr } = await vs(`backup run web4 --mode ${mode}`);
      const left = (
        await at(host, 'find /var/lib/vservers/.snapshots -type l; ls /var/lib/vservers/.volumes')
      ).stdout;
      const volumes = how === 'lvm' ? left.trim() === '' : !left.includes('.snapshots/');
      return {
        held: code === 0 && stdout.includes('from a snapshot') && volumes,
        figure: last(stdout + stderr).slice(0, 200),
      };
    });
  await row(`${how}: restored as another vserver, the tree is the same`, async () => {
    const made = await vs(
      `backup restore web4 --as web5 --address 10.60.10.9 --host ${host} --no-start --yes`,
    );
    const sums = (name: string) =>
      `(cd /var/lib/vservers/${name}/rootfs && find . -type f -not -path './etc/*' -not -path './run/*' -not -path './tmp/*' | sort | xargs -d '\\n' sha256sum; getfattr -h -d -m - srv/marked) | sha256sum`;
    const { stdout } = await at(host, `${sums('web4')}; ${sums('web5')}`);
    const [one, other] = stdout.trim().split('\n');
    await vs('remove web5 --purge --yes');
    return {
      held: made.code === 0 && one !== undefined && one.length > 40 && one === other,
      figure: `${one?.slice(0, 12)} ${other?.slice(0, 12)}; ${made.code === 0 ? await count() : last(made.stderr)} backups`,
    };
  });
}

const moved = (to: string, how: string) =>
  row(`moved with its files: ${how}`, async () => {
    const { code, stdout, stderr } = await vs(`move web4 ${to}`);
    const found = await inside(to, 'web4', 'cat /srv/marked');
    const gone = await at('master', `ping -c 2 -W 10 ${web4}`);
    return {
      held: code === 0 && found.stdout.trim() === 'web4 was here' && gone.code === 0,
      figure: `${code} ${found.code} ${gone.code}: ${last(stdout + stderr).slice(0, 200)}`,
    };
  });

/** LVM, thick and thin, and moves between hosts of every storage. It takes the hosts' storage away, so it comes last. */
export function lvmRows(): void {
  proofs('lvm: one volume with all vservers, and its thick snapshots', async () => {
    await Promise.all([
      storage(
        'host1',
        'vgcreate -q -y vg /dev/vde; lvcreate -q -y -L 1G -n vservers vg; mkfs.ext4 -q /dev/vg/vservers',
        '/dev/vg/vservers',
        'STORAGE=lvm\nLVM_SNAPSHOT_PERCENT=1',
      ),
      storage('host2', 'mkfs.btrfs -q -f /dev/vde', '/dev/vde', 'STORAGE=btrfs'),
    ]);
    await must(`create web4 ${web4} busybox --host host1 --start --yes`);
    await inside(
      'host1',
      'web4',
      `sh -c 'mkdir -p /srv; echo web4 was here > /srv/marked; dd if=/dev/urandom of=/srv/data bs=1M count=4'`,
    );
    await at('host1', 'setfattr -n user.mark -v kept /var/lib/vservers/web4/rootfs/srv/marked');
    await backupRows('host1', 'lvm');
    const fill = (count: number) =>
      `dd if=/dev/zero of=/var/lib/vservers/.fill bs=1M count=${count} oflag=direct 2>/dev/null`;
    const size = `lvs --noheadings --units m --nosuffix -o lv_size,lv_attr -S 'lv_name=~"^vs-"' vg`;
    await row(
      'lvm: a snapshot that fills is grown while its group has space; others start meanwhile',
      async () => {
        const args = '{"name":"web4","saga":"proof-1","label":"held"}';
        await must(`call host1 snapshot.create '${args}'`);
        const before = (await at('host1', size)).stdout.trim();
        await at('host1', fill(9));
        await until(vms(), 'host1', `[ "$(${size} | sed 's/\\..*//')" -gt 12 ]`, 120_000);
        const after = (await at('host1', size)).stdout.trim();
        const started = await vs('restart web4');
        await must(`call host1 snapshot.remove '{"name":"web4","saga":"proof-1"}'`);
        return {
          held: before.startsWith('12.') && started.code === 0 && /wi-a.s/.test(after),
          figure: `${before} MiB, then ${after} MiB`,
        };
      },
    );
    await row(
      'lvm: a backup whose snapshot overflows fails with that reason, and is not listed',
      async () => {
        const list = async () => (await vs('backup list web4')).stdout;
        const known = await list();
        // its copy is slow, and has begun when the disk fills, past the page cache: what overflows sooner is just taken again
        await inside('host1', 'web4', 'dd if=/dev/urandom of=/srv/more bs=1M count=100');
        await at('master', `printf '*:none\nweb4:hot:bandwidth=1m\n' > /etc/vs-tools/backup.conf`);
        await at('host1', 'lvcreate -q -y -l 100%FREE -n filler vg; lvreduce -q -y -f -L -16M vg/filler');
        const filling = at(
          'host1',
          `until findmnt -rno TARGET | grep -q '/.volumes/vs-'; do sleep 0.5; done; sleep 10; ${fill(60)}; ${size}`,
        );
        const failed = await vs('backup run');
        await at('master', 'rm /etc/vs-tools/backup.conf');
        const full = (await filling).stdout.trim();
        await at('host1', 'lvremove -q -y vg/filler; rm /var/lib/vservers/.fill');
        const left = (await at('host1', size)).stdout.trim();
        const said = failed.stdout + failed.stderr;
        const listed = await list();
        return {
          held: failed.code === 1 && /overflowed/.test(said) && listed === known && left === '',
          figure: `${full}: exit ${failed.code}, ${listed === known ? 'not listed' : 'LISTED'}, ${left === '' ? 'no snapshot left' : left}: ${said.replaceAll(/\s+/g, ' ').slice(-400)}`,
        };
      },
    );
  });

  proofs('lvm-thin: a volume for each vserver, and moves between all storages', async () => {
    await moved('host2', 'lvm to btrfs');
    await storage('host1', 'vgremove -q -y -f vg', '/dev/vdd', 'STORAGE=dir');
    await moved('host1', 'btrfs to dir');
    await storage(
      'host2',
      'wipefs -qa /dev/vde; vgcreate -q -y vg /dev/vde; lvcreate -q -y --type thin-pool -L 3G -n pool vg',
      '',
      'STORAGE=lvm-thin\nLVM_POOL=vg/pool',
    );
    await moved('host2', 'dir to lvm-thin');
    await backupRows('host2', 'lvm-thin');
    await row(
      'lvm-thin: the disk limit is the size of the volume; smaller only while it is stopped',
      async () => {
        const bytes = async () =>
          Number(
            (await at('host2', `df --output=size -B1 /var/lib/vservers/web4/ | tail -1`)).stdout.trim(),
          ) / MiB;
        const refused = await vs('limit web4 --disk 320M');
        await must('stop web4');
        const smaller = await vs('limit web4 --disk 320M');
        const small = await bytes();
        await must('start web4');
        const { stdout } = await inside(
          'host2',
          'web4',
          `sh -c 'dd if=/dev/zero of=/fill bs=1M count=400 2>/dev/null; stat -c %s /fill; rm /fill'`,
        );
        const written = Number(stdout.trim()) / MiB;
        const grown = await vs('limit web4 --disk 600M');
        const large = await bytes();
        return {
          held:
            refused.code !== 0 &&
            /while it is in use/.test(refused.stderr + refused.stdout) &&
            smaller.code === 0 &&
            small < 320 &&
            written > 0 &&
            written < 320 &&
            grown.code === 0 &&
            large > 500 &&
            large < 600,
          figure: `${small.toFixed(0)} MiB, ${written.toFixed(0)} of 400 MiB written, then ${large.toFixed(0)} MiB; ${last(refused.stderr).slice(0, 120)}${smaller.code === 0 ? '' : last(smaller.stderr)}`,
        };
      },
    );
    await row('lvm-thin: kept snapshots, and back to one', async () => {
      const taken = await vs('snapshot create web4 before');
      await inside('host2', 'web4', 'rm /srv/marked');
      const back = await vs('snapshot rollback web4 before --yes');
      const found = await inside('host2', 'web4', 'cat /srv/marked');
      return {
        held: taken.code === 0 && back.code === 0 && found.stdout.trim() === 'web4 was here',
        figure: `${taken.code === 0 ? '' : last(taken.stdout + taken.stderr)} ${last(back.stdout + back.stderr).slice(0, 160)}`,
      };
    });
    await row(
      'lvm-thin: a host that lost its power mounts its volumes before it starts what is enabled',
      async () => {
        await must('boot web4 --enable');
        await vms().reboot('host2');
        await until(vms(), 'master', `ping -c 1 -W 2 ${web4}`, 900_000);
        const mounts = (await at('host2', 'findmnt -rno TARGET | grep -c /.volumes/vs-')).stdout.trim();
        return { held: true, figure: `${mounts} volumes are mounted` };
      },
    );
  });
}
