#!/usr/bin/perl
# remount-tmp.pl PID BYTES: gives the tmpfs on /tmp of a running vserver another size (0: none). PID is its init.
# In the mount namespace of the guest nothing of the guest is executed: what follows setns(2) is one more system call.
use strict; use warnings;
my ($pid, $bytes) = @ARGV;
die "usage: remount-tmp.pl PID BYTES\n" unless defined $bytes && $pid =~ /^\d+$/ && $bytes =~ /^\d+$/;
my $amd64 = `uname -m` =~ /x86_64/;
my ($SETNS, $MOUNT) = $amd64 ? (308, 165) : (268, 40);
open(my $ns, '<', "/proc/$pid/ns/mnt") or die "the vserver has just stopped: $!\n";
syscall($SETNS, fileno($ns), 0x20000) == 0 or die "setns: $!\n";
my ($source, $target, $type, $options) = ("tmpfs", "/tmp", "tmpfs", "size=$bytes");
# MS_REMOUNT, MS_NOSUID, MS_NODEV
syscall($MOUNT, $source, $target, $type, 0x20 | 0x2 | 0x4, $options) == 0 or die "$!\n";
