import { createServer } from 'node:net';
import type { Machine } from './model.ts';
import { outsideMac } from './units.ts';

export interface Disks {
  root: string;
  seed: string;
  layer: string;
  vservers?: string | undefined;
}

/** The kernel's command line for emulation: patience for all, and a clock (with tsc=reliable those of VMs ran minutes apart). */
const kernelLine = (machineId: string): string =>
  `console=ttyS0 quiet net.ifnames=0 mitigations=off nokaslr no_timer_check tsc=unstable clocksource=hpet audit=0 panic=1 random.trust_cpu=on systemd.default_timeout_start_sec=900 systemd.default_device_timeout_sec=900 systemd.machine_id=${machineId}`;

/** The command of one VM: all its wires are sockets in the directory, and port `ssh` of this machine's loopback leads in. */
export function qemuCommand(
  machine: Machine,
  at: { directory: string; boot: string; disks: Disks; ssh: number; number: number; machineId: string },
): string[] {
  const drive = (id: string, file: string, format: string, more = '') => [
    '-drive',
    `id=${id},file=${file},format=${format},if=none,cache=unsafe,discard=unmap${more}`,
    '-device',
    `virtio-blk-pci,drive=${id}`,
  ];
  const { disks, directory } = at;
  return [
    'qemu-system-x86_64',
    '-name',
    `vslab-${machine.name}`,
    '-M',
    'q35',
    '-accel',
    'tcg,thread=multi,tb-size=256',
    '-cpu',
    'max,-la57', // 5-level page tables cost time, and a kernel died with them early

    '-smp',
    '1',
    '-m',
    String(machine.memoryMiB),
    '-nodefaults',
    '-display',
    'none',
    '-rtc',
    'base=utc,clock=host',
    '-kernel',
    `${at.boot}/vmlinuz`,
    '-initrd',
    `${at.boot}/initrd`,
    '-append',
    kernelLine(at.machineId),
    '-serial',
    `file:${directory}/${machine.name}.console`,
    '-qmp',
    `unix:${directory}/${machine.name}.qmp,server=on,wait=off`,
    '-device',
    'virtio-rng-pci',
    ...drive('root', disks.root, 'qcow2'),
    ...drive('seed', disks.seed, 'raw', ',readonly=on'),
    ...drive('layer', disks.layer, 'raw', ',readonly=on'),
    ...(disks.vservers ? drive('vservers', disks.vservers, 'raw') : []),
    ...machine.cards.flatMap((card) => [
      '-netdev',
      `stream,id=${card.device},server=off,addr.type=unix,addr.path=${directory}/${card.wire}-${card.port}.sock`,
      '-device',
      `virtio-net-pci,netdev=${card.device},mac=${card.mac}`,
    ]),
    '-netdev',
    `user,id=outside,restrict=on,hostfwd=tcp:127.0.0.1:${at.ssh}-10.0.2.15:22`,
    '-device',
    `virtio-net-pci,netdev=outside,mac=${outsideMac(at.number)}`,
  ];
}

/** A port of the loopback that nobody has. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
