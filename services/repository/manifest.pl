#!/usr/bin/perl
# The manifest of a tree: one line for each path, sorted: TYPE MODE UID:GID SIZE MTIME SHA256 PATH, and ` -> TARGET` for a symlink.
#   TYPE    f file, d directory, l symlink, p named pipe, s socket, b c devices (SIZE is MAJOR:MINOR then)
#   MODE    octal; MTIME in seconds; SHA256 is - for what is no file
#   PATH    below the tree; in it and in TARGET \ is \\ and a newline is \n, a space in a path that has a target is \040
# Since version 2, whose first line is `# vs-manifest 2`, after these lines, sorted by path too:
#   x NAME VALUE PATH   an extended attribute (ACLs and file capabilities are some): VALUE in hexadecimal, - when it is empty; in NAME a space is \040
#   h GROUP PATH        one name of a file that has more of them in the tree; those of a number are one file
# The files alone, for sha256sum --check in the tree: sed -n '/^f /{s/^f [^ ]* [^ ]* [^ ]* [^ ]* \([0-9a-f]*\) /\1  /;/\\/s/^/\\/;p}' manifest
#
# manifest.pl write TREE OUT [BASIS MANIFEST]: what a file of the tree BASIS shares with this one (the same inode, unchanged) has the
# checksum that MANIFEST has for it, and is not read. Prints {"files","bytes","added","read"}.
# manifest.pl verify TREE MANIFEST: compares; prints {"files","bytes","faults":[...]}, 100 faults at most.
use strict;
use warnings;

my ($mode, $tree, @more) = @ARGV;
defined $mode && $mode =~ /^(write|verify)$/ && @more or die "usage: manifest.pl write TREE OUT [BASIS MANIFEST] | verify TREE MANIFEST\n";
require(($0 =~ m{^(.*/)} ? $1 : './') . 'manifest-parts.pl');

# Each entry below the tree: path => [fields of its line but the checksum, stat].
sub entries {
    my ($top) = @_;
    my %of;
    my @stack = ('');
    while (defined(my $directory = pop @stack)) {
        opendir(my $in, "$top/$directory") or die "$directory cannot be read: $!\n";
        for my $name (readdir $in) {
            next if $name eq '.' || $name eq '..';
            my $path = $directory eq '' ? $name : "$directory/$name";
            my @is = lstat "$top/$path" or die "$path cannot be looked at: $!\n";
            push @stack, $path if ($is[2] & 0170000) == 0040000;
            $of{$path} = [entry($top, $path, @is), @is];
        }
        closedir $in;
    }
    return \%of;
}

# Which file each of some paths is.
sub inodes { my ($all, @paths) = @_; return { map { $_ => "$all->{$_}[2]:$all->{$_}[3]" } @paths } }

# What entries() does not say: attributes by the name of a path, and the names of each file that has more than one.
sub beyond {
    my ($top, $all) = @_;
    my (%has, %names);
    for my $path (sort keys %$all) {
        my ($fields, $name_of, @is) = @{ $all->{$path} };
        my $own = attributes("$top/$path");
        $has{$name_of} = $own if %$own;
        push @{ $names{"$is[0]:$is[1]"} }, $name_of if $fields !~ /^d/ && $is[3] > 1;
    }
    my @groups = sort { $a->[0] cmp $b->[0] } grep { @$_ > 1 } values %names;
    return (\%has, \@groups);
}

# By what an entry is found: the name of the symlink `a` to `b` is that of a file `a -> b`, too.
sub key { my ($fields, $name) = @_; return ($fields =~ /^l/ ? 'l ' : '- ') . $name }

