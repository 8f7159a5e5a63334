#!/usr/bin/perl
# idmap-mount.pl SOURCE TARGET FIRST COUNT [wait]: bind-mounts SOURCE on TARGET, nodev, with ids 0..COUNT-1 shown as FIRST...
# What util-linux 2.39 does with X-mount.idmap; Debian 12 has 2.38, and perl-base is essential there.
# Syscall numbers of open_tree, move_mount and mount_setattr are the same on amd64 and arm64.
use strict; use warnings;
my ($source, $target, $first, $count, $wait) = @ARGV;
die "usage: idmap-mount.pl SOURCE TARGET FIRST COUNT [wait]\n" unless defined $count && $first =~ /^\d+$/ && $count =~ /^\d+$/;
my ($OPEN_TREE, $MOVE_MOUNT, $MOUNT_SETATTR) = (428, 429, 442);
my $UNSHARE = (`uname -m` =~ /x86_64/) ? 272 : 97;
pipe(my $ready_r, my $ready_w) or die "pipe: $!\n";
pipe(my $done_r, my $done_w) or die "pipe: $!\n";
my $child = fork // die "fork: $!\n";
if ($child == 0) {
  close $ready_r; close $done_w;
  syscall($UNSHARE, 0x10000000) == 0 or die "unshare(CLONE_NEWUSER): $!\n";
  syswrite $ready_w, "x";
  sysread $done_r, my $end, 1;    # lives until the parent has the namespace
  exit 0;
}
close $ready_w; close $done_r;
sysread($ready_r, my $mark, 1) == 1 or die "no user namespace for the id map\n";
for my $map ("uid_map", "gid_map") {
  open(my $file, '>', "/proc/$child/$map") or die "$map: $!\n";
  syswrite($file, "0 $first $count\n") or die "$map: $!\n";
  close $file;
}
open(my $ns, '<', "/proc/$child/ns/user") or die "user namespace: $!\n";
# "wait": all is ready; it mounts at a line on its standard input, and ends without one
exit 0 if defined $wait && !defined(my $go = <STDIN>);
my $tree = syscall($OPEN_TREE, -100, $source, 0x1 | 0x80000);
die "open_tree $source: $!\n" if $tree < 0;
# MOUNT_ATTR_IDMAP, and MOUNT_ATTR_NODEV: a device node in the tree would open the host's own device to the guest
my $attributes = pack("Q4", 0x100000 | 0x4, 0, 0, fileno($ns));
my $empty = "";
syscall($MOUNT_SETATTR, $tree, $empty, 0x1000, $attributes, length $attributes) == 0 or die "mount_setattr(idmap) of $source: $!\n";
syscall($MOVE_MOUNT, $tree, $empty, -100, $target, 0x4) == 0 or die "move_mount to $target: $!\n";
close $done_w;
waitpid $child, 0;
