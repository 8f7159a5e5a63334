#!/usr/bin/perl
# A slow wire: carries every frame between two TAP devices of this network namespace, late, not all, and not too many.
# usage: relay.pl TAP TAP DELAY_MS LOSS_PERCENT KBIT FILE     (delay of one way; KBIT 0: no limit)
# FILE gets "PID DELAY LOSS KBIT" once both devices are there; they go with this process.
use strict;
use warnings;
use Fcntl;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use constant { TUNSETIFF => 0x400454ca, IFF_TAP => 0x0002, IFF_NO_PI => 0x1000 };
use constant LONGEST => 2000;    # frames that wait for their turn at the limit of the rate; one more is lost

my ($left, $right, $delay, $loss, $kbit, $file) = @ARGV;
die "usage: relay.pl TAP TAP DELAY_MS LOSS_PERCENT KBIT FILE\n" if !defined $file;

sub tap {
    my ($name) = @_;
    sysopen(my $handle, '/dev/net/tun', O_RDWR | O_NONBLOCK) or die "/dev/net/tun: $!\n";
    ioctl($handle, TUNSETIFF, pack('a16 s x22', $name, IFF_TAP | IFF_NO_PI)) or die "$name: $!\n";
    return $handle;
}
my @taps = (tap($left), tap($right));
my @ways = map { { from => $taps[$_], to => $taps[1 - $_], queue => [], free => 0 } } 0, 1;
open(my $out, '>', "$file.new") or die "$file: $!\n";
print {$out} "$$ $delay $loss $kbit\n";
close $out or die "$file: $!\n";
rename "$file.new", $file or die "$file: $!\n";

while (1) {
    my $now = clock_gettime(CLOCK_MONOTONIC);
    my $next;
    for my $way (@ways) {
        my $queue = $way->{queue};
        while (@$queue && $queue->[0][0] <= $now) { syswrite $way->{to}, (shift @$queue)->[1] }
        $next = $queue->[0][0] if @$queue && (!defined $next || $queue->[0][0] < $next);
    }
    my $ready = '';
    vec($ready, fileno $_, 1) = 1 for @taps;
    my $count = select $ready, undef, undef, defined $next ? $next - $now : undef;
    next if $count <= 0;
    $now = clock_gettime(CLOCK_MONOTONIC);
    for my $way (@ways) {
        next if !vec($ready, fileno $way->{from}, 1);
        for (1 .. 64) {    # the other way gets its turn
            last if !sysread $way->{from}, my $frame, 65_536;
            next if rand 100 < $loss || @{ $way->{queue} } >= LONGEST;
            my $begin = $way->{free} > $now ? $way->{free} : $now;
            $way->{free} = $kbit > 0 ? $begin + length($frame) * 8 / ($kbit * 1000) : $now;
            push @{ $way->{queue} }, [$way->{free} + $delay / 1000, $frame];
        }
    }
}
