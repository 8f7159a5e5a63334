#!/usr/bin/perl
# send.pl FAMILY OWN link DEVICE HEX, or FAMILY OWN four|six ADDRESS HEX: in a network namespace that is gone at once, a device eth0
# with the vserver's own address, the rules of standard input, one packet, and what nft says of the rules then, in JSON.
# link: a frame out of the other end of its wire. four, six: a packet with its IP header, as a process of the vserver sends it; its
# mark tells it from whatever else the kernel sends. No shell sees any of it.
use strict; use warnings; use Errno; use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6);
my ($family, $own, $how, $where, $hex) = @ARGV;
my $MARK = 30323;
sub tool { system { $_[0] } @_; $? == 0 or die "@_: it ended with $?\n" }
sub kernel {
  my ($file, $value) = @_;
  return unless -e $file;
  open(my $handle, '>', $file) or die "$file: $!\n";
  print {$handle} $value;
  close($handle) or die "$file: $!\n";
}
kernel("/proc/sys/net/ipv4/conf/$_/rp_filter", 0), kernel("/proc/sys/net/ipv6/conf/$_/disable_ipv6", 0) for qw(all default);
tool(qw(ip link add eth0 address 02:00:00:00:00:01 type veth peer name wire address 02:00:00:00:00:02));
kernel('/proc/sys/net/ipv6/conf/wire/disable_ipv6', 1);
tool(qw(ip link set), $_, 'up') for qw(lo wire eth0);
tool(qw(ip addr add), $family eq '4' ? "$own/32" : "$own/128", qw(dev eth0), $family eq '4' ? () : 'nodad');
tool('ip', "-$family", qw(route add default dev eth0));
tool(qw(nft -f -));

my $bytes = pack 'H*', $hex;
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

# until some rule has counted it; a packet that the kernel drops before any rule is never counted
for (1 .. 20) {
  open(my $rules, '-|', qw(nft list table inet vs)) or die "nft: $!\n";
  last if grep { /counter packets [1-9]/ } <$rules>;
  select undef, undef, undef, 0.05;
}
exec(qw(nft -j -t list table inet vs)) or die "nft: $!\n";
