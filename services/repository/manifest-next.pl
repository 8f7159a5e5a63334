#!/usr/bin/perl
# manifest-next.pl TREE OUT BASIS MANIFEST CHANGES: the manifest (manifest.pl) of a tree that began as BASIS, made of that one's MANIFEST and the
# lists of what was changed since, CHANGES/0, CHANGES/1 ... (walk.pl, LIST). Only what they name is looked at and read; of all other directories
# the names alone are compared, so that a tree from which something was lost is no good one. MANIFEST is one of version 2.
# Prints {"files","more","added","read"}: more: by how many bytes on the disk it differs from BASIS.
use strict;
use warnings;

my ($tree, $out, $basis, $old, $changes) = @ARGV;
defined $changes or die "usage: manifest-next.pl TREE OUT BASIS MANIFEST CHANGES\n";
require(($0 =~ m{^(.*/)} ? $1 : './') . 'manifest-parts.pl');

my $links = (lstat $tree)[0] == (lstat $basis)[0];    # directories are new ones then; on btrfs it is another subvolume, so another device

my %touched;    # what may be another than it was, or gone
my %listed;     # directories whose names may be others
my %anew;       # directories with all below them
for (my $number = 0; -e "$changes/$number"; $number++) {
    open(my $in, '<', "$changes/$number") or die "$changes/$number: $!\n";
    local $/ = "\0";
    while (<$in>) {
        chomp or die "the list $number of changes was cut off\n";
        my ($kind, $path) = (substr($_, 0, 1), substr($_, 1));
        next if $kind eq 'k';
        substr $path, 0, 1, '' if $kind eq 's';
        $path =~ m{^/|(?:^|/)\.\.(?:/|\z)} and die "the list $number of changes leads out of the tree\n";
        $touched{$path} = 1;
        $listed{$path} = 1 if $kind eq 'd' || $kind eq 'n';
        $anew{$path} = 1 if $kind eq 'n';
    }
}

sub meant { my ($path) = @_; $path =~ s/\\(\\|n|040)/$1 eq 'n' ? "\n" : $1 eq '040' ? ' ' : '\\'/ge; return $path }
sub up { return $_[0] =~ m{^(.*)/}s ? $1 : '.' }
# A directory of the tree to which no symlink leads: lists and trees are what a host has sent.
my %inside = ('.' => 1);
sub inside {
    my ($directory) = @_;
    return $inside{$directory} //= inside(up($directory)) && (((lstat "$tree/$directory")[2] // 0) & 0170000) == 0040000 ? 1 : 0;
}
sub names { opendir(my $in, $_[0]) or die "$_[0] cannot be read: $!\n"; return grep { $_ ne '.' && $_ ne '..' } readdir $in }

my %new;    # path => its entry
my (%has, %names);    # attributes by name; the names of what has more than one: inode => path => name
my %inode;
my ($more, $added) = (0, 0);
my (%counted, %before);
my @stack = grep { $_ ne '.' } keys %touched;
while (defined(my $path = pop @stack)) {
    next if $new{$path} || !inside(up($path));
    my @is = lstat "$tree/$path";
    if (!@is) { $!{ENOENT} || $!{ENOTDIR} or die "$path cannot be looked at: $!\n"; next }
    $new{$path} = [entry($tree, $path, @is)];
    $inode{$path} = "$is[0]:$is[1]";
    my $own = attributes("$tree/$path");
    $has{ $new{$path}[1] } = $own if %$own;
    $names{"$is[0]:$is[1]"}{$path} = $new{$path}[1] if $is[3] > 1 && ($is[2] & 0170000) != 0040000;
    if (!$counted{"$is[0]:$is[1]"}++) {
        $more += $is[12] * 512;
        my @was = lstat "$basis/$path";
        $added += $is[12] * 512 unless @was && join(' ', @was[1, 7, 9, 10]) eq join(' ', @is[1, 7, 9, 10]);
    }
    next unless ($is[2] & 0170000) == 0040000 && $anew{$path};
    for my $name (names("$tree/$path")) { $anew{"$path/$name"} = $touched{"$path/$name"} = 1; push @stack, "$path/$name" }
}

my @read = grep { $new{$_}[0] =~ /^f/ } keys %new;
my ($sums, $count) = checksums($tree, "$out.list", \%inode, @read);
my %sum = %$sums;
defined $sum{$_} or die "$_ cannot be read\n" for @read;

