#!/usr/bin/perl
# What restic does not keep of a tree: the holes of sparse files.
# restic-holes.pl list TREE OUT: writes the paths of sparse files, each ended by NUL; prints {"files","bytes"}: its entries, and what
# they take on the disk (each inode once).
# restic-holes.pl dig TREE LIST: makes holes again in the files of LIST that are there. Their times and capabilities stay as they are.
use strict;
use warnings;

my ($mode, $tree, $file) = @ARGV;
defined $file && $mode =~ /^(list|dig)$/ or die "usage: restic-holes.pl list TREE OUT | dig TREE LIST\n";

if ($mode eq 'list') {
    my ($files, $bytes, %once) = (0, 0);
    open(my $out, '>', $file) or die "$file: $!\n";
    my @stack = ('');
    while (defined(my $directory = pop @stack)) {
        opendir(my $in, "$tree/$directory") or die "$directory cannot be read: $!\n";
        for my $name (readdir $in) {
            next if $name eq '.' || $name eq '..';
            my $path = $directory eq '' ? $name : "$directory/$name";
            my @is = lstat "$tree/$path" or die "$path cannot be looked at: $!\n";
            $files++;
            push @stack, $path if -d _;
            next if $is[3] > 1 && $once{"$is[0]:$is[1]"}++;
            $bytes += $is[12] * 512;
            print $out "$path\0" or die "$file: $!\n" if ($is[2] & 0170000) == 0100000 && $is[7] - $is[12] * 512 >= 4096;
        }
        closedir $in;
    }
    close $out or die "$file: $!\n";
    printf qq({"files":%d,"bytes":%d}\n), $files, $bytes;
    exit 0;
}

sub run { my (@argv) = @_; system({ $argv[0] } @argv) == 0 or die "$argv[0] failed for $argv[-1]\n" }
open(my $in, '<', $file) or die "$file: $!\n";
my @paths = do { local $/ = "\0"; <$in> };
my $stamp = "$file.stamp";
chdir $tree or die "$tree: $!\n";
for my $path (@paths) {
    $path =~ s/\0\z//;
    next if $path =~ m{(^|/)\.\.(/|$)} || -l "./$path" || !-f _;
    my $capability;
    open(my $told, '-|', 'getfattr', '-h', '-e', 'hex', '-d', '-m', '^security\.capability$', '--', "./$path") or die "getfattr: $!\n";
    while (<$told>) { $capability = $1 if /^security\.capability=(0x[0-9a-fA-F]+)$/ }
    close $told;
    my $permissions = (stat "./$path")[2] & 07777;
    run('touch', '-r', "./$path", '--', $stamp);
    run('fallocate', '--dig-holes', '--', "./$path");
    chmod $permissions, "./$path";
    run('setfattr', '-h', '-n', 'security.capability', '-v', $capability, '--', "./$path") if defined $capability;
    run('touch', '-r', $stamp, '--', "./$path");
}
unlink $stamp;
