#!/usr/bin/perl
# through.pl ADDRESS PORT: a connection to a node of the lab VS_LAB, from this machine, which is not on its network: what comes on the
# standard input goes there, and the other way round. It goes out from the lab's master (setns(2)).
use strict;
use warnings;
use Socket;

my ($address, $port) = @ARGV;
my $lab = $ENV{VS_LAB} // '';
$lab =~ /^[a-z0-9-]+$/ && defined $port or die "usage: VS_LAB=LAB through.pl ADDRESS PORT\n";
open(my $space, '<', "/run/netns/vslab-$lab-master") or die "lab $lab: $!\n";
my $setns = (`uname -m` =~ /x86_64/) ? 308 : 268;
syscall($setns, fileno $space, 0x40000000) == 0 or die "setns: $!\n";
socket(my $wire, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
connect($wire, sockaddr_in($port, inet_aton($address) // die "no address\n")) or die "$address:$port: $!\n";
setsockopt($wire, 6, 1, 1);    # TCP_NODELAY
my $child = fork // die "fork: $!\n";
my ($from, $to) = $child ? ($wire, \*STDOUT) : (\*STDIN, $wire);
while (my $got = sysread $from, my $data, 65_536) {
    for (my $at = 0 ; $at < $got ;) {
        my $wrote = syswrite $to, $data, $got - $at, $at;
        exit 1 if !defined $wrote;
        $at += $wrote;
    }
}
if ($child) { kill 'TERM', $child }
else        { shutdown $wire, 1 }
