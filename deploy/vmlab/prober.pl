#!/usr/bin/perl
# prober.pl ADDRESS PORT SECONDS END: opens a TCP connection every 20 ms until the file END is there or SECONDS are over, and prints
# when each was answered (epoch seconds): a light prober, since a VM under emulation has no time for a heavy one.
use strict; use warnings;
use Socket qw(PF_INET SOCK_STREAM inet_aton pack_sockaddr_in SOL_SOCKET SO_ERROR);
use Fcntl; use Time::HiRes qw(time); use IO::Poll qw(POLLOUT POLLIN POLLERR POLLHUP);
my ($address, $port, $seconds, $end) = @ARGV;
my $to = pack_sockaddr_in($port, inet_aton($address));
my ($begun, $next) = (time, time); my %open; my $poll = IO::Poll->new;
$| = 1; print "begun $begun\n";
while (time - $begun < $seconds && !-e $end) {
  my $now = time;
  if ($now >= $next) {
    $next = $now + 0.02;
    socket(my $s, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
    fcntl($s, F_SETFL, O_NONBLOCK);
    connect($s, $to);
    $open{fileno $s} = [$s, $now]; $poll->mask($s => POLLOUT | POLLERR | POLLHUP);
  }
  my $wait = $next - time;
  $poll->poll($wait > 0 ? $wait : 0);
  for my $s ($poll->handles(POLLOUT | POLLERR | POLLHUP)) {
    my $failed = unpack 'i', getsockopt($s, SOL_SOCKET, SO_ERROR);
    printf "%.4f\n", time if !$failed;
    $poll->remove($s); delete $open{fileno $s}; close $s;
  }
  for (keys %open) { my ($s, $at) = @{$open{$_}}; next if time - $at < 1; $poll->remove($s); delete $open{$_}; close $s; }
}
printf "ended %.4f\n", time;