sub manifest {
    my ($file) = @_;
    my (%of, %has, %group);
    my $version = 1;
    open(my $in, '<', $file) or die "$file: $!\n";
    while (<$in>) {
        chomp;
        if (/^# vs-manifest (\d+)$/) { $version = $1; next }
        if (/^x ([^ ]+) ([^ ]+) (.+)\z/) { $has{$3}{$1} = $2; next }
        if (/^h (\d+) (.+)\z/) { $group{$2} = $1; next }
        my ($fields, $sum, $path) = /^(\S+ \S+ \S+ \S+ \S+) (\S+) (.+)\z/ or die "line $. of the manifest is none\n";
        $of{ key($fields, $path) } = [$fields, $sum];
    }
    return wantarray ? (\%of, $version, \%has, \%group) : \%of;
}

if ($mode eq 'write') {
    my ($out, $basis, $old) = @more;
    my $all = entries($tree);
    my $known = defined $old ? eval { scalar manifest($old) } // {} : {};
    my (%sum, @read);
    my ($bytes, $added) = (0, 0);
    my %once;
    for my $path (keys %$all) {
        my ($fields, $name_of, @is) = @{ $all->{$path} };
        my $first = !$once{"$is[0]:$is[1]"}++;
        $bytes += $is[12] * 512 if $first;
        my $file = substr($fields, 0, 1) eq 'f';
        my @was = defined $basis ? lstat "$basis/$path" : ();
        # on btrfs it is another subvolume, so another device; what has changed has another ctime
        my $same = @was && join(' ', @was[1, 7, 9, 10]) eq join(' ', @is[1, 7, 9, 10]);
        $added += $is[12] * 512 if $first && !$same;
        next unless $file;
        my $before = $same ? $known->{ key($fields, $name_of) } : undef;
        if ($before && $before->[1] ne '-') { $sum{$path} = $before->[1] }
        else { push @read, $path }
    }
    my ($sums, $read) = checksums($tree, "$out.list", inodes($all, @read), @read);
    for (@read) { $sum{$_} = $sums->{$_} // die "$_ cannot be read\n" }
    open(my $to, '>', $out) or die "$out: $!\n";
    print $to "# vs-manifest 2\n" or die "$out: $!\n";
    for my $path (sort keys %$all) {
        print $to "$all->{$path}[0] ", $sum{$path} // '-', " $all->{$path}[1]\n" or die "$out: $!\n";
    }
    my ($has, $groups) = beyond($tree, $all);
    for my $name_of (sort keys %$has) {
        for my $name (sort keys %{ $has->{$name_of} }) { print $to "x $name $has->{$name_of}{$name} $name_of\n" or die "$out: $!\n" }
    }
    for my $number (1 .. @$groups) {
        for my $name_of (@{ $groups->[$number - 1] }) { print $to "h $number $name_of\n" or die "$out: $!\n" }
    }
    close $to or die "$out: $!\n";
    printf qq({"files":%d,"bytes":%d,"added":%d,"read":%d}\n), scalar keys %$all, $bytes, $added, $read;
    exit 0;
}

my @faults;
my $count = 0;
sub fault {
    my ($path, $what) = @_;
    return if $count++ >= 100;
    my $text = substr("$path $what", 0, 450);
    my $copy = $text;
    $text =~ s/([^\x20-\x7e])/sprintf '\\x%02x', ord $1/ge unless utf8::decode($copy);
    $text =~ s/([\\"])/\\$1/g;
    $text =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ge;
    push @faults, qq("$text");
}
my ($said, $version, $had, $group) = manifest($more[0]);
my $all = entries($tree);
my %is_at;
my ($bytes, @read) = (0);
for my $path (keys %$all) { $is_at{ key(@{ $all->{$path} }) } = $path; push @read, $path if $all->{$path}[0] =~ /^f/; $bytes += $all->{$path}[9] if $all->{$path}[0] =~ /^f/ }
my ($sums) = checksums($tree, "$more[0].list.$$", inodes($all, @read), @read);
my @what = ('kind', 'mode', 'owner', 'size', 'time');
sub is_there { my ($name_of) = @_; return defined($is_at{"- $name_of"} // $is_at{"l $name_of"}) }
sub was_said { my ($name_of) = @_; return defined($said->{"- $name_of"} // $said->{"l $name_of"}) }
for my $key (sort keys %$said) {
    my ($fields, $sum) = @{ $said->{$key} };
    my ($path, $name_of) = ($is_at{$key}, substr $key, 2);
    if (!defined $path) { fault($name_of, 'is gone'); next }
    my @was = split / /, $fields;
    my @now = split / /, $all->{$path}[0];
    my @other = grep { $was[$_] ne $now[$_] } 0 .. 4;
    fault($name_of, 'has another ' . join(', ', map { "$what[$_] ($now[$_], not $was[$_])" } @other)) if @other;
    next if $was[0] ne 'f' || $now[0] ne 'f';
    my $is = $sums->{$path};
    if (!defined $is) { fault($name_of, 'cannot be read') }
    elsif ($is ne $sum) { fault($name_of, 'has another content: its sha256 is ' . substr($is, 0, 16) . '..., not ' . substr($sum, 0, 16) . '...') }
}
for my $key (sort keys %is_at) { fault(substr($key, 2), 'is not in the manifest') unless $said->{$key} }
if ($version >= 2) {
    my ($has, $groups) = beyond($tree, $all);
    for my $key (sort keys %is_at) {
        next unless $said->{$key};
        my $name_of = substr $key, 2;
        my ($was, $is) = ($had->{$name_of} // {}, $has->{$name_of} // {});
        for my $name (sort keys %{ { %$was, %$is } }) {
            if (!defined $is->{$name}) { fault($name_of, "has no attribute $name any more") }
            elsif (!defined $was->{$name}) { fault($name_of, "has an attribute $name that it had not") }
            elsif ($was->{$name} ne $is->{$name}) { fault($name_of, "has another value of its attribute $name") }
        }
    }
    my (%now, %first);
    for my $names (@$groups) { $now{$_} = $names->[0] for @$names }
    for my $name_of (sort keys %$group) {
        my $other = $first{ $group->{$name_of} } //= $name_of;
        next if $other eq $name_of || !is_there($name_of) || !is_there($other);
        fault($name_of, "is not the same file as $other any more") if ($now{$name_of} // '') ne ($now{$other} // '-');
    }
    for my $names (@$groups) {
        my $one = $names->[0];
        for my $name_of (@$names[1 .. $#$names]) {
            next if ($group->{$name_of} // '') eq ($group->{$one} // '-') || !was_said($name_of) || !was_said($one);
            fault($name_of, "is the same file as $one, and was not");
        }
    }
}
printf qq({"files":%d,"bytes":%d,"faults":[%s]}\n), scalar keys %$all, $bytes, join(',', @faults);
