# Extended attributes of a path, as they are: {name => value}. One that vanishes meanwhile is left out.
use strict;
use warnings;

# Numbers of the system calls llistxattr, lgetxattr: amd64, arm64.
my ($LLIST, $LGET) = (`uname -m` =~ /x86_64/) ? (195, 192) : (12, 9);

sub attributes_of {
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
        $of{$name} = substr($value, 0, $length);
    }
    return \%of;
}

1;
