#!/usr/bin/perl
# pipe.pl serve ADDRESS PORT COMMAND...: runs COMMAND on each connection, one after the other; ends the connection when it has ended.
# pipe.pl send ADDRESS PORT COMMAND...: sends what COMMAND prints and waits until the other side has taken all of it; prints the bytes.
use strict; use warnings;
use IO::Socket::INET;
my ($what, $address, $port, @command) = @ARGV;
if ($what eq 'serve') {
  my $server = IO::Socket::INET->new(LocalAddr => $address, LocalPort => $port, Listen => 4, ReuseAddr => 1) or die "listen: $!\n";
  while (my $client = $server->accept) {
    my $child = fork // die "fork: $!\n";
    if ($child == 0) { open STDIN, '<&', $client or die; open STDOUT, '>', '/dev/null'; exec @command or die "$command[0]: $!\n" }
    waitpid $child, 0;
    print $client ($? == 0 ? "ok\n" : "failed\n");
    close $client;
  }
} else {
  my $wire = IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port) or die "connect: $!\n";
  open my $from, '-|', @command or die "$command[0]: $!\n";
  my $sent = 0;
  while (my $n = sysread $from, my $data, 1 << 18) {
    $sent += $n;
    for (my $at = 0; $at < $n;) { $at += syswrite($wire, $data, $n - $at, $at) // die "write: $!\n" }
  }
  close $from or die "$command[0] ended with $?\n";
  shutdown $wire, 1;
  my $word = <$wire> // '';
  die "the other side could not take it\n" if $word ne "ok\n";
  print "$sent\n";
}
