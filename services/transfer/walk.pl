#!/usr/bin/perl
# walk.pl TREE SINCE OLD NEW LIST NAMES: one walk over a tree, chrooted into it. Prints {"files","bytes","listed","known"}: how many
# entries (all but ./config) with how many bytes, how many of them are listed, and whether OLD was of this tree.
#   SINCE  epoch seconds, or "" for none: what has a ctime from then on is listed. Nobody can set a ctime.
#   OLD    what a former walk wrote to NEW: each directory and its identity. One that is not where it was is listed with all below it,
#          for a rename leaves the ctimes of what lies below as they are. "" for none: then LIST holds single files alone.
#   LIST   for apply.pl, each record a letter and a path, ended by NUL: d directory that changed, its names in k records after it;
#          n directory that is new there; p directory of something that changed; s single file, its type first; g the first and
#          h the further names of a file with several (all of them), t regular file that changed (without OLD).
#   NAMES  the same paths for rsync --from0 --files-from.
# walk.pl TREE still NEW LIST: after a live pass, whether all directories that were listed lie where they lay: {"still"}. One that was
# away meanwhile has not arrived, and may be back by now.
use strict;
use warnings;

# The identity of a directory. The device of the tree itself is 0: a later snapshot of the same tree has another one.
sub of { my ($device, @is) = @_; return ($is[0] == $device ? 0 : $is[0]) . ":$is[1]" }

# Reads what a walk wrote to NEW: the identity of each directory.
sub identities {
    my ($file) = @_;
    my %of;
    open(my $in, '<', $file) or die "$file: $!\n";
    local $/ = "\0";
    while (<$in>) { chomp; my ($identity, $path) = split / /, $_, 2; $of{$path} = $identity }
    return %of;
}

