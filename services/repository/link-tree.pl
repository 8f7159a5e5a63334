#!/usr/bin/perl
# link-tree.pl FROM TO: makes TO, which is not there, as FROM is. Directories are new ones with the same owner, mode, attributes and times; all
# else is one more name of the same file, as `cp -a --link` has it, but two at a time. A file that has as many names as its file system
# allows (EMLINK; ext4: 65 000) begins anew as a copy, with all the names that it has in the tree. Prints {"copied"}: how many of those.
use strict;
use warnings;
use Errno qw(EPERM EMLINK);

my ($from, $to) = @ARGV;
defined $to && !-e $to or die "usage: link-tree.pl FROM TO, which is not there\n";
require(($0 =~ m{^(.*/)} ? $1 : './') . 'attributes.pl');

# Numbers of the system calls lsetxattr, lremovexattr, statx, utimensat, prctl: amd64, arm64.
my ($LSET, $LREMOVE, $STATX, $UTIMENSAT, $PRCTL) = (`uname -m` =~ /x86_64/) ? (189, 198, 332, 280, 157) : (6, 15, 291, 88, 167);
my $AT_FDCWD = -100;
sub at { my ($top, $path) = @_; return $path eq '' ? $top : "$top/$path" }

# A directory in TO becomes as it is in FROM. After its last entry has come: that sets its time, and would inherit its default ACL.
sub finish {
    my ($path) = @_;
    my ($source, $target) = (at($from, $path), at($to, $path));
    my $is = "\0" x 256;    # struct statx (statx(2)): uid, gid, mode from 20, atime at 64, mtime at 112, seconds and nanoseconds each
    syscall($STATX, $AT_FDCWD, $source, 0x100, 0x7ff, $is) == 0 or die "$source cannot be looked at: $!\n";
    my ($uid, $gid, $mode) = unpack 'x20 L L S', $is;
    chown $uid, $gid, $target or die "$target cannot be given its owner: $!\n";
    my ($wanted, $own) = (attributes_of($source), attributes_of($target));
    for my $name (grep { !exists $wanted->{$_} } keys %$own) {
        syscall($LREMOVE, $target, $name) == 0 or die "the attribute $name of $target cannot be removed: $!\n";
    }
    for my $name (keys %$wanted) {
        my $value = $wanted->{$name};
        syscall($LSET, $target, $name, $value, length $value, 0) == 0 or die "$target cannot be given its attribute $name: $!\n";
    }
    chmod $mode & 07777, $target or die "$target cannot be given its mode: $!\n";
    my $times = pack 'q4', unpack('q L', substr $is, 64), unpack('q L', substr $is, 112);
    syscall($UTIMENSAT, $AT_FDCWD, $target, $times, 0) == 0 or die "$target cannot be given its times: $!\n";
}

my @full;    # paths of files that can have no more names

# Fills a directory that is there in TO and empty; answers the directories in it.
sub fill {
    my ($path) = @_;
    my $target = at($to, $path);
    chdir at($from, $path) or die at($from, $path), " cannot be entered: $!\n";
    opendir(my $in, '.') or die at($from, $path), " cannot be read: $!\n";
    my @below;
    while (defined(my $name = readdir $in)) {
        next if $name eq '.' || $name eq '..' || link $name, "$target/$name";
        my ($error, $entry) = ($! + 0, $path eq '' ? $name : "$path/$name");
        # link(2) refuses a directory with EPERM: nothing else need be looked at
        if ($error == EPERM && lstat $name && -d _) {
            mkdir "$target/$name", 0700 or die "$target/$name cannot be made: $!\n";
            push @below, $entry;
        }
        elsif ($error == EMLINK) { push @full, $entry }
        else { $! = $error; die "$entry cannot be linked into $to: $!\n" }
    }
    closedir $in;
    finish($path);
    return @below;
}
sub down { my @stack = @_; while (defined(my $next = pop @stack)) { push @stack, fill($next) } }

# All names in the tree of the files that can have no more: each file is copied once, its other names are those of the copy.
sub copy_full {
    my %of = map { my @is = lstat "$from/$_"; @is ? ("$is[0]:$is[1]" => []) : die "$_ cannot be looked at: $!\n" } @_;
    my @stack = ('');
    while (defined(my $path = pop @stack)) {
        opendir(my $in, at($from, $path)) or die at($from, $path), " cannot be read: $!\n";
        for my $name (grep { $_ ne '.' && $_ ne '..' } readdir $in) {
            my $entry = $path eq '' ? $name : "$path/$name";
            my @is = lstat "$from/$entry" or die "$entry cannot be looked at: $!\n";
            if (-d _) { push @stack, $entry }
            elsif (my $names = $of{"$is[0]:$is[1]"}) { push @$names, $entry }
        }
    }
    my %changed;
    for my $names (values %of) {
        my ($first, @more) = @$names;
        for my $entry (@$names) {
            unlink "$to/$entry" or $!{ENOENT} or die "$to/$entry cannot be removed: $!\n";
            $changed{ $entry =~ m{^(.*)/}s ? $1 : '' } = 1;
        }
        system { 'cp' } 'cp', '-a', '--no-target-directory', '--', "$from/$first", "$to/$first";
        die "$first cannot be copied into $to\n" if $?;
        for my $entry (@more) { link "$to/$first", "$to/$entry" or die "$entry cannot be linked into $to: $!\n" }
    }
    finish($_) for keys %changed;
    return scalar keys %of;
}

mkdir $to, 0700 or die "$to cannot be made: $!\n";
pipe(my $turn, my $turns) or die "pipe: $!\n";
pipe(my $back, my $forth) or die "pipe: $!\n";
my @queue = ('');
my $at = 0;
while ($at < @queue && @queue - $at < 400) { push @queue, fill($queue[$at++]) }
my @left = @queue[$at .. $#queue];

# Two link side by side, each takes the next of what is left. Of so many numbers the pipe holds all.
if (@left < 2 || @left > 30_000) { down(@left) }
else {
    my $mine = sub { while ((sysread($turn, my $number, 2) // 0) == 2) { down($left[unpack 'S', $number]) } };
    syswrite $turns, pack('S*', 0 .. $#left);
    close $turns;
    my $pid = fork() // die "fork: $!\n";
    if ($pid == 0) {
        syscall($PRCTL, 1, 9) == 0 or die "prctl: $!\n";    # PR_SET_PDEATHSIG: it must not go on where the first one has failed
        @full = ();
        $mine->();
        print $forth map { "$_\0" } @full or exit 1;
        close $forth or exit 1;
        exit 0;
    }
    close $forth;
    $mine->();
    local $/ = "\0";
    while (<$back>) { chomp; push @full, $_ }
    waitpid $pid, 0;
    die "the second process that links failed\n" if $?;
}
printf qq({"copied":%d}\n), @full ? copy_full(@full) : 0;
