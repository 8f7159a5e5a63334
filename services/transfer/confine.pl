#!/usr/bin/perl
# confine.pl DIR TREE ro|rw TOOL ARGS...: runs a tool of /usr where it sees nothing but TREE, as /tree, and /usr, which it cannot change:
# no path and no symlink of a stream or of a guest leads it elsewhere, and no device node that it makes can be opened. DIR is an empty
# directory; what is mounted there is seen by the tool alone and goes with it. The tool's own name is DIR/TOOL, for orphans.ts.
# Numbers of system calls and flags: unshare(2), mount(2).
use strict;
use warnings;

my ($directory, $tree, $how, $tool, @args) = @ARGV;
defined $tool && $how =~ /^r[ow]$/ or die "usage: confine.pl DIR TREE ro|rw TOOL ARGS\n";
my $here = $0 =~ m{^(/.*)/}s ? $1 : die "confine.pl needs its whole path\n";
my $amd64 = (`uname -m` =~ /x86_64/);
my ($UNSHARE, $MOUNT) = $amd64 ? (272, 165) : (97, 40);
my ($RDONLY, $NOSUID, $NODEV, $NOEXEC, $REMOUNT, $BIND, $REC, $SLAVE) = (1, 2, 4, 8, 32, 4096, 16384, 1 << 19);

sub mounted {
    my ($from, $to, $type, $flags, $data) = @_;
    syscall($MOUNT, "$from", "$to", "$type", $flags, "$data") == 0 or die "$to cannot be mounted: $!\n";
}
sub shown {
    my ($from, $to, $flags) = @_;
    mounted($from, $to, '', $BIND | $REC, '');
    mounted('none', $to, '', $BIND | $REMOUNT | $flags, '');
}

syscall($UNSHARE, 0x20000) == 0 or die "unshare(CLONE_NEWNS): $!\n";
# what the host unmounts meanwhile goes here, too: else a volume of somebody else would be in use as long as this copy lasts
mounted('none', '/', '', $REC | $SLAVE, '');
mounted('none', $directory, 'tmpfs', $NOSUID | $NODEV, 'mode=700,size=1m');
my $made = '';
for (grep { length } split m{/}, $here) { $made .= "/$_"; mkdir "$directory$made" or die "$directory$made: $!\n" }
for my $name ('usr', 'tree') { -d "$directory/$name" or mkdir "$directory/$name" or die "$name: $!\n" }
shown('/usr', "$directory/usr", $RDONLY | $NOSUID | $NODEV);
for my $name ('bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32') {
    if (defined(my $to = readlink "/$name")) { symlink $to, "$directory/$name" or die "$name: $!\n" }
    elsif (-d "/$name") {
        mkdir "$directory/$name" or die "$name: $!\n";
        shown("/$name", "$directory/$name", $RDONLY | $NOSUID | $NODEV);
    }
}
shown($here, "$directory$here", $RDONLY | $NOSUID | $NODEV) unless $here =~ m{^/usr/};
shown($tree, "$directory/tree", $NOSUID | $NODEV | $NOEXEC | ($how eq 'ro' ? $RDONLY : 0));
mounted('none', $directory, '', $REMOUNT | $RDONLY | $NOSUID | $NODEV, 'mode=700,size=1m');
chroot $directory or die "chroot: $!\n";
chdir '/tree' or die "/tree: $!\n";
$ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';
exec { $tool } "$directory/$tool", @args or die "$tool: $!\n";