if (@ARGV == 4 && $ARGV[1] eq 'still') {
    my ($tree, undef, $new, $list) = @ARGV;
    my %of = identities($new);
    open(my $in, '<', $list) or die "$list: $!\n";
    chroot $tree or die "$tree: $!\n";
    chdir '/' or die "/: $!\n";
    local $/ = "\0";
    my $still = 'true';
    my $device = (lstat '/')[0];
    while (<$in>) {
        chomp;
        next unless /^[dnp](.+)/s;
        my @is = lstat $1;
        $still = 'false' unless @is && of($device, @is) eq ($of{$1} // '');
    }
    print qq({"still":$still}\n);
    exit 0;
}

my ($tree, $since, $old, $new, $list, $names) = @ARGV;
defined $names or die "usage: walk.pl TREE SINCE OLD NEW LIST NAMES\n";
my %was;
if ($old ne '') {
    %was = identities($old);
    # A walk whose pass did not arrive whole: what was not in its place then is not known to be there on the target any more.
    if (-e $new) {
        my %then = identities($new);
        for (keys %was) { delete $was{$_} if ($then{$_} // '') ne $was{$_} }
        open(my $out, '>', $old) or die "$old: $!\n";
        (print $out map { "$was{$_} $_\0" } keys %was and close $out) or die "$old: $!\n";
    }
}
my $shape = $old ne '';    # are changes of names known, or only those of files?
my @out;
umask 0077;
for my $file ($new, $list, $names) {
    unlink $file;
    open(my $out, '>', $file) or die "$file: $!\n";
    push @out, $out;
}
my @text = ('', '', '');    # for NEW, LIST, NAMES
my ($files, $bytes, $listed) = (0, 0, 0);
my %group;                  # of a file with several names: did it change, and its names
my %told;                   # directories that are listed
pipe(my $turn, my $turns) or die "pipe: $!\n";
pipe(my $back, my $forth) or die "pipe: $!\n";

chroot $tree or die "$tree: $!\n";
chdir '/' or die "/: $!\n";
my @root = lstat '.';
my $device = $root[0];
my $known = ($was{'.'} // '') eq of($device, @root);
my $all = $since eq '' ? 9e15 : $since;

sub name { $listed++; $text[2] .= "./$_[0]\0" }

sub parent {
    my ($path) = @_;
    return if $told{$path}++;
    $text[1] .= "p$path\0";
    name($path);
}

# What vanishes meanwhile is left out; what cannot be looked at ends the walk, for it would be missing.
sub gone { $! == 2 || $! == 20 || $! == 40 or die "$_[0] cannot be looked at: $!\n"; return }    # ENOENT, ENOTDIR, ELOOP

# One directory: tells of it and of its files, answers its directories as [path, is it new?].
sub directory {
    my ($path, $is_new) = @_;
    chdir "/$path" or return gone($path);
    my @own = lstat '.';
    my $identity = of($device, @own);
    $files++;
    $text[0] .= "$identity $path\0";
    opendir(my $handle, '.') or return gone($path);
    my @names = grep { $_ ne '.' && $_ ne '..' } readdir $handle;
    closedir $handle;
    my $root = $path eq '.';
    my $moved = !$is_new && $shape && ($was{$path} // '') ne $identity;
    $is_new ||= $moved;
    if ($shape && ($is_new || $own[10] >= $all)) {
        $told{$path} = 1;
        $text[1] .= $moved ? "n$path\0" : "d$path\0";
        $text[1] .= "k$_\0" for $is_new ? () : (@names, $root ? ('config') : ());
        name($path);
    }
    my $prefix = $root ? '' : "$path/";
    my @below;
    for my $name (@names) {
        next if $root && $name eq 'config';
        my @is = lstat $name or do { gone("$prefix$name"); next };
        my $type = $is[2] & 0170000;
        if ($type == 0040000) { push @below, ["$prefix$name", $is_new]; next }
        $files++;
        $bytes += $is[7] if $type == 0100000 || $type == 0120000;
        my $changed = $is[10] >= $all || $is_new;
        if ($is[3] > 1 && $shape) {
            my $one = $group{"$is[0]:$is[1]"} //= [0];
            $one->[0] ||= $changed;
            push @$one, "$prefix$name";
            next;
        }
        next unless $changed || ($type == 0140000 && $shape);    # tar leaves out sockets
        if ($shape) {
            parent($path);
            $text[1] .= sprintf "s%x%s\0", $type >> 12, "$prefix$name";
            name("$prefix$name");
        }
        elsif ($type == 0100000) { $listed++; $text[1] .= "t$prefix$name\0" }
    }
    return @below;
}

my @queue = (['.', 0]);
for (my $at = 0; $at < @queue && @queue < 400; $at++) {
    my ($path, $is_new) = @{ $queue[$at] };
    undef $queue[$at];
    push @queue, directory($path, $is_new);
}
my @left = grep { defined } @queue;
sub down { my @stack = @_; while (my $next = pop @stack) { push @stack, directory(@$next) } }

# Two walk side by side, for it is the kernel's answers that take the time. Each takes the next of what is left.
if (@left < 2 || @left > 30_000) { down(@left) }
else {
    my $mine = sub { while (sysread($turn, my $number, 2) == 2) { down($left[unpack 'S', $number]) } };
    syswrite $turns, pack('S*', 0 .. $#left);
    close $turns;
    my $pid = fork() // die "fork: $!\n";
    if ($pid == 0) {
        @text = ('', '', '');
        ($files, $bytes, $listed) = (0, 0, 0);
        %group = ();
        my %before = %told;
        $mine->();
        my $groups = join '', map { pack '(Q/a)*', pack('(Q/a)*', $_, @{ $group{$_} }) } keys %group;
        my $told = pack '(Q/a)*', grep { !$before{$_} } keys %told;
        print $forth pack('Q3(Q/a)*', $files, $bytes, $listed, @text, $groups, $told) or exit 1;
        close $forth or exit 1;
        exit 0;
    }
    close $forth;
    $mine->();
    my $packed = do { local $/; <$back> } // '';
    waitpid $pid, 0;
    die "the second walk failed\n" if $? || length $packed < 24;
    my ($f, $b, $l, @more) = unpack 'Q3(Q/a)*', $packed;
    $files += $f;
    $bytes += $b;
    $listed += $l;
    $text[$_] .= $more[$_] for 0 .. 2;
    for (unpack '(Q/a)*', $more[3]) {
        my ($key, $changed, @paths) = unpack '(Q/a)*';
        my $one = $group{$key} //= [0];
        $one->[0] ||= $changed;
        push @$one, @paths;
    }
    $told{$_} = 1 for unpack '(Q/a)*', $more[4];
}

for my $one (values %group) {
    my ($changed, @paths) = @$one;
    next unless $changed;
    parent(m{^(.*)/}s ? $1 : '.') for @paths;
    $text[1] .= join '', "g$paths[0]\0", map { "h$_\0" } @paths[1 .. $#paths];
    name($_) for @paths;
}
for my $number (0 .. 2) {
    my $out = $out[$number];
    (print $out $text[$number] and close $out) or die "$ARGV[3 + $number] could not be written: $!\n";
}
printf qq({"files":%d,"bytes":%d,"listed":%d,"known":%s}\n), $files, $bytes, $listed, $known ? 'true' : 'false';
