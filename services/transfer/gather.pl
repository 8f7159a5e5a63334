#!/usr/bin/perl
# gather.pl SOCKET TOOL ARGS...: runs a tool that writes many small pieces, and passes on what it writes in large ones, to who connects to
# SOCKET (a path) after it said that it is ready: each piece that Node reads costs it 20 us, and btrfs send writes three for each small
# file. Ends as the tool does.
use strict;
use warnings;
use IO::Socket::UNIX;

my ($F_SETPIPE_SZ, $PIPE, $PIECE, $WAIT) = (1031, 1 << 20, 1 << 17, 20); # fcntl(2); what an unprivileged pipe may hold; bytes; seconds
my $path = shift @ARGV;
@ARGV or die "usage: gather.pl SOCKET TOOL ARGS\n";
umask 0077;
my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 1) or die "$path: $!\n";
syswrite STDOUT, "ready\n" or die "stdout: $!\n";
alarm $WAIT; # who started it may have ended
my $out = $listener->accept or die "$path: $!\n";
alarm 0;
unlink $path;
close $listener;
setsockopt $out, SOL_SOCKET, SO_SNDBUF, pack 'i', $PIPE; # less is slower
pipe(my $from, my $to) or die "pipe: $!\n";
my $child = fork;
defined $child or die "fork: $!\n";
if (!$child) {
    close $from;
    open STDOUT, '>&', $to or die "stdout: $!\n";
    close $to;
    exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\n";
}
close $to;
fcntl $from, $F_SETPIPE_SZ, $PIPE; # less is slower, no more
my $piece = '';
for (;;) {
    my $read = sysread $from, $piece, $PIECE, length $piece;
    defined $read or $!{EINTR} or die "read: $!\n";
    next if !defined $read;
    if ($read == 0 || length $piece >= $PIECE) {
        for (my $at = 0; $at < length $piece;) {
            my $count = syswrite $out, $piece, length($piece) - $at, $at;
            defined $count or $!{EINTR} or exit 141; # nobody reads any more: the tool gets SIGPIPE as well
            $at += $count // 0;
        }
        $piece = '';
    }
    last if $read == 0;
}
close $out;
waitpid $child, 0;
exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
