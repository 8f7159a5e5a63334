#!/usr/bin/perl
# apply.pl TREE prepare|tally|count <LIST: makes a tree ready for rsync by the list of walk.pl, chrooted into it, so that no path and no
# symlink leads out. What is gone is removed; a name that rsync would take for what it is not (another type, a link to another name) too.
# Prints {"files","bytes","missing"?}: missing is a name that the source has, the list does not bring, and this tree lacks (it was away
# while a pass before ran). files and bytes: what all entries of the list are less (prepare) and more (tally, after rsync), or all of the tree (count).
use strict;
use warnings;

# prepare-shared: the files of the tree belong to others, too. What is large waits in .begun, so that rsync has something to compare with.
my ($tree, $mode) = @ARGV;
defined $mode && $mode =~ /^(prepare|prepare-shared|tally|count)$/ or die "usage: apply.pl TREE prepare|prepare-shared|tally|count\n";
my $shared = $mode =~ s/-shared$//;
my $LARGE = 1 << 16;
chroot $tree or die "$tree: $!\n";
chdir '/' or die "/: $!\n";
my ($files, $bytes) = (0, 0);
my $sign = $mode eq 'prepare' ? -1 : 1;

sub add {
    my ($type, $size) = ($_[2] & 0170000, $_[7]);
    $files += $sign;
    $bytes += $sign * $size if $type == 0100000 || $type == 0120000;
}
sub names { opendir(my $in, $_[0]) or die "$_[0]: $!\n"; return grep { $_ ne '.' && $_ ne '..' } readdir $in }

# Everything below a directory, then itself; or a file.
sub away {
    my @stack = ($_[0]);
    my @directories;
    while (defined(my $path = pop @stack)) {
        my @is = lstat $path or next;
        add(@is);
        if (($is[2] & 0170000) == 0040000) { push @directories, $path; push @stack, map { "$path/$_" } names($path) }
        else { unlink $path or die "$path cannot be removed: $!\n" }
    }
    for (reverse @directories) { rmdir $_ or die "$_ cannot be removed: $!\n" }
}

# A file out of the way to where rsync finds it as another basis (aside.ts).
sub aside {
    my ($path, @is) = @_;
    add(@is);
    my $at = './.begun';
    for (split m{/}, $path) {
        -d $at or mkdir $at, 0700 or die "$at: $!\n";
        $at .= "/$_";
    }
    rename "./$path", $at or die "$path: $!\n";
}

if ($mode eq 'count') {
    my @stack = ('.');
    while (defined(my $path = pop @stack)) {
        my @is = lstat $path or next;
        add(@is);
        push @stack, grep { $_ ne './config' } map { "$path/$_" } names($path) if ($is[2] & 0170000) == 0040000;
    }
}

my ($directory, %keep, @group, %missing);
sub prune {
    if (defined $directory) {
        delete $keep{$_} or away("$directory/$_") for grep { !$shared || $_ ne '.begun' || $directory ne './.' } names($directory);
        $missing{"$directory/$_"} = 1 for grep { "$directory/$_" ne '././config' } keys %keep;
    }
    undef $directory;
    %keep = ();
}
# All names of one file: they stay when they are all of one file here too.
sub group {
    if ($mode eq 'prepare' && @group) {
        my @all = map { [lstat "./$_"] } @group;
        my $first = $all[0];
        my $same = grep { @$_ && "@$_[0, 1]" eq "@$first[0, 1]" && $_->[3] == @group && ($_->[2] & 0170000) != 0040000 } @all;
        if (!@$first || $same != @group) { away("./$_") for @group }
    }
    for (@group) { my @is = lstat "./$_"; add(@is) if @is }
    @group = ();
}

local $/ = "\0";
my @listed;
while ($mode ne 'count' and defined(my $record = <STDIN>)) {
    chomp $record or die "the list was cut off\n";
    my ($kind, $path) = (substr($record, 0, 1), substr($record, 1));
    if ($kind eq 'k') { $keep{$path} = 1; next }
    prune();
    group() if $kind ne 'h';
    my $plain = $kind eq 's' ? substr($path, 1) : $path;
    delete $missing{"./$plain"};
    delete $missing{"././$plain"};    # in the top directory
    if ($kind eq 'g' || $kind eq 'h') { push @group, $path; next }
    my $type = $kind eq 's' ? hex(substr $path, 0, 1, '') : $kind eq 't' ? 8 : 4;
    my $at = "./$path";
    # a tree that shares its files with others: rsync would take it from there (aside.ts)
    if ($kind eq 't') { for my $aside ("./.begun/$path", "./.begun/.begun/$path") { unlink $aside if lstat $aside && !-d _ } }
    my @is = lstat $at;
    if ($mode eq 'tally') { add(@is) if @is; next }
    next unless @is;
    my $other = ($is[2] & 0170000) >> 12 != $type;
    if ($kind eq 't') {    # another time than the source has: rsync compares its contents
        if (!$other) { utime 1, 1, $at or die "$path: $!\n" }
    }
    elsif ($shared && $kind eq 's' && !$other && $type == 8 && $is[3] > 1 && $is[7] >= $LARGE) { aside($path, @is) }
    elsif ($other || $kind eq 'n' || ($kind eq 's' && $is[3] > 1)) { away($at) }
    else { add(@is); ($directory, %keep) = ($at) if $kind eq 'd' }
}
prune();
group();
my ($missing) = sort keys %missing;
$missing =~ s{^(?:\./)+}{} if defined $missing;
$missing = defined $missing ? sprintf(',"missing":"%s"', $missing =~ s/[^\w.\/ -]/?/gr) : '';
printf qq({"files":%d,"bytes":%d%s}\n), $files, $bytes, $missing;
