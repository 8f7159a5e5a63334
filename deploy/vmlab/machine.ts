import { createServer } from 'node:net';
import type { Accelerator } from './accelerator.ts';
import type { Machine } from './model.ts';
import { quote } from './quote.ts';
import { outsideMac } from './units.ts';

/** /dev/vda to vde of a VM. The seed has what makes one machine of the image; `spare` is empty, for proofs that need a disk. */
export interface Disks {
  root: string;
  seed: string;
  layer: string;
  vservers: string;
  spare: string;
}

/** The kernel's command line for emulation: patience for all, and a clock (with tsc=reliable those of VMs ran minutes apart). */
const kernelLine = (machineId: string): string =>
  `console=ttyS0 quiet net.ifnames=0 mitigations=off nokaslr no_timer_check tsc=unstable clocksource=hpet audit=0 panic=1 random.trust_cpu=on systemd.default_timeout_start_sec=900 systemd.default_device_timeout_sec=900 systemd.machine_id=${machineId}`;

/** The part of the command that a VM and one that goes on from its state have in common. */
const board = (accelerator: Accelerator): string[] => [
  '-M',
  'q35',
  ...(accelerator === 'kvm'
    ? ['-accel', 'kvm', '-cpu', 'host']
    : // 5-level page tables cost time, and a kernel died with them early
      ['-accel', 'tcg,thread=multi,tb-size=256', '-cpu', 'max,-la57']),
  '-smp',
  '1',
  '-nodefaults',
  '-display',
  'none',
  '-rtc',
  'base=utc,clock=host',
];

export interface Start {
  directory: string;
  boot: string;
  disks: Disks;
  /** The port of this machine's loopback that leads in; undefined: none. */
  ssh: number | undefined;
  number: number;
  machineId: string;
  accelerator: Accelerator;
  /** A state (zstd) of which it goes on, instead of a boot. */
  state?: string | undefined;
}

/**
 * The command of one VM: all its wires are sockets in the directory, or lead nowhere when `wired` is false. Every VM has the same
 * devices in the same places, since one may go on from the state of another.
 */
export function qemuCommand(machine: Machine, at: Start, wired = true): string[] {
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
    ...board(at.accelerator),
    '-m',
    String(machine.memoryMiB),
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
    ...drive('vservers', disks.vservers, 'raw'),
    ...drive('spare', disks.spare, 'raw'),
    ...machine.cards.flatMap((card) => [
      '-netdev',
      wired
        ? `stream,id=${card.device},server=off,addr.type=unix,addr.path=${directory}/${card.wire}-${card.port}.sock`
        : `hubport,id=${card.device},hubid=${card.device.slice(3)}`,
      '-device',
      `virtio-net-pci,netdev=${card.device},mac=${card.mac}`,
    ]),
    '-netdev',
    `user,id=outside,restrict=on${at.ssh === undefined ? '' : `,hostfwd=tcp:127.0.0.1:${at.ssh}-10.0.2.15:22`}`,
    '-device',
    `virtio-net-pci,netdev=outside,mac=${outsideMac(at.number)}`,
    ...(at.state ? ['-incoming', `exec:exec zstd -q -dc ${quote(at.state)}`] : []),
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
