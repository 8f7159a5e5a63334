#!/usr/bin/perl
# notify.pl: sends each line of its standard input to the manager of services as a datagram (sd_notify(3)), which Node cannot;
# ends with it, so when its parent ends. \t stands for the end of a line within a message.
use strict; use warnings;
use Socket qw(PF_UNIX SOCK_DGRAM pack_sockaddr_un);

my $path = $ENV{NOTIFY_SOCKET} // exit 0;
$path =~ s/^@/\0/;
socket(my $out, PF_UNIX, SOCK_DGRAM, 0) or die "no socket: $!";
my $to = pack_sockaddr_un($path);
while (my $line = <STDIN>) {
  chomp $line;
  $line =~ tr/\t/\n/;
  defined send($out, $line, 0, $to) or warn "vs-tools: the service manager was not told: $!\n";
}
