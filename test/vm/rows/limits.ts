import { at, hostOf, init, inside, note, proofs, row, slow, vms } from '../kit.ts';

const MiB = 1024 ** 2;
const cgroup = `d=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/${init('web1')}/cgroup | sed 's,\\(lxc.payload.[^/]*\\).*,\\1,')`;
const usage = `awk '$1 == "usage_usec" || $1 == "nr_throttled" { print $2 }' $d/cpu.stat`;

/** vs limit on cgroup v2 and by project quota. Each row brings its own load, and takes it away. */
export function limitRows(): void {
  proofs('limits bite on cgroup v2 and by project quota', async () => {
    const host = await hostOf('web1');
    const inWeb1 = (command: string) => inside(host, 'web1', command);
    await vms().on('master', 'vs limit web1 --memory 48M --procs 40 --cpu 0.2 --disk 100M', slow);
    await row('limits are in cgroup v2', async () => {
      const { stdout } = await at(host, `${cgroup}; cat $d/memory.max $d/pids.max $d/cpu.max`);
      const held = stdout.trim().split(/\s+/).join(' ');
      return { held: held === `${48 * MiB} 40 20000 100000`, figure: held };
    });
    await row('cpu: no more than 0.2 cores', async () => {
      const loop = `lxc-attach -P /var/lib/vservers -n web1 -- timeout 30 sh -c 'while :; do :; done'`;
      const { stdout } = await at(
        host,
        `${cgroup}; ${usage}; cat /proc/uptime; ${loop}; ${usage}; cat /proc/uptime`,
      );
      // usage (us), periods in which it waited, uptime (s): before and after
      const [used = 0, waited = 0, from = 0, usedThen = 0, waitedThen = 0, to = 0] = stdout
        .trim()
        .split('\n')
        .map((line) => Number(line.split(' ')[0]));
      const share = (usedThen - used) / 1e6 / (to - from);
      return {
        held: share > 0.02 && share < 0.25 && waitedThen > waited,
        figure: `${share.toFixed(2)} cores over ${(to - from).toFixed(0)} s, ${waitedThen - waited} periods in which it waited`,
      };
    });
    await row('disk: ext4 project quota stops the root of the guest', async () => {
      const { stdout } = await inWeb1(
        `sh -c 'dd if=/dev/zero of=/fill bs=1M count=200 2>&1; stat -c %s /fill; rm /fill'`,
      );
      const bytes = Number(/^(\d+)$/m.exec(stdout)?.[1] ?? -1);
      return {
        held: bytes > 0 && bytes <= 100 * MiB,
        figure: `${(bytes / MiB).toFixed(1)} MiB of 200 written at a limit of 100 MiB`,
      };
    });
    await row('memory: who takes more is killed inside', async () => {
      await inWeb1('tail /dev/zero');
      const { stdout } = await at(host, `${cgroup}; awk '$1 == "oom_kill" { print $2 }' $d/memory.events`);
      return { held: Number(stdout) > 0, figure: `oom_kill ${stdout.trim()}` };
    });
    await row('procs: forks beyond it are refused', async () => {
      await inWeb1(
        `sh -c 'i=0; while [ $i -lt 80 ]; do sleep 600 >/dev/null 2>&1 & i=$((i+1)); done' 2>/dev/null`,
      );
      const { stdout } = await at(host, `${cgroup}; awk '$1 == "max" { print $2 }' $d/pids.events`);
      const left = await at(
        host,
        `${cgroup}; init=${init('web1')}; for i in 1 2 3 4 5 6 7 8 9 10; do for p in $(find $d -name cgroup.procs -exec cat {} +); do [ $p = $init ] || kill -9 $p; done; sleep 1; n=$(cat $d/pids.current); [ $n -gt 10 ] || break; done; echo $n`,
      );
      return {
        held: Number(stdout) > 0,
        figure: `${stdout.trim()} refused; ${left.stdout.trim()} processes when they were ended`,
      };
    });
    note(
      'what vs limit says',
      undefined,
      (await at('master', 'vs limit web1')).stdout
        .split('\n')
        .filter((line) => /^(memory|disk|procs)/.test(line))
        .map((line) => line.trim().replace(/ +/g, ' '))
        .join('; '),
    );
  });
}
