# What manifest.pl, which says what a manifest is, and manifest-next.pl have in common.
use strict;
use warnings;

my %types = (0100000 => 'f', 0040000 => 'd', 0120000 => 'l', 0010000 => 'p', 0140000 => 's', 0060000 => 'b', 0020000 => 'c');

sub shown { my ($path, $spaces) = @_; $path =~ s/\\/\\\\/g; $path =~ s/\n/\\n/g; $path =~ s/ /\\040/g if $spaces; return $path }

# The line of an entry but its checksum: its fields, and its name; `is`: what lstat says of it.
sub entry {
    my ($top, $path, @is) = @_;
    my $type = $types{ $is[2] & 0170000 } // 'f';
    my $size = $type =~ /[bc]/ ? sprintf('%d:%d', ($is[6] >> 8) & 0xfff, ($is[6] & 0xff) | (($is[6] >> 12) & 0xfff00)) : $type eq 'd' ? '-' : $is[7];
    my $target = $type eq 'l' ? readlink "$top/$path" : undef;
    return (sprintf('%s %04o %d:%d %s %d', $type, $is[2] & 07777, $is[4], $is[5], $size, $is[9]), shown($path, defined $target) . (defined $target ? ' -> ' . shown($target) : ''));
}

# Extended attributes of a path: {name => value in hexadecimal}. Numbers of the system calls llistxattr and lgetxattr: amd64, arm64.
my ($LLIST, $LGET) = (`uname -m` =~ /x86_64/) ? (195, 192) : (12, 9);
sub attributes {
    my ($file) = @_;
    my $size = syscall($LLIST, $file, 0, 0);
    return {} if $size <= 0;
    my $names = "\0" x $size;
    $size = syscall($LLIST, $file, $names, $size);
    return {} if $size <= 0;
    my %of;
    for my $name (split /\0/, substr($names, 0, $size)) {
        my $length = syscall($LGET, $file, $name, 0, 0);
        next if $length < 0;
        my $value = "\0" x $length;
        if ($length > 0) { $length = syscall($LGET, $file, $name, $value, $length); next if $length < 0 }
        $of{ shown($name, 1) } = $length > 0 ? unpack('H*', substr($value, 0, $length)) : '-';
    }
    return \%of;
}

# The checksums of files, by path. One that cannot be read has none. Much is read by the program in VS_SUMS (node and sums.ts, a word a line).
sub checksums {
    my ($top, $list, @paths) = @_;
    my %of;
    return \%of unless @paths;
    open(my $out, '>', $list) or die "$list: $!\n";
    print $out "$_\0" for @paths;
    close $out or die "$list: $!\n";
    open(my $old, '>&', \*STDERR);
    open(STDERR, '>', '/dev/null');
    my $pid = open(my $in, '-|') // die "fork: $!\n";
    if ($pid == 0) {
        chdir $top or die "$top: $!\n";
        my $much = @paths > 1000 ? 1 : 0;
        if (!$much) { my $size = 0; $size += -s $_ // 0 for @paths; $much = $size > 50e6 }
        exec split(/\n/, $ENV{VS_SUMS}), $list or die "sums: $!\n" if $much && defined $ENV{VS_SUMS};    # sums.ts: faster once it runs
        exec 'xargs', '-0', '-r', '-a', $list, 'sha256sum', '-z', '--' or die "xargs: $!\n";
    }
    open(STDERR, '>&', $old);
    local $/ = "\0";
    while (<$in>) { chomp; $of{$2} = $1 if /^([0-9a-f]{64})  (.*)$/s }
    close $in;
    unlink $list;
    return \%of;
}

1;
