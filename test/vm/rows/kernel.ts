import { proofs, row, vms } from '../kit.ts';

/** What this kernel and this user space are. */
export function kernelRows(): void {
  proofs('what this kernel is', async () => {
    const facts = (
      await vms().on(
        'host1',
        'cat /proc/1/comm; uname -r; stat -f -c %T /sys/fs/cgroup; modprobe 8021q && test -d /proc/net/vlan && echo 8021q; . /etc/os-release; echo $VERSION_ID',
      )
    ).stdout.split('\n');
    const fact = (name: string, held: boolean, figure: string) =>
      row(name, () => Promise.resolve({ held, figure }));
    await fact('PID 1 is systemd', facts[0] === 'systemd', facts[0] ?? '');
    await fact('cgroup v2 alone', facts[2] === 'cgroup2fs', facts[2] ?? '');
    await fact('802.1q in the kernel', facts[3] === '8021q', `Debian ${facts[4]}, Linux ${facts[1]}`);
  });
}
