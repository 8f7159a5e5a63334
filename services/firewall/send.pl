#!/usr/bin/perl
# send.pl link DEVICE HEX: a frame out of a device. send.pl four|six ADDRESS HEX: a packet with its IP header, as a process of
# this host sends it; its mark tells it from whatever else the kernel sends.
use strict; use warnings; use Errno; use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6);
my ($how, $where, $hex) = @ARGV;
my $bytes = pack 'H*', $hex;
my $MARK = 30323;
my ($socket, $to);
if ($how eq 'link') {
  socket($socket, 17, SOCK_RAW, unpack('S', pack('n', 3))) or die "packet socket: $!\n"; # AF_PACKET, ETH_P_ALL
  my $request = pack('a40', $where);
  ioctl($socket, 0x8933, $request) or die "device $where: $!\n"; # SIOCGIFINDEX
  $to = pack('S n i S C C a8', 17, 3, unpack('x16 i', $request), 1, 0, 6, substr($bytes, 0, 6));
} elsif ($how eq 'four') {
  socket($socket, AF_INET, SOCK_RAW, 255) or die "raw socket: $!\n"; # IPPROTO_RAW: with its own header
  $to = pack_sockaddr_in(0, inet_pton(AF_INET, $where));
} else {
  socket($socket, AF_INET6, SOCK_RAW, 255) or die "raw socket: $!\n";
  $to = pack_sockaddr_in6(0, inet_pton(AF_INET6, $where));
}
setsockopt($socket, SOL_SOCKET, 36, pack('i', $MARK)) or die "mark: $!\n";
# what the rules deny is refused with EPERM, which is an answer too
send($socket, $bytes, 0, $to) or $!{EPERM} or die "not sent: $!\n";
