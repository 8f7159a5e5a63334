import type { Keys } from './units.ts';

/**
 * A VM that has booted and is no machine yet: it waits until its disk of files is another one, takes those files, and goes on as
 * that machine. Its state is kept with the image, so that a run under emulation begins where the boot has ended.
 */
export const blankMark = 'vmlab-blank';

/** Where a machine's own part of the adoption lies: the addresses of its cards. */
export const cardsScript = 'etc/vmlab/cards';
/** Random bytes of this run, in hexadecimal: VMs that go on from one state would draw the same keys. */
export const entropyFile = 'etc/vmlab/entropy';

const adopt = `#!/bin/sh
set -eu
sum() { dd if=/dev/vdb bs=64k count=1 iflag=direct 2>/dev/null | cksum; }
own=$(sum)
udevadm settle
systemctl is-system-running --wait > /dev/null || true
echo ${blankMark} > /dev/ttyS0
while [ "$(sum)" = "$own" ]; do sleep 0.2; done
for disk in /dev/vdb /dev/vdc /dev/vdd; do blockdev --flushbufs $disk; done
rm /etc/systemd/system/multi-user.target.wants/vmlab-adopt.service
date -s "@$(cat /sys/class/rtc/rtc0/since_epoch)" > /dev/null
tar -xf /dev/vdb -C /
perl /etc/vmlab/reseed /${entropyFile}
hostname "$(cat /etc/hostname)"
sh /${cardsScript}
systemctl daemon-reload
mount -a
systemctl restart systemd-modules-load systemd-networkd ssh
systemctl --no-block start multi-user.target
`;

/** ioctl(2) of random(4): RNDADDENTROPY with what the file has, then RNDRESEEDCRNG. */
const reseed = `use strict; use warnings;
open my $file, '<', $ARGV[0] or die "$ARGV[0]: $!";
my $bytes = pack 'H*', join '', map { /([0-9a-f]+)/ } <$file>;
open my $random, '+<', '/dev/random' or die "/dev/random: $!";
my $argument = pack 'i i a*', 8 * length $bytes, length $bytes, $bytes;
ioctl $random, 0x40085203, $argument or die "RNDADDENTROPY: $!";
ioctl $random, 0x5207, 0 or die "RNDRESEEDCRNG: $!";
unlink $ARGV[0];
`;

const adoptUnit = `[Unit]
Description=becomes a machine of the lab
After=ssh.service systemd-networkd.service dbus.service
[Service]
Type=exec
ExecStart=/bin/sh /etc/vmlab/adopt
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
[Install]
WantedBy=multi-user.target
`;

/** The files of the blank VM, by path; its keys are for itself alone. */
export const blankFiles = (keys: Keys): Record<string, string> => ({
  'etc/hostname': 'blank\n',
  'etc/hosts': '127.0.0.1 localhost\n::1 localhost\n',
  'etc/ssh/ssh_host_ed25519_key': keys.host,
  'etc/ssh/ssh_host_ed25519_key.pub': keys.hostPublic,
  'etc/vmlab/adopt': adopt,
  'etc/vmlab/reseed': reseed,
  'etc/systemd/system/vmlab-adopt.service': adoptUnit,
});