# What is not touched keeps its line; what lies below something that is gone or new goes with it.
my %there = ('.' => { map { $_ => 1 } names($tree) });
my %away;
sub less { my @was = lstat "$basis/$_[0]"; $more -= $was[12] * 512 if @was && !$before{"$was[0]:$was[1]"}++ }

my @sorted = sort keys %new;
my $files = 0;
open(my $from, '<', $old) or die "$old: $!\n";
open(my $to, '>', $out) or die "$out: $!\n";
my $text = '';
sub line { $text .= $_[0]; $files++; if (length $text > 1 << 18) { print $to $text or die "$out: $!\n"; $text = '' } }
# One entry that the new tree has.
sub found {
    my ($path, $type) = @_;
    my ($up, $name) = $path =~ m{^(.*)/([^/]*)$}s ? ($1, $2) : ('.', $path);
    return 0 unless defined $there{$up} && delete $there{$up}{$name};
    if ($type eq 'd') { inside($path) or die "$path is no directory any more, and nothing says so\n"; $there{$path} = { map { $_ => 1 } names("$tree/$path") } }
    return 1;
}
sub fresh {
    my ($path) = @_;
    my ($fields, $name) = @{ $new{$path} };
    found($path, substr $fields, 0, 1) or die "$path was there a moment ago\n";
    line("$fields " . ($sum{$path} // '-') . " $name\n");
}
(<$from> // '') eq "# vs-manifest 2\n" or die "the manifest before is of another version\n";
print $to "# vs-manifest 2\n" or die "$out: $!\n";
my %dropped;    # the names in it that the new one has not, or has anew
my %link;       # those that are of symlinks: a file may be called `a -> b`, too
while (<$from>) {
    chomp;
    if (/^x ([^ ]+) ([^ ]+) (.+)\z/) { $has{$3}{$1} = $2 unless $dropped{$3}; next }
    if (/^h \d+ (.+)\z/) {
        my $name = $1;
        next if $dropped{$name};
        my $path = meant($link{$name} ? $name =~ s/ -> .*//sr : $name);
        my @is = lstat "$tree/$path" or die "$name was there a moment ago\n";
        $names{"$is[0]:$is[1]"}{$path} = $name;
        next;
    }
    my ($fields, $sum, $name) = /^(\S+ \S+ \S+ \S+ \S+) (\S+) (.+)\z/ or die "line $. of the manifest before is none\n";
    my $type = substr $fields, 0, 1;
    $link{$name} = 1 if $type eq 'l';
    my $path = $type eq 'l' ? $name =~ s/ -> .*//sr : $name;
    $path = meant($path) if index($path, '\\') >= 0;
    my $up = up($path);
    fresh(shift @sorted) while @sorted && $sorted[0] lt $path;
    if ($touched{$path}) { $dropped{$name} = 1; less($path); $away{$path} = 1 if $anew{$path} || !$new{$path} || $new{$path}[0] !~ /^d/; next }
    if ($away{$up}) { $dropped{$name} = 1; less($path); $away{$path} = 1; next }
    if (!found($path, $type)) {
        $listed{$up} or die "$path is not there any more, and nothing says that it was removed\n";
        $dropped{$name} = 1;
        less($path);
        $away{$path} = 1;
        next;
    }
    if ($type eq 'd' && $links) { my @is = lstat "$tree/$path" or die "$path cannot be looked at: $!\n"; $added += $is[12] * 512 }
    line("$_\n");
}
fresh($_) for @sorted;
for my $name (sort keys %has) { $text .= "x $_ $has{$name}{$_} $name\n" for sort keys %{ $has{$name} } }
my @groups = sort { $a->[0] cmp $b->[0] } map { my $of = $_; [map { $of->{$_} } sort keys %$of] } grep { keys %$_ > 1 } values %names;
for my $number (1 .. @groups) { $text .= "h $number $_\n" for @{ $groups[$number - 1] } }
for my $up (sort keys %there) { die "$up/$_ is there, and nothing says where it comes from\n" for sort keys %{ $there{$up} } }
print $to $text or die "$out: $!\n";
close $to or die "$out: $!\n";
printf qq({"files":%d,"more":%d,"added":%d,"read":%d}\n), $files, $more, $added, $count;
