#!/usr/bin/perl
# inside.pl ROOTFS PLACE PATH ro|rw TOOL ARGS...: runs a tool of this host where it sees a directory of a guest's tree, as /tree, and
# /usr, which it cannot change. PATH is looked up as the guest would (openat2(2), RESOLVE_IN_ROOT): no symbolic link of it leads out of
# ROOTFS. /tree is PATH when that is a directory, else the nearest directory above it; the first argument {} becomes PATH as the tool sees it.
# PLACE is any directory: what is mounted there is seen by the tool alone. Numbers of system calls: unshare(2), mount(2).
use strict;
use warnings;
use Fcntl;

my ($rootfs, $place, $path, $how, @argv) = @ARGV;
@argv && $how =~ /^r[ow]$/ && $path =~ m{^/} or die "usage: inside.pl ROOTFS PLACE PATH ro|rw TOOL ARGS\n";
my $amd64 = (`uname -m` =~ /x86_64/);
my ($UNSHARE, $MOUNT, $OPENAT2) = $amd64 ? (272, 165, 437) : (97, 40, 437);
my ($RDONLY, $NOSUID, $NODEV, $NOEXEC, $REMOUNT, $BIND, $REC, $SLAVE) = (1, 2, 4, 8, 32, 4096, 16384, 1 << 19);
my ($O_PATH, $IN_ROOT, $NO_MAGIC) = (0x200000, 0x10, 0x02);

sub opened {
    my ($flags, $name) = @_;
    my $wanted = pack 'Q3', $O_PATH | O_CLOEXEC() | $flags, 0, $IN_ROOT | $NO_MAGIC;
    my $number = syscall $OPENAT2, fileno($main::root), "$name", $wanted, length $wanted;
    return if $number < 0;
    open(my $handle, '<&=', $number) or die "$name: $!\n";
    return $handle;
}
sub O_CLOEXEC { return 0x80000 }
sub mounted {
    my ($from, $to, $type, $flags, $data) = @_;
    syscall($MOUNT, "$from", "$to", "$type", $flags, "$data") == 0 or die "$to cannot be mounted: $!\n";
    return;
}
sub shown {
    my ($from, $to, $flags) = @_;
    mounted($from, $to, '', $BIND | $REC, '');
    mounted('none', $to, '', $BIND | $REMOUNT | $flags, '');
    return;
}

our $root;
syscall($UNSHARE, 0x20000) == 0 or die "unshare(CLONE_NEWNS): $!\n";
# what the host unmounts meanwhile goes here, too (services/transfer/confine.pl)
mounted('none', '/', '', $REC | $SLAVE, '');
sysopen($root, $rootfs, $O_PATH | O_DIRECTORY) or die "$rootfs: $!\n";
my $rest = '';
if ($how eq 'ro') {    # what it is called where it really lies
    my $file = opened(0, $path) or exit 120;
    my ($top, $real) = map { readlink "/proc/self/fd/" . fileno $_ } $root, $file;
    $path = $real eq $top ? '/' : substr $real, length $top;
}
my $tree;
until ($tree = opened(O_DIRECTORY, $path)) {
    $path eq '/' and die "$rootfs: $!\n";
    $path =~ s{/*([^/]+)/*$}{};
    $rest = "/$1$rest";
    $path = '/' if $path eq '';
}

my $source = '/proc/self/fd/' . fileno $tree;
mounted('none', $place, 'tmpfs', $NOSUID | $NODEV, 'mode=700,size=1m');
for my $name ('usr', 'tree') { mkdir "$place/$name" or die "$name: $!\n" }
shown('/usr', "$place/usr", $RDONLY | $NOSUID | $NODEV);
for my $name ('bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32') {
    if (defined(my $to = readlink "/$name")) { symlink $to, "$place/$name" or die "$name: $!\n" }
    elsif (-d "/$name") {
        mkdir "$place/$name" or die "$name: $!\n";
        shown("/$name", "$place/$name", $RDONLY | $NOSUID | $NODEV);
    }
}
shown($source, "$place/tree", $NOSUID | $NODEV | $NOEXEC | ($how eq 'ro' ? $RDONLY : 0));
mounted('none', $place, '', $REMOUNT | $RDONLY | $NOSUID | $NODEV, 'mode=700,size=1m');
chroot $place or die "chroot: $!\n";
chdir '/' or die "chdir: $!\n";
for (@argv) { if ($_ eq '{}') { $_ = "/tree$rest"; last } }
%ENV = (PATH => '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL => 'C');
exec { $argv[0] } @argv or die "$argv[0]: $!\n";
