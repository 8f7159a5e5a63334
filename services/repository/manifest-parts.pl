# What manifest.pl, which says what a manifest is, and manifest-next.pl have in common.
use strict;
use warnings;

require((__FILE__ =~ m{^(.*/)} ? $1 : './') . 'attributes.pl');

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

# Extended attributes of a path: {name => value in hexadecimal}.
sub attributes {
    my $own = attributes_of($_[0]);
    return { map { shown($_, 1) => $own->{$_} eq '' ? '-' : unpack('H*', $own->{$_}) } keys %$own };
}

# The checksums of files, by path; `inode` says by path which file it is, and each is read once, whatever names it has. One that cannot
# be read has none. Answers them, and how many were to be read. Much is read by the program in VS_SUMS (node and sums.ts, a word a line).
sub checksums {
    my ($top, $list, $inode, @all) = @_;
    my (%of, %name);
    my @paths = grep { exists $name{ $inode->{$_} } ? 0 : do { $name{ $inode->{$_} } = $_; 1 } } @all;
    return (\%of, 0) unless @paths;
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
    for my $path (@all) { my $sum = $of{ $name{ $inode->{$path} } }; $of{$path} = $sum if defined $sum }
    return (\%of, scalar @paths);
}

1;
